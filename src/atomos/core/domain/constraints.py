"""Constraints that are said once, in a field's annotation: the constructor, the edge and the documents read them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Protocol, TypeVar, Union, get_args, get_origin

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
    """A text of `at_least` to `at_most` characters, or a tuple of that many items; None means no upper bound."""

    at_least: int = 0
    at_most: int | None = None

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with the length, or None."""
        size = len(value)
        if size < self.at_least:
            return "must not be empty" if self.at_least == 1 else f"must have at least {self.at_least}, has {size}"
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
    """A text that matches the whole of a regular expression, in the syntax that Python and ECMA-262 share."""

    expression: str

    def problem(self, value: Any) -> str | None:
        """Say that the text does not match, or None."""
        return None if re.fullmatch(self.expression, value) else f"must match {self.expression}"


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a value that must not be shown in logs, pages or problems."""


Sensitive = Annotated[T, Secret()]
"""`Sensitive[str]`: a value that is never shown."""


def checks_of(annotation: Any) -> Check:
    """Make the one check of a field from its annotation: its type first, then its constraints in their order."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return _all([checks_of(inner), *(m.problem for m in metadata if hasattr(m, "problem"))])
    if get_origin(annotation) in (Union, UnionType):
        return _any([(member, checks_of(member)) for member in get_args(annotation)])
    if get_origin(annotation) is tuple:
        return _items(checks_of(get_args(annotation)[0])) if get_args(annotation) else _instance(tuple)
    if annotation is None or annotation is NoneType:
        return lambda value: None if value is None else f"must be null, is {value!r}"
    return _instance(annotation) if isinstance(annotation, type) else _anything


def _instance(kind: type) -> Check:
    if kind is datetime:
        return _aware
    if kind is int:
        return lambda value: None if type(value) is int else _not_a("an integer", value)
    if kind is float:
        return lambda value: None if type(value) in (int, float) else _not_a("a number", value)
    said = {str: "a text", bool: "true or false", tuple: "a list"}.get(kind, f"a {kind.__name__}")
    # A datetime is a date to isinstance, but it is not one to a reader of the message.
    return lambda value: (
        None if isinstance(value, kind) and not isinstance(value, datetime) else _not_a(said, value)
    )


def _aware(value: Any) -> str | None:
    if not isinstance(value, datetime):
        return _not_a("a date and time", value)
    return None if value.tzinfo is not None else "must have a time zone"


def _not_a(said: str, value: Any) -> str:
    return f"must be {said}, is {value!r}"


def _anything(_: Any) -> None:
    return None


def _all(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(value: Any) -> str | None:
        for each in checks:
            if (problem := each(value)) is not None:
                return problem
        return None

    return check


def _any(members: list[tuple[Any, Check]]) -> Check:
    optional = any(member is NoneType for member, _ in members)
    checks = [check for member, check in members if member is not NoneType]

    def check(value: Any) -> str | None:
        if value is None and optional:
            return None
        problem = None
        for each in checks:
            if (problem := each(value)) is None:
                return None
        return problem

    return check


def _items(item: Check) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, tuple):
            return _not_a("a list", value)
        for index, each in enumerate(value):
            if (problem := item(each)) is not None:
                return f"item {index} {problem}"
        return None

    return check
