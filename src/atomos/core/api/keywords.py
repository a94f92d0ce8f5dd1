"""What constraints are called in JSON Schema, and examples of what fits them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, get_origin
from uuid import UUID

import msgspec

from ..domain.constraints import AtLeast, AtMost, Example, Length, Pattern, Secret, checks_of
from .kinds import Unfit

# White space for Python, for ECMA-262 or for both: what is trimmed is never the only thing in a text.
_SEEN = r"[^\x00\s\x1c-\x1f\x85\uFEFF]"
_ANY = r"[^\x00]*"
_PROBES = ("\0", "a\0", " ")

_EXAMPLES: dict[type, tuple[Any, ...]] = {
    int: (1,),
    float: (1.5,),
    Decimal: (Decimal("12.50"),),
    date: (date(2026, 1, 31),),
    datetime: (datetime.fromisoformat("2026-01-31T12:30:00Z"),),
    UUID: (UUID("0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"),),
}


def keywords(plain: Any, constraints: tuple[Any, ...], *, is_read: bool) -> dict[str, Any]:
    """Write constraints as JSON Schema has them; `is_read` says that the value comes in a request."""
    said: dict[str, Any] = {}
    sizes = ("minItems", "maxItems") if get_origin(plain) in (tuple, list) else ("minLength", "maxLength")
    for each in constraints:
        match each:
            case Length(at_least, at_most):
                said.update({sizes[0]: at_least} if at_least else {})
                said.update({} if at_most is None else {sizes[1]: at_most})
            # A decimal is documented as a text, where these two words of JSON Schema mean nothing.
            case AtLeast(minimum):
                said["x-minimum" if plain is Decimal else "minimum"] = minimum
            case AtMost(maximum):
                said["x-maximum" if plain is Decimal else "maximum"] = maximum
            case Pattern(expression):
                said["pattern"] = f"^(?:{expression})$"
            case Secret() if plain is str:
                said["format"] = "password"
    if plain is str and is_read:
        said.update(_trimmed(said))
    return said


def examples(name: str, plain: Any, constraints: tuple[Any, ...]) -> list[Any]:
    """Give the examples that an annotation has, or else one that is derived from it. Raises `Unfit`.

    A text's is the name of its field; what is secret, and what fits no derived example, has none.
    """
    problem = checks_of(Annotated[(plain, *constraints)] if constraints else plain)
    given = [each.value for each in constraints if isinstance(each, Example)]
    for value in given:
        if (wrong := problem(value)) is not None:
            raise Unfit(f"its example {wrong}")
    if not given and not any(isinstance(each, Secret) for each in constraints):
        given = [each for each in _derived(name, plain, constraints) if problem(each) is None][:1]
    return [msgspec.to_builtins(each) for each in given]


def _trimmed(said: dict[str, Any]) -> dict[str, Any]:
    # The edge trims a text, and counts only then; and no text may have the character NUL.
    least = said.get("minLength", 0)
    seen = _SEEN if least == 1 else rf"{_SEEN}[^\x00]{{{least - 2},}}{_SEEN}"
    pattern = f"^{_ANY}{seen}{_ANY}$" if least else f"^{_ANY}$"
    if "pattern" not in said:
        return {"pattern": pattern}
    takes_more = any(re.search(said["pattern"], probe) for probe in _PROBES)
    return {"allOf": [{"pattern": pattern}]} if takes_more else {}


def _derived(name: str, plain: Any, constraints: tuple[Any, ...]) -> Iterator[Any]:
    if isinstance(plain, type) and issubclass(plain, Enum):
        return  # all that it can be is listed anyway
    if plain is str and name:
        longest = min(
            (each.at_most for each in constraints if isinstance(each, Length) and each.at_most), default=None
        )
        yield name[:longest]
    yield from _EXAMPLES.get(plain, ())
    for each in constraints:
        match each:
            case AtLeast(limit) | AtMost(limit) if plain in (int, float, Decimal):
                yield plain(limit)
