"""The clock of the machine."""

from __future__ import annotations

from datetime import UTC, datetime

from ..service.ports import Clock


class SystemClock(Clock):
    """Tells the machine's time. The log's own times are the database's."""

    def now(self) -> datetime:
        """Give the current time, aware, in UTC."""
        return datetime.now(UTC)
