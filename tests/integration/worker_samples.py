"""Bells: a small application whose listeners do what a test tells them, put together by hand for the worker."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, text

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog, SqlUnitOfWork
from atomos.core.adapters.codec import Codec
from atomos.core.domain import Command, Event, Message
from atomos.core.service import (
    Backoff,
    Envelope,
    MessageBus,
    Offer,
    Routes,
    Worker,
    WorkerSettings,
    by,
    join,
    parks,
)
from atomos.core.service.handling import current_handling
from atomos.core.service.ports import Meter
from atomos.core.service.waking import Wake
from atomos.testing import MovedClock
from atomos.testing.probing import SilentMeter


class Bell(Message):
    bell: str = "big"
    number: int = 0


class Rung(Bell, Event, name="bells.rung"):
    """Heard by two, each in the order of the bell; one by the other's side."""


class Tolled(Bell, Event, name="bells.tolled"):
    """Heard by one that parks what failed."""


class Called(Bell, Event, name="bells.called"):
    """Heard by one that says what came of it."""


class Answered(Bell, Event, name="bells.answered"):
    """What came of a call."""


class Struck(Bell, Event, name="bells.struck"):
    """Triggers as many commands as `DECISIONS` says."""


class Chimed(Bell, Event, name="bells.chimed"):
    """Triggers one command, in the order of the bell."""


class Whispered(Bell, Event, name="bells.whispered"):
    """Heard by one, in no order."""


class Count(Bell, Command, name="bells.count"):
    """Writes the number down."""


class Script:
    """What the listeners do when they hear something: by name of the listener. All that was heard is in `heard`."""

    def __init__(self) -> None:
        self.deeds: dict[str, Callable[[Any], Any]] = {}
        self.heard: dict[str, list[int]] = defaultdict(list)
        self.effects: list[str] = []

    def perform(self, listener: str, message: Any) -> Any:
        """Note what was heard, and do what the test says."""
        self.heard[listener].append(message.number)
        return self.deeds.get(listener, _nothing)(message)


METADATA = MetaData()
COUNTS = Table(
    "bells_count",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("bell", String(100), nullable=False),
    Column("number", Integer, nullable=False),
)

DECISIONS: list[int] = []
"""Which numbers the trigger decides to count; a test changes it, as a new build would."""


def ring(event: Rung, script: Script, envelope: Envelope) -> None:
    script.effects.append(envelope.effect_id())
    script.perform("ring", event)


def write_down(event: Rung, script: Script) -> None:
    script.perform("write_down", event)


def toll(event: Tolled, script: Script) -> None:
    script.perform("toll", event)


def call(event: Called, script: Script) -> list[Answered]:
    return script.perform("call", event) or []


def hear(event: Answered, script: Script) -> None:
    script.perform("hear", event)


def whisper(event: Whispered, script: Script) -> None:
    script.perform("whisper", event)


def decide(event: Struck) -> list[Count]:
    return [Count(bell=event.bell, number=number) for number in DECISIONS]


class BellsUnitOfWork(SqlUnitOfWork):
    """Counts."""


def count(command: Count, uow: BellsUnitOfWork, script: Script) -> None:
    with uow:
        uow.session.execute(insert(COUNTS).values(bell=command.bell, number=command.number))
        script.perform("count", command)
        return uow.commit()


ROUTES = Routes(
    triggers={Struck: [decide], Chimed: [by("bell", Count)]},
    commands={Count: count},
    reactions={
        Rung: [by("bell", ring), by("bell", write_down)],
        Tolled: [parks(by("bell", toll))],
        Called: [by("bell", call)],
        Answered: [by("bell", hear)],
        Whispered: [whisper],
    },
)


class Row(NamedTuple):
    """A delivery as it is stored."""

    recipient: str
    status: str
    attempts: int
    losses: int
    errors: list[str]


FAST = WorkerSettings(threads=4, lease=5.0, poll=0.02, backoff=Backoff(attempts=3, first=0.02, cap=0.05))
"""Settings with which a test need not wait."""


class Bells:
    """The application on a database. With `clock`, the log's times are the test's, and `drain` is all that works."""

    def __init__(
        self,
        database: Database,
        *,
        clock: MovedClock | None = None,
        routes: Routes = ROUTES,
        lease: float = FAST.lease,
        deliveries: Callable[[SqlDeliveries], SqlDeliveries] = lambda real: real,
        wake: Wake | None = None,
        work: type[BellsUnitOfWork] = BellsUnitOfWork,
        meter: Meter = SilentMeter(),  # noqa: B008 - it has no state
    ) -> None:
        self.database = database
        self.script = Script()
        self.clock = clock or MovedClock()
        self.wake = wake or Wake()
        joined = join(bells=[routes])
        codec = Codec(joined.messages())
        self.log = SqlMessageLog(database, codec, self.wake)
        now = clock.now if clock else None
        self.deliveries = deliveries(SqlDeliveries(database, codec, lease, now=now))
        offers = [
            Offer("script", lambda: self.script, Script, "test.script"),
            Offer("uow", lambda: work(self.database, self.log), work, "test.uow"),
            Offer("envelope", lambda: current_handling().envelope, Envelope, "test.envelope"),  # type: ignore[union-attr]
        ]
        self.bus = MessageBus(
            joined, {"bells": {each.name: each for each in offers}}, self.log, self.clock, meter
        )
        with database.transaction() as connection:
            METADATA.create_all(connection)

    def worker(self, settings: WorkerSettings = FAST) -> Worker:
        """Make a worker."""
        return Worker(self.bus, self.deliveries, self.wake, settings)

    def rows(self, recipient: str = "") -> list[Row]:
        """The deliveries of a recipient, or all, in order."""
        columns = "recipient, status, attempts, losses, errors"
        found = self.look(f"select {columns} from atomos_delivery order by seq")  # noqa: S608
        rows = [Row(*row[:3], row[3], [each["error"] for each in _document(row[4])]) for row in found]
        return [row for row in rows if recipient in ("", row.recipient)]

    def statuses(self, recipient: str) -> list[str]:
        """Their states."""
        return [row.status for row in self.rows(recipient)]

    def counts(self, bell: str = "") -> list[int]:
        """The numbers that commands wrote down for a bell, or for all, in order."""
        found = self.look("select bell, number from bells_count order by id")
        return [row[1] for row in found if bell in ("", row[0])]

    def leases(self) -> list[tuple[str, list[int]]]:
        """Who holds what."""
        return [(row[0], _document(row[1])) for row in self.look("select worker, seqs from atomos_lease")]

    def messages(self, name: str) -> list[str]:
        """The ids of the messages of a name."""
        return [str(row[0]) for row in self.look(f"select id from atomos_message where name = '{name}'")]  # noqa: S608

    def look(self, statement: str) -> list[Any]:
        """What a statement finds."""
        with self.database.look() as connection:
            return list(connection.exec_driver_sql(statement))

    def change(self, statement: str, **values: Any) -> None:
        """Change something behind everyone's back."""
        with self.database.transaction() as connection:
            connection.execute(text(statement), values)


def _document(stored: Any) -> Any:
    return json.loads(stored) if isinstance(stored, str) else stored


def _nothing(_: Any) -> None:
    return None
