"""Chimes: a small application with a schedule, put together by hand, as each of two builds has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog, SqlSchedules
from atomos.core.adapters.codec import Codec
from atomos.core.domain import Event
from atomos.core.service import MessageBus, Offer, Routes, Schedule, Worker, WorkerSettings, every, join
from atomos.core.service.waking import Wake
from atomos.testing import MovedClock
from atomos.testing.probing import SilentMeter

from .worker_samples import FAST


class HourEnded(Event, name="chimes.hour-ended"):
    """What the schedule emits."""

    at: datetime


class Heard:
    """Every hour that somebody heard of, in order."""

    def __init__(self) -> None:
        self.hours: list[datetime] = []
        self.deed: Callable[[HourEnded], None] = lambda _: None


def hour_ended(tick: datetime) -> HourEnded:
    return HourEnded(at=tick)


def hear(event: HourEnded, heard: Heard) -> None:
    heard.hours.append(event.at)
    heard.deed(event)


HOURLY = every("0 * * * *", hour_ended)


class Chimes:
    """The application on a database; with a clock, the log's times are the test's."""

    def __init__(
        self,
        database: Database,
        schedule: Schedule | None = HOURLY,
        *,
        clock: MovedClock | None = None,
        heard: Heard | None = None,
        name: str = "chimes",
    ) -> None:
        self.database = database
        self.heard = heard or Heard()
        self.clock = clock or MovedClock()
        self.wake = Wake()
        schedules = {} if schedule is None else {name: schedule}
        joined = join(chimes=[Routes(reactions={HourEnded: [hear]}, schedules=schedules)])
        codec = Codec(joined.messages(), joined.upcasts, joined.declarations())
        log = SqlMessageLog(database, codec, self.wake)
        now = clock.now if clock else None
        self.deliveries = SqlDeliveries(database, codec, FAST.lease, now=now)
        self.schedules = SqlSchedules(database, log, codec, now=now)
        offers = {"heard": Offer("heard", lambda: self.heard, Heard, "test.heard")}
        self.bus = MessageBus(
            joined, {"chimes": offers}, log, self.clock, SilentMeter(), schedules=lambda: self.schedules
        )

    def worker(self, settings: WorkerSettings = FAST) -> Worker:
        return Worker(self.bus, self.deliveries, self.wake, settings)

    def drain(self) -> int:
        return self.worker().drain()

    def look(self, statement: str) -> list[Any]:
        with self.database.look() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def change(self, statement: str) -> None:
        with self.database.transaction() as connection:
            connection.exec_driver_sql(statement)

    def state(self) -> list[Any]:
        """The states of the schedules' deliveries, with their attempts."""
        return self.look("select status, attempts from atomos_delivery where recipient like 'schedule:%%'")
