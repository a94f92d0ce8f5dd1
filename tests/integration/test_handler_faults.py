"""Handlers that do what they should not: swallow errors, share their session, want to end the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.orm import registry

from atomos.core.adapters import Database
from atomos.core.domain import Aggregate, Command, Event
from atomos.core.service import Backoff, Conflict, LeaseLost, Routes, by
from atomos.core.service.errors import NotListed
from atomos.testing import MovedClock
from atomos.testing.processes import wait_until

from .worker_samples import COUNTS, FAST, Bell, Bells, BellsUnitOfWork, Script

SECONDS = 20.0
SLOW_TO_RETRY = FAST._replace(backoff=Backoff(attempts=3, first=60, cap=600))


class Pulled(Bell, Event, name="bells.pulled"):
    """Triggers a command."""


class Pull(Bell, Command, name="bells.pull"):
    """Does what the test says, with its unit of work."""


class Swung(Bell, Event, name="bells.swung"):
    """What comes of a pull."""


class Torn(Bell, Event, name="bells.torn"):
    """What must not come of a pull."""


class Rope(Aggregate):
    """Records what a test says."""

    def __init__(self, bell: str) -> None:
        self.bell = bell

    @property
    def identity(self) -> str:
        """Its bell."""
        return self.bell


METADATA = MetaData()
ROPES = Table(
    "bells_rope",
    METADATA,
    Column("bell", String(100), primary_key=True),
    Column("version", Integer, nullable=False),
)
registry(metadata=METADATA).map_imperatively(Rope, ROPES)


class Given(NamedTuple):
    """What the script is given of the handling."""

    number: int
    uow: BellsUnitOfWork

    def write(self) -> None:
        """Change something."""
        self.uow.session.execute(insert(COUNTS).values(bell="big", number=self.number))


def pull(command: Pull, uow: BellsUnitOfWork, script: Script) -> None:
    return script.perform("pull", Given(command.number, uow))  # type: ignore[no-any-return]


def see(event: Swung, script: Script) -> None:
    script.perform("see", event)


ROUTES = Routes(
    triggers={Pulled: [by("bell", Pull)]},
    commands={Pull: pull},
    records={Pull: [Swung]},
    reactions={Swung: [see]},
    ignored={Torn: "It is what must not happen."},
)
PULL = "trigger:bells.pulled:bells.pull"


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def bells(log_database: Database, clock: MovedClock) -> Bells:
    with log_database.transaction() as connection:
        METADATA.create_all(connection)
    return Bells(log_database, clock=clock, routes=ROUTES)


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """A thread beside the handler's."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_a_commit_that_failed_is_not_passed_by_a_second_one_without_its_events(bells: Bells) -> None:
    def commit_until_it_passes(given: Given) -> None:
        rope = Rope("big")
        with given.uow as uow:
            uow.session.add(rope)
            uow.track(rope)
            rope.record(Swung())
            rope.record(Torn())
            try:
                return uow.commit()
            except NotListed:
                return uow.commit()

    bells.script.deeds["pull"] = commit_until_it_passes
    bells.bus.send_later(Pulled())
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.look("select * from bells_rope") == [], "the change came without what it caused"
    [row] = bells.rows(PULL)
    assert row.status == "retrying"
    assert "NotOpen" in row.errors[0]


@pytest.mark.parametrize("inside", [True, False])
def test_a_handler_that_swallows_what_its_commit_raised_has_not_done_it(bells: Bells, inside: bool) -> None:
    def lose_and_swallow(given: Given) -> None:
        def commit() -> None:
            given.write()
            # In the transaction itself, so that the fence finds nothing on either database.
            given.uow.session.connection().exec_driver_sql("delete from atomos_lease")
            given.uow.commit()

        if inside:
            with given.uow:
                try:
                    commit()
                except LeaseLost:
                    caught.append(1)
        else:
            try:
                with given.uow:
                    commit()
            except LeaseLost:
                caught.append(1)

    caught: list[int] = []
    bells.script.deeds["pull"] = lose_and_swallow
    bells.bus.send_later(Pulled(number=7))
    bells.worker(SLOW_TO_RETRY).drain()
    assert caught == [1]
    assert bells.counts() == []
    [row] = bells.rows(PULL)
    assert (row.status, row.attempts) == ("retrying", 1)
    assert "NotCommitted" in row.errors[0]


def test_a_handler_that_swallows_a_conflict_is_tried_again(bells: Bells) -> None:
    def be_late(given: Given) -> None:
        try:
            with given.uow:
                given.write()
                raise Conflict("someone was first")  # noqa: TRY301
        except Conflict:
            return

    def be_in_time(given: Given) -> None:
        with given.uow:
            given.write()
            given.uow.commit()

    deeds = [be_late, be_in_time]
    bells.script.deeds["pull"] = lambda given: deeds.pop(0)(given)
    bells.bus.send_later(Pulled(number=7))
    worker = bells.worker(FAST)
    worker.drain()
    bells.clock.move(minutes=1)
    worker.drain()
    assert (bells.statuses(PULL), bells.counts()) == (["done"], [7])


def test_what_is_raised_after_the_commit_neither_undoes_nor_repeats_it(bells: Bells) -> None:
    def commit_and_fail(given: Given) -> None:
        with given.uow:
            given.write()
            given.uow.commit()
        raise Conflict("of something else")

    bells.script.deeds["pull"] = commit_and_fail
    bells.bus.send_later(Pulled(number=7))
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.counts() == [7]
    assert bells.rows(PULL)[0][1:] == ("done", 1, False, [])
    assert bells.script.heard["pull"] == [7], "what has committed is not tried again"


def test_a_session_that_outlives_its_handling_is_closed_for_good(
    bells: Bells, aside: ThreadPoolExecutor
) -> None:
    late = threading.Event()
    writes: list[Any] = []

    def let_another_go_on(given: Given) -> None:
        session = given.uow.__enter__().session

        def write_later() -> None:
            late.wait(SECONDS)
            session.execute(insert(COUNTS).values(bell="big", number=13))

        writes.append(aside.submit(write_later))
        given.write()
        given.uow.commit()
        given.uow.__exit__(None, None, None)

    bells.script.deeds["pull"] = let_another_go_on
    bells.bus.send_later(Pulled(number=7))
    bells.worker(SLOW_TO_RETRY).drain()
    late.set()
    assert writes[0].exception(SECONDS) is not None, "it wrote outside of every unit of work"
    bells.change("insert into bells_count (bell, number) values ('big', 8)")
    assert bells.counts() == [7, 8]


def test_a_handlers_own_thread_has_no_handling_and_so_no_unit_of_work(
    bells: Bells, aside: ThreadPoolExecutor
) -> None:
    bells.script.deeds["pull"] = lambda given: aside.submit(given.uow.__enter__).result(SECONDS)
    bells.bus.send_later(Pulled(number=7))
    bells.worker(SLOW_TO_RETRY).drain()
    [row] = bells.rows(PULL)
    assert row.status == "retrying"
    assert row.errors[0].startswith("NotOpen")


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(
    "error",
    [SystemExit(3), MemoryError(), RecursionError(), GeneratorExit(), asyncio.CancelledError()],
    ids=repr,
)
def test_whatever_is_raised_fails_one_row_and_frees_what_it_held(
    bells: Bells, error: BaseException, inside: bool
) -> None:
    bells.script.deeds["pull"] = raises_at_the_first(error, inside)
    send_two(bells)
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.statuses(PULL) == ["retrying", "done"]
    assert bells.rows(PULL)[0].errors[0].startswith(type(error).__name__)
    assert (bells.counts(), bells.leases()) == ([2], [])


def test_in_a_thread_of_the_worker_a_keyboard_interrupt_is_the_handlers_own(bells: Bells) -> None:
    bells.script.deeds["pull"] = raises_at_the_first(KeyboardInterrupt(), inside=True)
    send_two(bells)
    worker = bells.worker(SLOW_TO_RETRY)
    worker.start()
    try:
        wait_until(lambda: bells.statuses(PULL) == ["retrying", "done"], SECONDS, "both to end")
        wait_until(lambda: not bells.leases(), SECONDS, "the leases to end")
    finally:
        worker.stop()


def send_two(bells: Bells) -> None:
    for number in (1, 2):
        bells.bus.send_later(Pulled(bell=f"bell-{number}", number=number))


def raises_at_the_first(error: BaseException, inside: bool) -> Callable[[Given], None]:
    def fail(given: Given) -> None:
        if given.number == 1 and not inside:
            raise error
        with given.uow:
            given.write()
            if given.number == 1:
                raise error
            given.uow.commit()

    return fail
