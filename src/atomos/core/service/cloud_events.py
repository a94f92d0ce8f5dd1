"""What a CloudEvent is called: its type says the wire name of an event, and the version."""

from __future__ import annotations

import re

_VERSIONED = re.compile(r"(.+)\.v([1-9][0-9]{0,5})")


def type_of(name: str, version: int) -> str:
    """Write a CloudEvent's type: the wire name, from version 2 on with the version: `allocation.allocated.v2`."""
    return name if version == 1 else f"{name}.v{version}"


def name_of(type_: str) -> tuple[str, int]:
    """Read a CloudEvent's type: the wire name, and the version."""
    versioned = _VERSIONED.fullmatch(type_)
    return (versioned[1], int(versioned[2])) if versioned else (type_, 1)
