"""Only a command writes: whatever else tries to is refused on both databases, by the name of who tried."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, func, insert, select, text, update
from sqlalchemy.orm import Session, registry

from atomos.core.adapters import Database, Sessions, SqlDeliveries, SqlMessageLog, SqlUnitOfWork
from atomos.core.adapters.codec import Codec
from atomos.core.domain import Command, Event, Query
from atomos.core.service import MessageBus, Offer, ReadOnly, Routes, Worker, join
from atomos.core.service.errors import InsideHandling, MadeInvalid
from atomos.core.service.waking import Wake
from atomos.testing import MovedClock
from atomos.testing.probing import SilentMeter

from .conftest import ON_POSTGRESQL, ON_SQLITE
from .worker_samples import FAST

Deed = Callable[[Session], Any]


class Noted(Event, name="notes.noted"):
    text: str = "a"


class Decided(Event, name="notes.decided"):
    """Heard by a trigger that wants more than the event."""


class Seen(Event, name="notes.seen"):
    """Heard by a reaction."""


class Note(Command, name="notes.note"):
    text: str = "a"


class NotesOf(Query[int], name="notes.notes-of"):
    """How many notes?"""


METADATA = MetaData()
NOTES = Table(
    "notes_note",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("text", String(100), nullable=False),
)


class NoteRow:
    """A mapped class, for what an ORM session would flush."""

    id: int
    text: str


registry().map_imperatively(NoteRow, NOTES)


def _nothing(_: Session) -> None:
    """Leave the session alone."""


class Deeds:
    """What a handler does with its session; and the bus, for who would use it."""

    def __init__(self) -> None:
        self.deed: Deed = _nothing
        self.session: Callable[[], Session]
        self.bus: MessageBus


DEEDS = Deeds()


class NotesUnitOfWork(SqlUnitOfWork):
    """Notes."""


def note(command: Note, uow: NotesUnitOfWork) -> None:
    with uow:
        uow.session.execute(insert(NOTES).values(text=command.text))
        return uow.commit()


def notes_of(query: NotesOf, session: Session) -> int:
    DEEDS.deed(session)
    return session.scalar(select(func.count()).select_from(NOTES)) or 0


def look(event: Seen, session: Session) -> None:
    DEEDS.deed(session)


def decide(event: Decided) -> Note | None:
    DEEDS.deed(DEEDS.session())
    return None


ROUTES = Routes(
    triggers={Noted: [Note], Decided: [decide]},
    commands={Note: note},
    reactions={Seen: [look]},
    queries={NotesOf: notes_of},
)


class Notes:
    """The application on a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        joined, wake = join(notes=[ROUTES]), Wake()
        codec = Codec(joined.messages())
        log = SqlMessageLog(database, codec, wake)
        sessions = Sessions(database)
        offers = [
            Offer("uow", lambda: NotesUnitOfWork(database, log), NotesUnitOfWork, "test.uow"),
            Offer("session", sessions.current, Session, "test.session"),
        ]
        offered = {"notes": {each.name: each for each in offers}}
        self.bus = MessageBus(joined, offered, log, MovedClock(), SilentMeter())
        self.worker = Worker(self.bus, SqlDeliveries(database, codec, FAST.lease), wake, FAST)
        DEEDS.bus, DEEDS.session = self.bus, sessions.current
        with database.transaction() as connection:
            METADATA.create_all(connection)

    def count(self) -> int:
        with self.database.look() as connection:
            return connection.exec_driver_sql("select count(*) from notes_note").scalar() or 0


@pytest.fixture
def notes(log_database: Database, monkeypatch: pytest.MonkeyPatch) -> Notes:
    notes = Notes(log_database)
    notes.bus.emit(Noted())
    monkeypatch.setattr(DEEDS, "deed", _nothing)
    return notes


def flush(session: Session) -> None:
    session.add(NoteRow())
    session.flush()


def change_a_row(session: Session) -> None:
    session.scalars(select(NoteRow)).first().text = "b"  # type: ignore[union-attr]
    session.flush()


def commit_and_write(session: Session) -> None:
    """End the transaction that was read-only, and try in the next one."""
    session.execute(select(NOTES))
    session.commit()
    session.execute(insert(NOTES).values(text="b"))
    session.commit()


def roll_back_and_write(session: Session) -> None:
    session.execute(select(NOTES))
    session.rollback()
    session.execute(delete(NOTES))
    session.commit()


def commit_a_flush(session: Session) -> None:
    row = NoteRow()
    row.text = "b"
    session.add(row)
    session.commit()


WRITES: dict[str, Deed] = {
    "insert": lambda session: session.execute(insert(NOTES).values(text="b")),
    "update": lambda session: session.execute(update(NOTES).values(text="b")),
    "delete": lambda session: session.execute(delete(NOTES)),
    "text": lambda session: session.execute(text("delete from notes_note")),
    "create table": lambda session: session.execute(text("create table notes_more (id integer)")),
    "drop table": lambda session: session.execute(text("drop table notes_note")),
    "flush": flush,
    "change a row": change_a_row,
    "commit a flush": commit_a_flush,
    "commit and write": commit_and_write,
    "roll back and write": roll_back_and_write,
    "the connection": lambda session: session.connection().execute(insert(NOTES).values(text="b")),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_query_that_writes_is_refused_by_its_name(notes: Notes, write: Deed) -> None:
    DEEDS.deed = write
    with pytest.raises(ReadOnly, match=r"ATM035: .*test_read_only.py:\d+ notes_of tried to write"):
        notes.bus.ask(NotesOf())
    assert notes.count() == 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_reaction_that_writes_is_refused_by_its_name(notes: Notes, write: Deed) -> None:
    DEEDS.deed = write
    notes.bus.emit(Seen())
    notes.worker.drain()
    with notes.database.look() as connection:
        [(errors,)] = connection.exec_driver_sql("select errors from atomos_delivery")
    assert "ATM035" in str(errors)
    assert "look tried to write" in str(errors)
    assert notes.count() == 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("how", ["emit", "send_later"])
def test_a_trigger_that_writes_is_refused_by_its_name(notes: Notes, write: Deed, how: str) -> None:
    DEEDS.deed = write
    if how == "emit":
        with pytest.raises(ReadOnly, match=r"ATM035: .*test_read_only.py:\d+ decide tried to write"):
            notes.bus.emit(Decided())
    else:
        notes.bus.send_later(Decided())
        notes.worker.drain()
        with notes.database.look() as connection:
            [(errors,)] = connection.exec_driver_sql("select errors from atomos_delivery")
        assert "decide tried to write" in str(errors)
    assert notes.count() == 1


def test_a_trigger_that_uses_the_bus_is_refused_by_its_name(notes: Notes) -> None:
    DEEDS.deed = lambda _: DEEDS.bus.emit(Noted())
    with pytest.raises(InsideHandling, match=r"notes.decide \(.*test_read_only.py:\d+ decide\) used the bus"):
        notes.bus.emit(Decided())
    assert notes.count() == 1


def test_what_a_trigger_makes_that_is_invalid_is_not_the_senders_mistake(notes: Notes) -> None:
    DEEDS.deed = lambda _: Note(text=5)  # type: ignore[arg-type]
    with pytest.raises(MadeInvalid, match="decide"):
        notes.bus.emit(Decided())


def test_after_a_refused_write_the_same_thread_may_write_in_a_command_and_read_again(notes: Notes) -> None:
    for number in range(2, 12):
        DEEDS.deed = WRITES["commit and write"]
        with pytest.raises(ReadOnly):
            notes.bus.ask(NotesOf())
        notes.bus.emit(Noted())
        DEEDS.deed = _nothing
        assert notes.bus.ask(NotesOf()) == number


def test_readers_and_writers_that_share_threads_stay_what_they_are(notes: Notes) -> None:
    refused, failed = [], []
    DEEDS.deed = WRITES["insert"]

    def work() -> None:
        for _ in range(5):
            try:
                notes.bus.emit(Noted())
                notes.bus.ask(NotesOf())
            except ReadOnly as error:
                refused.append(error)
            except Exception as error:  # noqa: BLE001 - there must be none
                failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(refused), failed) == (20, [])
    assert notes.count() == 21


@ON_SQLITE
def test_on_sqlite_a_query_cannot_switch_the_guard_off_for_those_after_it(
    notes: Notes,
) -> None:
    DEEDS.deed = lambda session: session.execute(text("pragma query_only = off"))
    notes.bus.ask(NotesOf())
    DEEDS.deed = WRITES["insert"]
    with pytest.raises(ReadOnly):
        notes.bus.ask(NotesOf())


@ON_POSTGRESQL
def test_on_postgresql_an_explicit_change_of_mode_passes_for_one_transaction(notes: Notes) -> None:
    """The guard is against mistakes; a role that may only select is the wall (`database.reader_url`)."""

    def write_on_purpose(session: Session) -> None:
        session.execute(text("set transaction read write"))
        session.execute(insert(NOTES).values(text="b"))
        session.commit()

    DEEDS.deed = write_on_purpose
    notes.bus.ask(NotesOf())
    DEEDS.deed = WRITES["insert"]
    with pytest.raises(ReadOnly):
        notes.bus.ask(NotesOf())
    assert notes.count() == 2
