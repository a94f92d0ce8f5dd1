"""From what a file or the environment says to a value of a setting's type, within its limits."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from ..core.domain.constraints import checks_of
from .showing import HIDDEN, is_secret, masked

_WORDS: dict[Any, str] = {
    bool: "true or false",
    float: "a number",
    int: "an integer",
    str: "a text",
    dict: "a table",
    list: "a list",
    tuple: "a list",
}


class Refused(ValueError):
    """A value that a setting cannot have; its text is the rest of a sentence that begins with the key."""


def from_toml(value: Any, kind: Any) -> Any:
    """Take a value from TOML, whose types count: `"8"` is no number. Raises Refused."""
    try:
        return _within_limits(msgspec.convert(value, kind), kind)
    except msgspec.ValidationError:
        raise Refused(f"must be {wanted(kind)}") from None


def from_text(text: str, kind: Any) -> Any:
    """Take a value from text: `8`, `true`, `null` for None, JSON for lists and tables. Raises Refused.

    An empty text is refused: a variable that was meant to be filled must not pass for a value.
    """
    if not text:
        raise Refused("must not be empty")
    try:
        text.encode()
        return _within_limits(_converted(text, kind), kind)
    except UnicodeEncodeError:
        raise Refused("must be UTF-8") from None
    except msgspec.DecodeError:
        raise Refused(f"must be {wanted(kind)}") from None


def given(value: Any, kind: Any) -> str:
    """Write what was given, for people: secrets hidden, lists and tables only named."""
    if is_secret(kind):
        return HIDDEN
    return _WORDS[type(value)] if isinstance(value, dict | list) else masked(repr(value))


def wanted(kind: Any) -> str:
    """Name a type for people: `an integer`, `one of 'log', 'smtp'`."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return wanted(parts[0])
    if origin is Literal:
        return f"one of {', '.join(map(repr, parts))}"
    if origin in (Union, UnionType):
        return " or ".join(wanted(part) for part in parts if part is not NoneType)
    return (
        _WORDS.get(origin or kind) or f"a value of type {kind.__name__ if isinstance(kind, type) else kind}"
    )


def _converted(text: str, kind: Any) -> Any:
    # A password may well be "null".
    if text == "null" and NoneType in get_args(kind) and not is_secret(kind):
        return None
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        if text.startswith(("[", "{")):
            return msgspec.json.decode(text, type=kind, strict=False)
        raise


def _within_limits(value: Any, kind: Any) -> Any:
    if problem := checks_of(kind)(value):
        raise Refused(problem.removesuffix(f", is {value}"))
    return value
