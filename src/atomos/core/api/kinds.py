"""What a field may be made of: how each type is read from JSON and from a URL, and how it is documented."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

import msgspec
from marshmallow import ValidationError

_SHOWN = 100
_INT64 = 1 << 63
_EXACT_DOUBLE = 1 << 53
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_EXACT = re.compile(r"-?[0-9]{1,100}(?:\.[0-9]{1,100})?")


class Unfit(Exception):
    """An annotation that cannot come over HTTP, or go."""


class Kind(NamedTuple):
    """How one type is read from JSON and from a text (a path variable or query parameter), and documented."""

    from_json: Callable[[Any], Any]
    from_text: Callable[[Any], Any]
    keywords: Mapping[str, Any]


def refuse(expected: str, given: Any) -> NoReturn:
    """Say what was expected, and what was given, cut short."""
    shown = repr(given)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    raise ValidationError(f"must be {expected}, is {shown}")


def _text(given: Any) -> str:
    if type(given) is not str:
        refuse("a text", given)
    if "\0" in given:
        raise ValidationError("must not contain the character NUL")
    if not given.isascii() and any("\ud800" <= character <= "\udfff" for character in given):
        raise ValidationError("must not contain half of a surrogate pair")
    return given.strip()


def _without_fraction(given: Any) -> Any:
    # For JSON Schema 1.0 is an integer too. From 2**53 on a digit may be lost, and nothing is stored that nobody sent.
    is_whole = type(given) is float and given.is_integer() and abs(given) < _EXACT_DOUBLE
    return int(given) if is_whole else given


def _whole(given: Any) -> int:
    given = _without_fraction(given)
    if type(given) is not int:
        refuse("an integer", given)
    if not -_INT64 <= given < _INT64:
        raise ValidationError("must be an integer of 64 bits")
    return given


def _whole_text(given: Any) -> int:
    text = str(given).strip()
    if not _WHOLE.fullmatch(text):
        refuse("an integer", given)
    return _whole(int(text))


def _number(given: Any) -> float:
    if type(given) not in (int, float):
        refuse("a number", given)
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValidationError("must be a number of double precision")
    return number


def _number_text(given: Any) -> float:
    try:
        return _number(msgspec.json.decode(str(given).strip()))
    except (msgspec.DecodeError, ValidationError):
        refuse("a number", given)


def _switch(given: Any) -> bool:
    if type(given) is not bool:
        refuse("true or false", given)
    return given


def _switch_text(given: Any) -> bool:
    text = str(given).strip()
    return text == "true" if text in ("true", "false") else refuse("true or false", given)


def _exact(given: Any) -> Decimal:
    if type(given) is not str or not _EXACT.fullmatch(text := given.strip()):
        refuse("a decimal number written as a text, such as '12.50'", given)
    return Decimal(text)


def _written(kind: Any, expected: str) -> Callable[[Any], Any]:
    def read(given: Any) -> Any:
        try:
            return msgspec.convert(given.strip() if type(given) is str else given, kind)
        except msgspec.ValidationError:
            refuse(expected, given)

    return read


_moment = _written(datetime, "a date and time with a time zone, such as '2026-01-31T12:30:00Z'")


def _instant(given: Any) -> datetime:
    moment: datetime = _moment(given)
    try:
        if moment.tzinfo is not None and moment.astimezone(UTC):
            return moment
    except OverflowError:
        pass
    refuse("a date and time with a time zone, such as '2026-01-31T12:30:00Z'", given)


_day = _written(date, "a date, such as '2026-01-31'")
_uuid = _written(UUID, "a UUID")

_DECIMAL = {"type": "string", "format": "decimal", "pattern": r"^-?[0-9]+(?:\.[0-9]+)?$"}

KINDS: Mapping[type, Kind] = {
    str: Kind(_text, lambda given: _text(str(given)), {"type": "string"}),
    int: Kind(_whole, _whole_text, {"type": "integer", "format": "int64"}),
    float: Kind(_number, _number_text, {"type": "number", "format": "double"}),
    bool: Kind(_switch, _switch_text, {"type": "boolean"}),
    Decimal: Kind(_exact, lambda given: _exact(str(given)), _DECIMAL),
    datetime: Kind(_instant, _instant, {"type": "string", "format": "date-time"}),
    date: Kind(_day, _day, {"type": "string", "format": "date"}),
    UUID: Kind(_uuid, _uuid, {"type": "string", "format": "uuid"}),
}
"""The one table of types that a field may have, besides enums, tuples, value objects and what may be None."""


def kind_of(plain: Any) -> Kind:
    """Give the kind of a plain type. Raises `Unfit`."""
    if plain in KINDS:
        return KINDS[plain]
    if isinstance(plain, type) and issubclass(plain, Enum):
        return _choice(plain)
    name = getattr(plain, "__name__", plain)
    known = ", ".join(kind.__name__ for kind in KINDS)
    raise Unfit(f"{name} has no form in JSON; use {known}, an Enum, a tuple or a ValueObject")


def _choice(kind: type[Enum]) -> Kind:
    # The type is part of the key, because true equals 1.
    members = {(type(member.value), member.value): member for member in kind}
    texts = {str(member.value): member for member in kind}
    expected = f"one of {', '.join(repr(member.value) for member in kind)}"

    def read(given: Any) -> Enum:
        key = given.strip() if type(given) is str else _without_fraction(given)
        member = members.get((type(key), key)) if type(key) in (str, int) else None
        return refuse(expected, given) if member is None else member

    def read_text(given: Any) -> Enum:
        member = texts.get(str(given).strip())
        return refuse(expected, given) if member is None else member

    types = {str: "string", int: "integer"}
    named = {types[type(member.value)] for member in kind if type(member.value) in types}
    keywords = {
        "enum": [member.value for member in kind],
        **({"type": named.pop()} if len(named) == 1 else {}),
    }
    return Kind(read, read_text, keywords)
