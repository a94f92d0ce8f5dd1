"""A clock that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from atomos.core.service import Clock


class MovedClock(Clock):
    """Goes on like the machine's, from wherever a test moved it to."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Give the moved time, aware, in UTC."""
        return datetime.now(UTC) + self._ahead

    def move(self, **by: float) -> None:
        """Move it, by the units of `timedelta`: `clock.move(hours=1)`; back, with a negative number."""
        self._ahead += timedelta(**by)
