"""Reads handlers' signatures by reflection, once, and binds their parameters to what the container offers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePath
from types import FunctionType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from ..domain.messages import Message

Problem = tuple[str, str]
"""What cannot be read: a diagnostic's code, and a detail."""

_UNREADABLE = (NameError, AttributeError, TypeError, SyntaxError)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Unread:
    """Stands for an annotation, or for what a provider makes, that is reported as a mistake of its own."""


class Offer(NamedTuple):
    """What a container offers under a name: how to make it, which class it makes, and where it is offered.

    `makes` is None where the provider does not say.
    """

    name: str
    make: Callable[[], Any]
    makes: type | None
    where: str


Offers = Mapping[str, Offer]
"""What one context's container offers, by name."""


class Bound:
    """A function with its collaborators bound to providers: call it with the message alone.

    The providers are called for every message, so that an override takes effect at once.
    """

    __slots__ = ("_by_name", "_in_order", "function")

    def __init__(self, function: Callable[..., Any], collaborators: Mapping[str, Callable[[], Any]]) -> None:
        self.function = function
        kinds = inspect.signature(function).parameters
        by_name = [name for name in collaborators if kinds[name].kind is inspect.Parameter.KEYWORD_ONLY]
        self._by_name = tuple((name, collaborators[name]) for name in by_name)
        self._in_order = tuple(make for name, make in collaborators.items() if name not in by_name)

    def __call__(self, message: Message) -> Any:  # noqa: D102 - the class says it
        in_order = [make() for make in self._in_order]
        if not self._by_name:
            return self.function(message, *in_order)
        return self.function(message, *in_order, **{name: make() for name, make in self._by_name})


class Signature(NamedTuple):
    """A handler as reflection sees it: the annotations of the message, the collaborators and the answer.

    An annotation that cannot be read is `Unread`, and `problems` says why.
    """

    message: Any
    collaborators: Mapping[str, Any]
    returns: Any
    problems: tuple[Problem, ...]

    @property
    def says_its_answer(self) -> bool:
        """Whether there is a return annotation."""
        return self.returns is not inspect.Signature.empty


def signature_of(function: Callable[..., Any]) -> Signature:
    """Read a handler: the message's annotation, the collaborators' by name, and the return annotation."""
    hints, problems = _hints(function)
    parameters = list(inspect.signature(function).parameters.values())
    first = parameters[0].name if parameters else None
    return Signature(
        message=hints.get(first) if first else None,
        collaborators={
            p.name: hints[p.name] for p in parameters[1:] if p.name in hints and p.kind in _BY_NAME
        },
        returns=hints.get("return", inspect.Signature.empty),
        problems=(*_kind(function), *problems, *_fillable(parameters, hints)),
    )


def place_of(target: Callable[..., Any] | type) -> str:
    """Say where a function or class is written: `path:line name`, the path from the package's root on."""
    target = inspect.unwrap(target)
    name = getattr(target, "__qualname__", repr(target))
    try:
        file, line = inspect.getsourcefile(target), _line(target)
    except (OSError, TypeError):
        return f"{getattr(target, '__module__', '?')}:0 {name}"
    depth = target.__module__.count(".") + (2 if str(file).endswith("__init__.py") else 1)
    return f"{'/'.join(PurePath(str(file)).parts[-depth:])}:{line} {name}"


def members(annotation: Any) -> frozenset[Any]:
    """Take a union apart: `A | None` gives {A, NoneType}; what is no union gives itself."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return frozenset().union(*(members(each) for each in get_args(annotation)))
    return frozenset([type(None) if annotation is None else annotation])


def classes_in(annotation: Any, kind: type) -> tuple[type, ...]:
    """Find the subclasses of a kind that an annotation mentions, however deep: `list[Allocate] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, kind):
        return (annotation,)
    found = (each for part in get_args(annotation) for each in classes_in(part, kind))
    return tuple(dict.fromkeys(found))


def fits(made: type | None, annotation: Any) -> bool:
    """Whether what is made, None where that is unknown, may be given to a parameter of this annotation."""
    if made is None:
        return False
    return Unread in (made, annotation) or any(_is_a(made, member) for member in members(annotation))


def said(annotation: Any) -> str:
    """Write an annotation as people do: `Created[Line] | None`."""
    return " | ".join(sorted(_said(member) for member in members(annotation)))


def _said(member: Any) -> str:
    if member is type(None):
        return "None"
    if member is ...:
        return "..."
    arguments = ", ".join(map(said, get_args(member)))
    name = getattr(member, "__name__", None) or str(member)
    return f"{name}[{arguments}]" if arguments else name


def _is_a(made: type, member: Any) -> bool:
    wanted = get_origin(member) or member
    try:
        return wanted is Any or (isinstance(wanted, type) and issubclass(made, wanted))
    except TypeError:  # a protocol that cannot be checked
        return False


def _hints(function: Callable[..., Any]) -> tuple[dict[str, Any], list[Problem]]:
    try:
        return get_type_hints(function), []
    except _UNREADABLE:
        return _hints_one_by_one(function)


def _hints_one_by_one(function: Callable[..., Any]) -> tuple[dict[str, Any], list[Problem]]:
    hints: dict[str, Any] = {}
    problems = []
    probe = FunctionType((lambda: None).__code__, getattr(inspect.unwrap(function), "__globals__", {}))
    for name, annotation in function.__annotations__.items():
        probe.__annotations__ = {name: annotation}
        try:
            hints |= get_type_hints(probe)
        except _UNREADABLE as error:
            hints[name] = Unread
            what = "the return annotation" if name == "return" else f"parameter {name}"
            problems.append(("ATM007", f"{what} is {annotation!r}: {error}; is it under TYPE_CHECKING?"))
    return hints, problems


def _kind(function: Callable[..., Any]) -> Iterator[Problem]:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield "ATM006", "is declared with `async def`"
    elif inspect.isgeneratorfunction(function):
        yield "ATM006", "contains `yield`"


def _fillable(parameters: list[inspect.Parameter], hints: Mapping[str, Any]) -> Iterator[Problem]:
    if not parameters:
        yield "ATM004", "takes no parameter, and the message is handed over first"
    for each in parameters[:1]:
        if each.kind not in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD):
            yield "ATM022", f"parameter {each} comes first, is {each.kind.description} and takes no message"
    for each in parameters[1:]:
        if each.kind not in _BY_NAME:
            yield "ATM022", f"parameter {each.name} is {each.kind.description}"
        elif each.name not in hints:
            yield "ATM022", f"parameter {each.name} has no annotation"


@lru_cache(maxsize=1000)  # of a class, the whole file is parsed each time
def _line(target: Callable[..., Any] | type) -> int:
    code = getattr(target, "__code__", None)
    return code.co_firstlineno if code is not None else inspect.getsourcelines(target)[1]
