"""Frozen values that check themselves: what value objects, messages and answers are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, dataclass_transform, get_type_hints

from .constraints import checks_of, is_sensitive
from .errors import InvalidMessage, Problem


class _Slotted(type):
    """Makes every subclass a frozen, keyword-only dataclass with slots, which only a metaclass can."""

    def __new__(mcls, title: str, bases: tuple[type, ...], body: dict[str, Any], **declared: Any) -> Any:
        if "__slots__" in body:  # `dataclass` made the class again, with slots
            return super().__new__(mcls, title, bases, body, **body.get("__declared__", {}))
        if "__classcell__" in body or (bases and "__post_init__" in body and bases != (_Root,)):
            raise TypeError(
                f"{title} uses super(), __class__ or __post_init__; values and messages are plain: "
                "put constraints into annotations and rules into the model."
            )
        body["__declared__"] = declared
        cls = super().__new__(mcls, title, bases, body, **declared)
        made: Any = dataclass(frozen=True, kw_only=True, slots=True, repr=False)(cls)
        # The ones of `dataclass` remember the class without slots, and fail with "super(type, obj)".
        made.__setattr__ = made.__delattr__ = _refuse_change
        return made

    def __init__(cls, title: str, bases: tuple[type, ...], body: dict[str, Any], **_: Any) -> None:
        super().__init__(title, bases, body)


def _refuse_change(self: object, name: str, *_: object) -> NoReturn:
    raise FrozenInstanceError(
        f"{name} of {type(self).__name__} cannot be changed: a value is frozen; "
        "make another one with dataclasses.replace(value, field=...)."
    )


if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, kw_only_default=True)
    class _Root: ...

else:

    class _Root(metaclass=_Slotted):
        __slots__ = ()


class ValueObject(_Root):
    """A value without identity: its subclasses are frozen, keyword-only, slotted dataclasses.

    Two are equal when they are of one class and their fields are equal. The constructor checks each field's
    type and constraints, and raises `InvalidMessage` with all problems.
    """

    __checks__: ClassVar[tuple[tuple[str, Callable[[Any], str | None]], ...] | None] = None
    __hidden__: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        """Check every field; a value that breaks a constraint is never made."""
        cls = type(self)
        checks = cls.__checks__ if "__checks__" in cls.__dict__ else None
        for name, check in _compile(cls) if checks is None else checks:
            if check(getattr(self, name)) is not None:
                raise InvalidMessage(cls.__name__, tuple(_problems(self)))

    def __repr__(self) -> str:
        """Write it as its constructor is called, without what is `Sensitive`."""
        cls = type(self)
        if "__checks__" not in cls.__dict__:
            _compile(cls)
        shown = (
            f"{field.name}={'...' if field.name in cls.__hidden__ else repr(getattr(self, field.name))}"
            for field in fields(cls)
        )
        return f"{cls.__qualname__}({', '.join(shown)})"


def _compile(cls: type[ValueObject]) -> tuple[tuple[str, Callable[[Any], str | None]], ...]:
    # At the first construction and not with the class, so that annotations may name what is defined below it.
    hints = get_type_hints(cls, include_extras=True)
    cls.__hidden__ = frozenset(field.name for field in fields(cls) if is_sensitive(hints[field.name]))
    cls.__checks__ = tuple((field.name, checks_of(hints[field.name])) for field in fields(cls))
    return cls.__checks__


def _problems(value: ValueObject) -> list[Problem]:
    found = ((name, check(getattr(value, name))) for name, check in type(value).__checks__ or ())
    return [Problem(f"/{name}", problem) for name, problem in found if problem is not None]
