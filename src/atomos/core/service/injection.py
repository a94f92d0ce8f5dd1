"""Reads handlers' signatures by reflection, once, and binds their parameters to what the container offers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from ..domain.messages import Message
from ..domain.model import Aggregate


class Offer(NamedTuple):
    """What a container offers under a name: how to make it, the class that it makes (None: unknown), and where."""

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

    __slots__ = ("_collaborators", "function")

    def __init__(self, function: Callable[..., Any], collaborators: Mapping[str, Callable[[], Any]]) -> None:
        self.function = function
        self._collaborators = tuple(collaborators.items())

    def __call__(self, message: Message) -> Any:
        return self.function(message, **{name: make() for name, make in self._collaborators})


class Signature(NamedTuple):
    """A handler as reflection sees it; `problems` says what cannot be read, as (diagnostic's code, detail)."""

    message: Any
    collaborators: Mapping[str, Any]
    returns: Any
    problems: tuple[tuple[str, str], ...]


def signature_of(function: Callable[..., Any]) -> Signature:
    """Read a handler: the message's annotation, the collaborators' by name, and the return annotation."""
    problems = []
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        problems.append(("ATM006", "is declared with `async def`"))
    elif inspect.isgeneratorfunction(function):
        problems.append(("ATM006", "contains `yield`"))
    try:
        hints = get_type_hints(function)
    except NameError as error:
        return Signature(None, {}, None, (*problems, ("ATM007", f"{error}; is it imported under TYPE_CHECKING?")))
    parameters = list(inspect.signature(function).parameters.values())
    problems += [problem for each in parameters[1:] if (problem := _unfillable(each, hints))]
    if not parameters:
        problems.append(("ATM004", "takes no parameter, and the message is handed over first"))
    return Signature(
        message=hints.get(parameters[0].name) if parameters else None,
        collaborators={p.name: hints[p.name] for p in parameters[1:] if p.name in hints},
        returns=hints.get("return", inspect.Signature.empty),
        problems=tuple(problems),
    )


def place_of(function: Callable[..., Any] | type) -> str:
    """Say where a function or class is written: `path:line`, relative to the package's root."""
    target = inspect.unwrap(function)
    module = getattr(target, "__module__", "?")
    try:
        line = inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        line = 0
    return f"{module.replace('.', '/')}.py:{line} {getattr(target, '__qualname__', target)}"


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


def fits(offer: Offer, annotation: Any) -> bool:
    """Whether what an offer makes may be given to a parameter of this annotation."""
    if offer.makes is None:
        return False
    wanted = [get_origin(member) or member for member in members(annotation)]
    return any(member is Any or (isinstance(member, type) and issubclass(offer.makes, member)) for member in wanted)


def changes_state(makes: type | None, unit_of_work: type) -> bool:
    """Whether an offer makes what only a command may have."""
    return makes is not None and issubclass(makes, (unit_of_work, Aggregate))


def _unfillable(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> tuple[str, str] | None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        return "ATM022", f"parameter {parameter.name} is {parameter.kind.description}"
    if parameter.name not in hints:
        return "ATM022", f"parameter {parameter.name} has no annotation"
    return None
