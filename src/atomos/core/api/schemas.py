"""Marshmallow schemas from annotations, made once: closed ones read requests, open ones document answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterator, Mapping
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields

from ..domain.constraints import Secret
from ..domain.errors import InvalidMessage, Problem
from ..domain.messages import Message
from .keywords import examples, keywords
from .kinds import Unfit, kind_of, refuse

M = TypeVar("M", bound=Message)

_SAID = {"required": "is missing", "null": "must not be null", "type": "must be an object"}
_HIDDEN = "is not accepted; what was given is not shown"


class Given(fields.Field[Any]):
    """A field with one value, read by one function."""

    def __init__(self, read: Callable[[Any], Any], **said: Any) -> None:
        super().__init__(**said)
        self.read = read

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self.read(value)


class Items(fields.List[Any]):
    """A list, read as a tuple."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if type(value) is not list:
            refuse("a list", value)
        return tuple(super()._deserialize(value, *args, **kwargs))


class Made(fields.Nested):
    """An object, made into a value object."""

    def __init__(self, make: Callable[..., Any], nested: Callable[[], Schema], **said: Any) -> None:
        super().__init__(nested, **said)
        self._make = make

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        loaded: Any = super()._deserialize(value, *args, **kwargs)
        try:
            return self._make(**loaded)
        except InvalidMessage as error:
            told: dict[str, Any] = {each.pointer[1:]: [each.detail] for each in error.problems}
            raise ValidationError(told) from None


def maker(message: type[M], schema: Schema) -> Callable[[dict[str, Any]], M]:
    """Make the function that makes a message of what was given. It raises `InvalidMessage` with all problems.

    Marshmallow's loading is slow beside reading the fields and leaving their constraints to the constructor,
    which checks them anyway. So it is asked only when something is wrong: then it knows all that is.
    """
    reads = {name: _reading(field) for name, field in schema.fields.items()}

    def make(given: dict[str, Any]) -> M:
        try:
            return message(**{name: reads[name](value) for name, value in given.items()})
        except (InvalidMessage, ValidationError, KeyError, TypeError):
            return message(**_loaded(message, schema, given))

    return make


def _reading(field: fields.Field[Any]) -> Callable[[Any], Any]:
    if not isinstance(field, Given):
        return field.deserialize
    read = field.read
    return (lambda value: None if value is None else read(value)) if field.allow_none else read


def _loaded(message: type, schema: Schema, given: dict[str, Any]) -> dict[str, Any]:
    try:
        loaded: Any = schema.load(given)
    except ValidationError as error:
        raise InvalidMessage(message.__name__, tuple(_problems(error.messages))) from None
    return loaded  # type: ignore[no-any-return]


def _problems(messages: Any, pointer: str = "") -> Iterator[Problem]:
    if not isinstance(messages, Mapping):
        yield from (Problem(pointer, str(each)) for each in messages)
        return
    for key, inner in messages.items():
        yield from _problems(inner, pointer if key == "_schema" else f"{pointer}/{escaped(key)}")


def escaped(key: object) -> str:
    """Write a name as a part of a JSON pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")


class Shapes:
    """Makes fields and schemas from annotations, and keeps the schemas, so that each class has one.

    `open_` ones are for answers: a reader must not break when a field is added. The others refuse what they
    do not know.
    """

    def __init__(self, *, open_: bool = False) -> None:
        self._open = open_
        self._schemas: dict[Any, type[Schema]] = {}

    def message(self, message: type, texts: Container[str] = ()) -> Schema:
        """Make the schema of a message; the fields in `texts` are read from texts. Raises `Unfit`."""
        return self._schema(message, message.__name__, texts)()

    def schema(self, annotation: Any) -> type[Schema]:
        """Give the schema of a value object, or of a generic one such as `Page[Line]`. Raises `Unfit`."""
        if annotation not in self._schemas:
            self._schemas[annotation] = Schema  # until it is made, for what holds itself
            name = _name_of(annotation) + ("" if self._open else "Input")
            self._schemas[annotation] = self._schema(annotation, name, ())
        return self._schemas[annotation]

    def field(
        self, annotation: Any, *, name: str | None = "", text: bool = False, **said: Any
    ) -> fields.Field[Any]:
        """Make the field of an annotation; `text` says that it is read from a text. Raises `Unfit`.

        `name` is what examples may be derived from; None wants none.
        """
        plain, constraints, optional = _apart(annotation)
        hidden = any(isinstance(each, Secret) for each in constraints)
        shown = [] if name is None else examples(name, plain, constraints)
        said["metadata"] = {
            **said.get("metadata", {}),
            **keywords(plain, constraints, is_read=not self._open),
            **({"examples": shown} if shown else {}),
        }
        said["validate"] = [_judge(c.problem, hidden) for c in constraints if hasattr(c, "problem")]
        said["allow_none"] = optional and not text
        said["error_messages"] = _SAID
        if get_origin(plain) is tuple or (get_origin(plain) is list and self._open):
            return Items(self.field(_item_of(plain), text=text), **said)
        if get_origin(plain) is dict and self._open:
            return fields.Dict(values=self.field(get_args(plain)[1]), **said)
        if dataclasses.is_dataclass(get_origin(plain) or plain):
            if text:
                raise Unfit("an object cannot be written into a URL")
            self.schema(plain)
            return Made(plain, lambda: self.schema(plain)(), **said)  # noqa: PLW0108 - it may hold itself
        kind = kind_of(plain)
        read = kind.from_text if text else kind.from_json
        said["metadata"] = {**kind.keywords, **said["metadata"]}
        return Given(_hiding(read) if hidden else read, **said)

    def _schema(self, annotation: Any, name: str, texts: Container[str]) -> type[Schema]:
        made: dict[str, fields.Field[Any]] = {}
        hints = _hints_of(annotation)
        for each in dataclasses.fields(get_origin(annotation) or annotation):
            try:
                made[each.name] = self._declared(each, hints[each.name], each.name in texts)
            except Unfit as unfit:
                raise Unfit(f"field {each.name}: {unfit}") from None
        known = ", ".join(made) or "none"
        wrong = {"unknown": f"is unknown; the fields are: {known}", "type": "must be an object"}
        meta = type("Meta", (), {"unknown": INCLUDE if self._open else RAISE, "register": False})
        body = {**made, "Meta": meta, "__doc__": told(get_origin(annotation) or annotation)}
        made_schema: type[Schema] = type(name, (Schema,), body)
        made_schema.error_messages = wrong
        return made_schema

    def _declared(self, declared: dataclasses.Field[Any], annotation: Any, text: bool) -> fields.Field[Any]:
        default = declared.default
        said: dict[str, Any] = {"required": default is dataclasses.MISSING}
        if self._open:
            return self.field(annotation, name=declared.name, required=True)
        if declared.default_factory is not dataclasses.MISSING:
            said["required"] = False
        elif not said["required"] and default is not None:
            said["metadata"] = {"default": msgspec.json.decode(msgspec.json.encode(default))}
        elif said["required"] and text and _apart(annotation)[2]:
            # A URL cannot say null, so that what may be None is None when it is left out.
            said = {"required": False, "load_default": None}
        # A page to try it fills in examples, and what a URL may leave out narrows the answer.
        name = declared.name if said["required"] or not text else None
        return self.field(annotation, name=name, text=text, **said)


def told(kind: type) -> str:
    """Give what the docstring of a class says; nothing where it has none of its own."""
    said = kind.__dict__.get("__doc__") or ""
    # A dataclass without one gets its signature.
    return "" if said.startswith(f"{kind.__name__}(") else cleandoc(said)


def _apart(annotation: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """Take an annotation apart: the plain type, its constraints, and whether it may be None."""
    if get_origin(annotation) is Annotated:
        plain, constraints, optional = _apart(get_args(annotation)[0])
        return plain, (*constraints, *get_args(annotation)[1:]), optional
    if get_origin(annotation) in (Union, UnionType):
        members = [each for each in get_args(annotation) if each is not NoneType]
        if len(members) != 1:
            raise Unfit(f"{annotation} is one of several types; declare one, or one and None")
        plain, constraints, _ = _apart(members[0])
        return plain, constraints, True
    return annotation, (), False


def _item_of(annotation: Any) -> Any:
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        raise Unfit(f"{annotation} is a tuple of fixed length; declare tuple[..., ...], or a value object")
    return arguments[0]


def _hints_of(annotation: Any) -> dict[str, Any]:
    origin = get_origin(annotation) or annotation
    try:
        hints = get_type_hints(origin, include_extras=True)
    except NameError as error:
        raise Unfit(f"{error}, in {_name_of(annotation)}; is it imported under TYPE_CHECKING?") from None
    bound = dict(zip(getattr(origin, "__parameters__", ()), get_args(annotation), strict=False))
    return {name: _bind(hint, bound) for name, hint in hints.items()}


def _bind(hint: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(bound[each] for each in parameters)] if parameters and bound else hint


def _name_of(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is None:
        return str(getattr(annotation, "__name__", annotation))
    return f"{origin.__name__}Of{''.join(_name_of(each) for each in get_args(annotation))}"


def _judge(problem: Callable[[Any], str | None], hidden: bool) -> Callable[[Any], None]:
    def judge(value: Any) -> None:
        if (found := problem(value)) is not None:
            raise ValidationError(_HIDDEN if hidden else found)

    return judge


def _hiding(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def hide(given: Any) -> Any:
        try:
            return read(given)
        except ValidationError:
            raise ValidationError(_HIDDEN) from None

    return hide
