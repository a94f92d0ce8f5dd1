"""JSON objects from others, read strictly: no name twice, and only numbers that are some."""

from __future__ import annotations

import json
from typing import Any


def read_object(text: bytes) -> dict[str, Any]:
    """Read one object. Raises ValueError; what it says may repeat the text."""
    try:
        read = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("It is nested too deeply.") from error
    if not isinstance(read, dict):
        raise ValueError("It is no object.")  # noqa: TRY004 - it is the text that is wrong
    return read


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Whom it names must not depend on which of two a reader takes.
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("A name is there twice.")
    return made


def _no_number(said: str) -> Any:
    raise ValueError(f"{said} is no number.")
