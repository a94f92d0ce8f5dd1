"""A database that ends connections, loses answers, is stopped, killed, held up, or kept busy."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from atomos.core.service import Conflict, InFlight
from atomos.core.service.ports import Unavailable
from atomos.testing.databases import need_service
from atomos.testing.faults import Scenario
from atomos.testing.faults.ledger.driving import drive
from atomos.testing.processes import wait_until
from atomos.testing.servers import PostgresServer

from .conftest import ON_POSTGRESQL, ON_SQLITE, MakeScenario, Sound, drive_all
from .wire import Cut, Wire

pytestmark = pytest.mark.timeout(300)

IS_LONG = os.environ.get("ATOMOS_TEST_FAULTS") == "long"
TIMES = [1, 10] if IS_LONG else [1]
NUMBERS = range(30)
SECONDS = 60.0

COMMITS = {
    "a command": Cut(("ledger_entry",)),
    "what came of a reaction": Cut(("insert into atomos_message", "completed_at"), ("ledger_entry",)),
    "a claim": Cut(("insert into atomos_lease",)),
    "a completion": Cut(("set status = 'done'", "atomos_lease"), ("atomos_message", "ledger_entry")),
    "a failure": Cut(("jsonb_build_object('at'",)),
}
"""Transactions of a worker by what is said in them, and in no others."""

TRANSACTIONS = {
    "before": {
        "commit.before",
        "append.before",
        "claim.inside",
        "completion.inside",
        "retrying.inside",
        "burial.inside",
        "tidying.inside",
    },
    "after": {
        "commit.after",
        "append.after",
        "claim.after",
        "completion.after",
        "retrying.after",
        "burial.after",
    },
}
"""Failpoints of a worker's transactions: where nothing is committed, and where all is and an error follows."""


@pytest.fixture
def wire(ledger_url: str) -> Iterator[Wire]:
    """A way to the database of the test."""
    with Wire(ledger_url) as wire:
        yield wire


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that nobody else needs."""
    try:
        server = PostgresServer()
    except FileNotFoundError as error:
        need_service("PostgreSQL's programs", error)
        raise
    with server:
        server.run("create database ledger")
        yield server


class Load:
    """Drives numbers in a thread of its own; what failed is sent again, as a client does that has an id for it."""

    def __init__(self, scenario: Scenario, numbers: Sequence[int]) -> None:
        self.refused = 0
        self.taken = 0
        self._scenario = scenario
        self._numbers = numbers
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until all were taken."""
        self._thread.join(SECONDS * 2)
        assert self.taken == len(self._numbers), "the load was not taken"

    def _drive(self) -> None:
        for number in self._numbers:
            while not self._is_taken(number):
                self.refused += 1
                threading.Event().wait(0.1)
            self.taken += 1

    def _is_taken(self, number: int) -> bool:
        # Whatever else it is told, a client could not know that it may come again.
        with suppress(Unavailable, Conflict, InFlight):
            drive(self._scenario.bus, number)
            return True
        return False


def terminate(url: str, which: str = "true") -> int:
    """End the connections of a database, all but one's own; say how many."""
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False)) as connection:
        found = connection.execute(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"  # noqa: S608 - a test's own words
            f" where datname = current_database() and pid <> pg_backend_pid() and {which}"
        ).fetchone()
    assert found is not None
    return int(found[0])


@ON_POSTGRESQL
def test_connections_that_are_ended_again_and_again_lose_nothing(
    scenario: Scenario, ledger_url: str, is_sound: Sound
) -> None:
    workers = [scenario.start_worker() for _ in range(2)]
    load = Load(scenario, NUMBERS)
    ended = 0

    def is_enough() -> bool:
        nonlocal ended
        ended += terminate(ledger_url)
        return ended > 30

    wait_until(is_enough, SECONDS, "connections to end")
    load.wait()
    scenario.settle(tended=False)
    assert all(worker.is_running for worker in workers), "a worker outlives its connections"
    is_sound(scenario, NUMBERS)


@ON_POSTGRESQL
@pytest.mark.parametrize("heard", [True, False], ids=["done", "lost"])
@pytest.mark.parametrize("times", TIMES)
def test_commits_of_a_worker_whose_answers_are_lost_are_neither_lost_nor_done_twice(
    scenario: Scenario, wire: Wire, is_sound: Sound, heard: bool, times: int
) -> None:
    numbers = range(len(NUMBERS) * times)
    cuts = [replace(cut, heard=heard) for cut in COMMITS.values()] * times
    wire.cuts = list(cuts)
    drive_all(scenario, numbers)
    scenario.start_worker(settings={"ATOMOS_DATABASE__URL": wire.url})
    scenario.settle(SECONDS * times, tended=False)
    assert Counter(wire.done) == Counter(cuts), "not each was cut"
    is_sound(scenario, numbers)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_transaction_of_a_worker_that_fails_or_only_seems_to_is_neither_lost_nor_done_twice(
    scenario: Scenario, is_sound: Sound, when: str
) -> None:
    points = TRANSACTIONS[when]
    for point in points:
        scenario.arm(point, "raise")
    drive_all(scenario, NUMBERS)
    worker = scenario.start_worker()
    wait_until(lambda: {each.point for each in scenario.struck()} == points, SECONDS, "all to fail")
    scenario.settle(tended=False)
    assert worker.is_running
    is_sound(scenario, NUMBERS)


@ON_POSTGRESQL
@pytest.mark.parametrize("heard", [True, False], ids=["done", "lost"])
def test_an_emit_whose_commit_was_not_answered_is_safe_to_repeat(
    make_scenario: MakeScenario, wire: Wire, is_sound: Sound, heard: bool
) -> None:
    through = make_scenario(ATOMOS_DATABASE__URL=wire.url)
    cut = replace(COMMITS["a command"], heard=heard)
    wire.cuts = [cut]
    number = 1  # of an account that is served at once
    if heard:
        drive(through.bus, number)  # the log is looked into once more, and has the answer
    else:
        with pytest.raises(Unavailable):
            drive(through.bus, number)
        drive(through.bus, number)
    drive(through.bus, number)
    assert wire.done == [cut]
    through.start_worker()
    through.settle(tended=False)
    is_sound(through, [number])


@ON_POSTGRESQL
@pytest.mark.parametrize("afterwards", ["let go", "severed"])
def test_a_worker_whose_database_vanished_without_a_word_is_replaced_and_comes_back(
    scenario: Scenario, wire: Wire, is_sound: Sound, afterwards: str
) -> None:
    scenario.start_worker(settings={"ATOMOS_DATABASE__URL": wire.url})
    drive_all(scenario, NUMBERS[:10])
    wait_until(lambda: bool(scenario.look("select 1 from atomos_lease")), SECONDS, "a lease")
    wire.hold()
    drive_all(scenario, NUMBERS[10:])
    scenario.start_worker()
    scenario.settle(tended=False)
    is_sound(scenario, NUMBERS)
    # What was on its way arrives after all, or never.
    if afterwards == "severed":
        wire.sever()
    wire.let_go()
    more = range(len(NUMBERS), len(NUMBERS) + 10)
    scenario.workers[1].kill()
    drive_all(scenario, more)
    scenario.settle(tended=False)
    is_sound(scenario, [*NUMBERS, *more])


def crash(server: PostgresServer) -> None:
    """End it at once, and start it again: it recovers from its log."""
    server.kill()
    server.start()


def stand_still(server: PostgresServer) -> None:
    """Stop it where it is for a second."""
    server.freeze()
    threading.Event().wait(1)
    server.thaw()


def stay_away(server: PostgresServer) -> None:
    """Be gone for longer than a lease lasts."""
    server.stop()
    threading.Event().wait(60 if IS_LONG else 6)
    server.start()


@pytest.mark.services
@pytest.mark.parametrize("harm", [PostgresServer.restart, crash, stand_still, stay_away])
def test_a_server_that_is_away_under_load_is_waited_for(
    server: PostgresServer,
    tmp_path: Path,
    is_sound: Sound,
    harm: Callable[[PostgresServer], None],
) -> None:
    with Scenario(tmp_path, server.url("ledger")) as scenario:
        workers = [scenario.start_worker() for _ in range(2)]
        load = Load(scenario, NUMBERS)
        wait_until(lambda: scenario.number("select count(*) from ledger_entry") > 5, SECONDS, "some entries")
        harm(server)
        load.wait()
        scenario.settle(tended=False)
        assert all(worker.is_running for worker in workers)
        is_sound(scenario, NUMBERS)


@ON_POSTGRESQL
def test_a_transaction_that_somebody_leaves_open_holds_up_nothing(
    scenario: Scenario, ledger_url: str, is_sound: Sound
) -> None:
    url = make_url(ledger_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as open_one:
        open_one.execute("set transaction isolation level repeatable read")
        open_one.execute("select count(*) from atomos_delivery")
        open_one.execute("lock table ledger_account in row exclusive mode")
        scenario.start_worker()
        drive_all(scenario, NUMBERS)
        scenario.settle(tended=False)
        seen = open_one.execute("select count(*) from atomos_delivery").fetchone()
        assert seen == (0,), "its snapshot is from before all that"
    is_sound(scenario, NUMBERS)


@ON_SQLITE
def test_a_reader_that_stays_holds_up_nobody_and_a_writer_that_stays_only_while_it_stays(
    scenario: Scenario, ledger_url: str, is_sound: Sound
) -> None:
    with closing(sqlite3.connect(str(make_url(ledger_url).database), isolation_level=None)) as other:
        other.execute("begin")
        other.execute("select count(*) from atomos_delivery").fetchone()
        scenario.start_worker()
        drive_all(scenario, NUMBERS[:15])
        scenario.settle(tended=False)
        other.execute("rollback")
        other.execute("begin immediate")
        load = Load(scenario, NUMBERS[15:])
        wait_until(lambda: load.refused > 0, SECONDS, "the load to be refused")
        other.execute("rollback")
        load.wait()
    scenario.settle(tended=False)
    is_sound(scenario, NUMBERS)
