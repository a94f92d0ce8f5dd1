"""What failpoints did, each of it told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Struck(NamedTuple):
    """A failpoint that acted: its name, what it did, in which process, when (seconds since 1970)."""

    point: str
    action: str
    process: int
    at: float


class Strikes:
    """Tells what acted since it was last asked; `read` gives all of it, in order."""

    def __init__(self, read: Callable[[], Sequence[Struck]]) -> None:
        self._read = read
        self._told = 0

    def new(self) -> Sequence[Struck]:
        """Give what acted since the last time."""
        rows = self._read()[self._told :]
        self._told += len(rows)
        return rows
