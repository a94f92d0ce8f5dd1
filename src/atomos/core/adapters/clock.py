"""The clocks: the machine's, the database's, which all hosts agree on, and the one that is provided."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

from ..service.ports import Clock
from .database import Database
from .database_errors import explain

_AGREED_SECONDS = 10.0


class SystemClock(Clock):
    """Tells the machine's time. The log's own times are the database's."""

    def now(self) -> datetime:
        """Give the current time, aware, in UTC."""
        return datetime.now(UTC)


class ProvidedClock(Clock):
    """Tells the time of the clock that is provided whenever it is asked: an override takes effect at once."""

    def __init__(self, provide: Callable[[], Clock]) -> None:
        self._provide = provide

    def now(self) -> datetime:
        """Give the current time, aware, in UTC."""
        return self._provide().now()


class _Told(NamedTuple):
    """What the database said, and when, on the monotonic clock of this process."""

    time: datetime
    at: float


class DatabaseClock(Clock):
    """Tells the database's time: what is due after a delay is so whatever the clock of the host says.

    The database is asked at the first use, and again every ten seconds; in between time goes on by itself. SQLite
    runs in this process, and has the machine's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: _Told | None = None

    def now(self) -> datetime:
        """Give the current time, aware, in UTC. Raises `Unavailable` where the database could never be asked."""
        if self._database.dialect == "sqlite":
            return datetime.now(UTC)
        told = self._told
        if told is None or monotonic() - told.at > _AGREED_SECONDS:
            told = self._told = self._ask(told)
        return told.time + timedelta(seconds=monotonic() - told.at)

    def _ask(self, before: _Told | None) -> _Told:
        begun = monotonic()
        try:
            with self._database.look() as connection:
                time = connection.exec_driver_sql("select clock_timestamp()").scalar_one()
        except Exception as error:
            if before is None:
                raise explain(error, "the clock") or error from error
            # It goes on meanwhile, and asks again in a while: asking may take as long as a connection may.
            late = monotonic()
            return _Told(before.time + timedelta(seconds=late - before.at), late)
        return _Told(time.astimezone(UTC), (begun + monotonic()) / 2)
