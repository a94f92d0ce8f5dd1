"""Constraints that are said once, in a field's annotation: constructor, edge and documents read them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Protocol, TypeVar, Union, get_args, get_origin

T = TypeVar("T")

Check = Callable[[Any], str | None]
"""Says what is wrong with a value, as the end of a sentence that begins with the field's name, or None."""


class Constraint(Protocol):
    """Anything in an `Annotated[...]` that can judge a value."""

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with the value, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Length:
    """A text of `at_least` to `at_most` characters, or a tuple of as many items; None is no upper bound."""

    at_least: int = 0
    at_most: int | None = None

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with the length, or None."""
        size = len(value)
        if size < self.at_least:
            few = f"must have at least {self.at_least}, has {size}"
            return few if self.at_least > 1 else "must not be empty"
        if self.at_most is not None and size > self.at_most:
            return f"must have at most {self.at_most}, has {size}"
        return None


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A number that is not below `minimum`."""

    minimum: int

    def problem(self, value: Any) -> str | None:
        """Say that the number is too small, or None."""
        return None if value >= self.minimum else f"must be at least {self.minimum}, is {value}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """A number that is not above `maximum`."""

    maximum: int

    def problem(self, value: Any) -> str | None:
        """Say that the number is too large, or None."""
        return None if value <= self.maximum else f"must be at most {self.maximum}, is {value}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that matches the whole of a regular expression, in the syntax that Python and ECMA-262 share.

    `said` is what people are told in its place (`must begin with a letter`); None tells them the expression.
    """

    expression: str
    said: str | None = None

    def problem(self, value: Any) -> str | None:
        """Say that the text does not match, or None."""
        return None if re.fullmatch(self.expression, value) else self.said or f"must match {self.expression}"


@dataclass(frozen=True, slots=True)
class Example:
    """An example of a value, for documents: `Annotated[str, Length(1, 100), Example("CHAIR")]`. It judges nothing."""

    value: Any


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a value that must not be shown in logs, pages or problems."""


Sensitive = Annotated[T, Secret()]
"""`Sensitive[str]`: a value that is never shown."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Marks the version of what an answer describes."""


Version = Annotated[int, AtLeast(1), Counted()]
"""`version: Version`: which state of an aggregate an answer describes; over HTTP it is the answer's `ETag`."""


def is_version(annotation: Any) -> bool:
    """Whether an annotation, or a part of it, is a `Version`."""
    return isinstance(annotation, Counted) or any(map(is_version, get_args(annotation)))


def is_sensitive(annotation: Any) -> bool:
    """Whether an annotation, or a part of it, is marked `Sensitive`."""
    return isinstance(annotation, Secret) or any(map(is_sensitive, get_args(annotation)))


def checks_of(annotation: Any) -> Check:
    """Make the one check of a field from its annotation: its type first, then its constraints in order."""
    origin = get_origin(annotation)
    if origin in _BY_ORIGIN and get_args(annotation):
        return _BY_ORIGIN[origin](get_args(annotation))
    if isinstance(annotation, NewType):
        return checks_of(annotation.__supertype__)
    if annotation is None or annotation is NoneType:
        return lambda value: None if value is None else _not_a("null", value)
    kind = origin or annotation
    return _instance(kind) if isinstance(kind, type) and kind is not Any else _anything


def _instance(kind: type) -> Check:
    if kind in _JUDGES:
        return _JUDGES[kind]
    said = {str: "a text", bool: "true or false", tuple: "a list"}.get(kind, f"a {kind.__name__}")
    # A datetime is a date to isinstance, but it is not one to a reader of the message.
    return lambda value: (
        None if isinstance(value, kind) and not isinstance(value, datetime) else _not_a(said, value)
    )


def _whole(value: Any) -> str | None:
    return None if type(value) is int else _not_a("an integer", value)


def _number(value: Any) -> str | None:
    is_number = type(value) is int or (type(value) is float and math.isfinite(value))
    return None if is_number else _not_a("a number", value)


def _exact(value: Any) -> str | None:
    # What is not a number has no order, so that constraints could not judge it.
    is_number = isinstance(value, Decimal) and value.is_finite()
    return None if is_number else _not_a("a decimal number", value)


def _aware(value: Any) -> str | None:
    if not isinstance(value, datetime):
        return _not_a("a date and time", value)
    return None if value.tzinfo is not None else "must have a time zone"


_JUDGES: dict[type, Check] = {int: _whole, float: _number, Decimal: _exact, datetime: _aware}


def _not_a(said: str, value: Any) -> str:
    return f"must be {said}, is {value!r}"


def _anything(_: Any) -> None:
    return None


def _annotated(arguments: tuple[Any, ...]) -> Check:
    inner, constraints = checks_of(arguments[0]), [m.problem for m in arguments[1:] if hasattr(m, "problem")]
    # In `Annotated[str | None, Length(1)]` the type judges None, and the length has nothing to say about it.
    takes_none = inner(None) is None
    check = _all([inner, *(map(_unless_none, constraints) if takes_none else constraints)])
    return _silent(check) if any(isinstance(each, Secret) for each in arguments[1:]) else check


def _unless_none(constraint: Check) -> Check:
    return lambda value: None if value is None else constraint(value)


def _silent(check: Check) -> Check:
    return lambda value: None if check(value) is None else "is not accepted; what was given is not shown"


def _all(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(value: Any) -> str | None:
        for each in checks:
            if (problem := each(value)) is not None:
                return problem
        return None

    return check


def _union(members: tuple[Any, ...]) -> Check:
    optional = NoneType in members
    checks = [checks_of(member) for member in members if member is not NoneType]

    def check(value: Any) -> str | None:
        if value is None and optional:
            return None
        problem = None
        for each in checks:
            if (problem := each(value)) is None:
                return None
        return problem

    return check


def _literal(values: tuple[Any, ...]) -> Check:
    said = ", ".join(map(repr, values))
    return lambda value: None if value in values else _not_a(f"one of {said}", value)


def _tuple(items: tuple[Any, ...]) -> Check:
    each, some = checks_of(items[0]), [checks_of(item) for item in items if item is not ...]
    is_open = items[-1] is ...

    def check(value: Any) -> str | None:
        if not isinstance(value, tuple):
            return _not_a("a list", value)
        if not is_open and len(value) != len(some):
            return _not_a(f"a list of {len(some)}", value)
        for index, given in enumerate(value):
            if (problem := (each if is_open else some[index])(given)) is not None:
                return f"item {index} {problem}"
        return None

    return check


_BY_ORIGIN: dict[Any, Callable[[tuple[Any, ...]], Check]] = {
    Annotated: _annotated,
    Union: _union,
    UnionType: _union,
    Literal: _literal,
    tuple: _tuple,
}
