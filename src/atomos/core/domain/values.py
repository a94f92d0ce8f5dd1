"""Frozen values that check themselves: what value objects, messages and answers are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform, get_type_hints

from .constraints import checks_of
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
        return dataclass(frozen=True, kw_only=True, slots=True)(cls)

    def __init__(cls, title: str, bases: tuple[type, ...], body: dict[str, Any], **_: Any) -> None:
        super().__init__(title, bases, body)


if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, kw_only_default=True)
    class _Root: ...

else:

    class _Root(metaclass=_Slotted):
        __slots__ = ()


class ValueObject(_Root):
    """A value without identity: subclasses are frozen, keyword-only, slotted dataclasses, equal by their fields.

    The constructor checks each field's type and constraints and raises `InvalidMessage` with all problems.
    """

    __checks__: ClassVar[tuple[tuple[str, Callable[[Any], str | None]], ...] | None] = None

    def __post_init__(self) -> None:
        """Check every field; a value that breaks a constraint is never made."""
        cls = type(self)
        checks = cls.__checks__ if "__checks__" in cls.__dict__ else None
        for name, check in _compile(cls) if checks is None else checks:
            if check(getattr(self, name)) is not None:
                raise InvalidMessage(cls.__name__, tuple(_problems(self)))


def _compile(cls: type[ValueObject]) -> tuple[tuple[str, Callable[[Any], str | None]], ...]:
    # At the first construction and not with the class, so that annotations may name what is defined below it.
    hints = get_type_hints(cls, include_extras=True)
    cls.__checks__ = tuple((field.name, checks_of(hints[field.name])) for field in fields(cls))
    return cls.__checks__


def _problems(value: ValueObject) -> list[Problem]:
    found = ((name, check(getattr(value, name))) for name, check in type(value).__checks__ or ())
    return [Problem(f"/{name}", problem) for name, problem in found if problem is not None]
