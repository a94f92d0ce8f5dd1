"""Waking: a commit of one process is heard by the workers of all, and nothing is lost where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from atomos.core.adapters import Database, SqlDeliveries
from atomos.core.adapters.listener import Listener
from atomos.core.adapters.postgres import Limits, dedicated
from atomos.core.adapters.waking import PostgresWake, SqliteWake, wake_of
from atomos.core.service import Worker
from atomos.core.service.waking import Wake
from atomos.testing.processes import wait_until

from .claim_racer import hasten
from .conftest import ON_POSTGRESQL, ON_SQLITE
from .worker_samples import FAST, Bells, Rung, Tolled

SECONDS = 30.0
PROJECT = Path(__file__).parents[2]
EMIT = """
import sys
from atomos.core.adapters import Database, SqlDeliveries
from atomos.core.adapters.waking import wake_of
from tests.integration.worker_samples import Bells, Rung
database = Database(sys.argv[1])
bells = Bells(database, wake=wake_of(database))
bells.bus.emit(Rung(number=7))
bells.wake.close()
"""


@pytest.fixture
def other(log_url: str) -> Iterator[Callable[..., Bells]]:
    """Make the application as another process has it: with connections and a wake of its own."""
    with ExitStack() as stack:

        def make(listen: bool = True) -> Bells:
            database = hasten(Database(log_url))
            bells = Bells(database, wake=wake_of(database, listen))
            stack.callback(database.close)
            stack.callback(bells.wake.close)
            return bells

        yield make


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start a worker that looks by itself once a minute; it has looked and is waiting."""
    with ExitStack() as stack:

        def start(bells: Bells, poll: float = 60.0) -> Worker:
            worker = bells.worker(FAST._replace(poll=poll))
            worker.start()
            stack.callback(worker.stop)
            bells.bus.emit(Rung(number=0))
            wait_until(lambda: bells.script.heard["ring"] == [0], SECONDS, "the worker to begin")
            wait_until(lambda: set(bells.statuses("bells.ring")) == {"done"}, SECONDS, "the first ring")
            return worker

        yield start


def hears(bells: Bells, *numbers: int) -> Callable[[], bool]:
    return lambda: bells.script.heard["ring"] == [0, *numbers]


def backends(database: Database, name: str) -> list[int]:
    """Name the server's processes that serve connections of a name."""
    with dedicated(database.url, Limits(), "test") as connection:
        query = (
            "select pid from pg_stat_activity where datname = current_database() and application_name = %s"
        )
        return [pid for (pid,) in connection.execute(query, [name])]


def end(database: Database, name: str) -> None:
    """End the connections of a name, from the server's side."""
    with dedicated(database.url, Limits(), "test") as connection:
        for pid in backends(database, name):
            connection.execute("select pg_terminate_backend(%s, 5000)", [pid])


def test_a_commit_of_another_process_wakes_the_worker(other: Any, start: Any) -> None:
    bells, elsewhere = other(), other()
    start(bells)
    for number in range(1, 6):
        elsewhere.bus.emit(Rung(number=number))
        wait_until(hears(bells, *range(1, number + 1)), SECONDS, "the delivery")


@pytest.mark.slow
def test_a_process_that_ends_after_its_commit_has_woken_the_worker(
    log_url: str, other: Any, start: Any
) -> None:
    bells = other()
    start(bells)
    subprocess.run([sys.executable, "-c", EMIT, log_url], cwd=PROJECT, check=True, timeout=SECONDS * 3)
    wait_until(hears(bells, 7), SECONDS, "the delivery")


def test_without_waking_a_commit_of_another_process_is_found_by_looking(other: Any, start: Any) -> None:
    bells, elsewhere = other(listen=False), other(listen=False)
    start(bells, poll=0.1)
    elsewhere.bus.emit(Rung(number=1))
    wait_until(hears(bells, 1), SECONDS, "the delivery")


@ON_POSTGRESQL
def test_only_a_worker_listens_and_only_who_commits_notifies(other: Any, start: Any) -> None:
    idle, serving, working = other(listen=False), other(), other()
    database = idle.database
    assert backends(database, "atomos listener") == backends(database, "atomos notifier") == []
    serving.look("select 1")
    assert backends(database, "atomos notifier") == []
    serving.bus.emit(Rung(number=0))
    wait_until(lambda: len(backends(database, "atomos notifier")) == 1, SECONDS, "the notifier")
    assert backends(database, "atomos listener") == []
    workers = [working.worker(FAST) for _ in range(2)]
    for worker in workers:
        worker.start()
    wait_until(lambda: len(backends(database, "atomos listener")) == 1, SECONDS, "one listener for both")
    workers[0].stop()
    wait_until(lambda: set(working.statuses("bells.ring")) == {"done"}, SECONDS, "the delivery")
    assert len(backends(database, "atomos listener")) == 1
    workers[1].stop()
    assert backends(database, "atomos listener") == []
    for bells in (serving, working):
        bells.wake.close()
    wait_until(lambda: backends(database, "atomos notifier") == [], SECONDS, "no connection")
    assert [each.name for each in threading.enumerate() if each.name.startswith("atomos-")] == []


@ON_POSTGRESQL
@pytest.mark.parametrize("name", ["atomos listener", "atomos notifier"])
def test_a_connection_that_was_ended_is_made_again(other: Any, start: Any, name: str) -> None:
    bells, elsewhere = other(), other()
    start(bells)
    elsewhere.bus.emit(Rung(number=1))
    wait_until(hears(bells, 1), SECONDS, "the first delivery")
    before = set(backends(bells.database, name))
    end(bells.database, name)
    if name == "atomos listener":
        wait_until(lambda: bool(set(backends(bells.database, name)) - before), SECONDS, "another connection")
    elsewhere.bus.emit(Rung(number=2))
    wait_until(hears(bells, 1, 2), SECONDS, "the second delivery")


@ON_POSTGRESQL
def test_what_was_committed_while_nobody_listened_is_looked_for_at_the_next_connect(
    other: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bells, elsewhere = other(), other(listen=False)
    start(bells)
    connect, may_connect = bells.wake._connect, threading.Event()

    def refuse() -> Any:
        if not may_connect.is_set():
            raise psycopg.OperationalError("nobody there")
        return connect()

    monkeypatch.setattr(bells.wake._listener, "_connect", refuse)
    end(bells.database, "atomos listener")
    elsewhere.bus.emit(Rung(number=1))
    assert hears(bells)()
    may_connect.set()
    wait_until(hears(bells, 1), SECONDS, "the delivery")


@ON_POSTGRESQL
def test_behind_a_pooler_where_listen_fails_deliveries_only_take_longer(
    other: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bells, elsewhere = other(), other()
    refused: list[float] = []

    def refuse() -> Any:
        refused.append(time.monotonic())
        raise psycopg.OperationalError("LISTEN is not supported here")

    monkeypatch.setattr(bells.wake, "_connect", refuse)
    start(bells, poll=0.1)
    for number in range(1, 6):
        elsewhere.bus.emit(Rung(number=number))
    wait_until(lambda: sorted(bells.script.heard["ring"]) == [*range(6)], SECONDS, "the deliveries")
    wait_until(lambda: len(refused) >= 3, SECONDS, "some tries")
    assert refused[2] - refused[0] >= 0.14, "it does not try without a pause"


@ON_POSTGRESQL
def test_many_commits_at_once_are_told_together_and_the_last_one_too(log_url: str) -> None:
    database = Database(log_url)
    wake = PostgresWake(database)
    heard: list[int] = []
    listener = Listener(
        lambda: dedicated(database.url, Limits(), "test"), lambda backend, _: heard.append(backend)
    )
    wait_until(lambda: heard == [0], SECONDS, "the connect")
    wake.announce()
    wait_until(lambda: len(heard) == 2, SECONDS, "the first")
    begun = time.monotonic()
    for _ in range(5000):
        wake.announce()
    wake.close()
    passed = time.monotonic() - begun
    wait_until(lambda: len(heard) >= 3, SECONDS, "the others")
    listener.stop()
    database.close()
    assert len(heard) <= 4 + passed / 0.005


@ON_POSTGRESQL
def test_what_this_process_says_does_not_come_back_to_it(log_url: str) -> None:
    database = Database(log_url)
    wake, elsewhere = PostgresWake(database), PostgresWake(database)
    heard: list[int] = []
    listener = Listener(
        lambda: dedicated(database.url, Limits(), "test"), lambda backend, _: heard.append(backend)
    )
    wait_until(lambda: heard == [0], SECONDS, "the connect")
    with wake.listening():
        assert wake.wait(SECONDS), "woken by the connect"
        wake.announce()
        wake.clear()
        wait_until(lambda: len(heard) == 2, SECONDS, "the notification")
        assert not wake.wait(0.2)
        elsewhere.announce()
        assert wake.wait(SECONDS)
    for each in (listener.stop, wake.close, elsewhere.close, database.close):
        each()


@ON_POSTGRESQL
def test_it_is_told_whom_a_commit_is_for_or_that_it_may_be_anyone(log_url: str) -> None:
    database = Database(log_url)
    wake, elsewhere = PostgresWake(database), PostgresWake(database)

    ends = (f"end-{n}" for n in count())

    def hears(*said: Collection[str]) -> set[str]:
        heard, end = set[str](), next(ends)
        for each in (*said, [end]):
            elsewhere.announce(each)
        while end not in heard:  # what was said at once comes in parts
            assert wake.wait(SECONDS)
            if not (part := set(wake.clear())):
                return set()
            heard |= part
        return {each for each in heard if not each.startswith("end-")}

    with wake.listening():
        assert hears() == set(), "after the connect it may be anyone"
        assert hears(["bells.ring"]) == {"bells.ring"}
        assert hears(["bells.ring"], ["bells.toll", "bells.call"]) == {
            "bells.ring",
            "bells.toll",
            "bells.call",
        }
        assert hears(["bells.ring"], []) == set()
        assert hears([f"bells.{'long' * 20}.{n}" for n in range(100)]) == set(), "a payload has 8000 bytes"
    for each in (wake.close, elsewhere.close, database.close):
        each()


def test_whom_a_commit_is_for_is_claimed_without_a_look(log_database: Database, start: Any) -> None:
    class Blind(SqlDeliveries):
        sees = True

        def waiting(self, recipients: Any) -> Any:
            return super().waiting(recipients) if self.sees else []

    bells = Bells(log_database, deliveries=lambda real: Blind(log_database, real._codec))
    start(bells)
    Blind.sees = False
    before = {name: done(bells, name) for name in ("bells.ring", "bells.write_down")}
    numbers = count(1)

    def are_delivered() -> bool:
        bells.bus.emit(Rung(number=next(numbers)))  # again and again: who rests just now is not claimed
        return all(done(bells, name) > many for name, many in before.items())

    wait_until(are_delivered, SECONDS, "deliveries to both")


def done(bells: Bells, recipient: str) -> int:
    return bells.statuses(recipient).count("done")


def test_a_worker_that_is_always_told_of_one_that_is_busy_looks_for_the_others_too(
    log_database: Database, start: Any
) -> None:
    bells, gate = Bells(log_database), threading.Event()
    start(bells, poll=0.1)
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    for number in range(1, 20):
        bells.bus.emit(Rung(bell=f"bell-{number}", number=number))
    wait_until(
        lambda: len(bells.script.heard["ring"]) == FAST.threads, SECONDS, "all but one thread to be busy"
    )
    bells.bus.send_later(Tolled(), delay=timedelta(seconds=1))
    until = time.monotonic() + 5
    while not bells.script.heard["toll"] and time.monotonic() < until:
        bells.wake.set(["bells.ring"])
        time.sleep(0.001)
    assert bells.script.heard["toll"] == [0]
    gate.set()


@ON_POSTGRESQL
def test_after_a_fork_the_child_tells_by_a_connection_of_its_own(other: Any, start: Any) -> None:
    bells, elsewhere = other(), other()
    start(bells)
    elsewhere.bus.emit(Rung(number=1))
    wait_until(hears(bells, 1), SECONDS, "the first delivery")
    bells.wake.clear()
    child = os.fork()
    if child == 0:
        try:
            elsewhere.wake.announce()
            elsewhere.wake.close()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(backends(bells.database, "atomos notifier")) == 2, "those of the parents are untouched"
    elsewhere.bus.emit(Rung(number=2))
    wait_until(hears(bells, 1, 2), SECONDS, "the second delivery")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "looked-at.db"


def test_a_file_that_is_not_there_yet_wakes_nobody_until_it_is(file: Path) -> None:
    wake = SqliteWake(file)
    assert not wake.wait(0.05)
    assert not file.exists(), "looking made it"
    hasten(Database(f"sqlite:///{file}")).writer.connect().close()
    assert wake.wait(SECONDS)
    wake.close()


@ON_SQLITE
def test_on_sqlite_only_a_change_wakes_and_each_change_once(log_url: str) -> None:
    database = hasten(Database(log_url))
    wake = wake_of(database)
    assert wake.wait(SECONDS), "the first look cannot know"
    wake.clear()
    assert not wake.wait(0.2)
    with database.transaction() as connection:
        connection.exec_driver_sql("insert into atomos_recipient (name) values ('x')")
    assert wake.wait(SECONDS)
    wake.clear()
    assert not wake.wait(0.2)
    wake.close()
    database.close()


def test_what_is_ready_for_nobody_wakes_nobody(log_database: Database) -> None:
    class Noted(Wake):
        said: ClassVar[list[Collection[str]]] = []

        def announce(self, recipients: Collection[str] = ()) -> None:
            self.said.append(recipients)

    bells = Bells(log_database, wake=Noted())
    bells.bus.send_later(Rung(bell="one", number=1), delay=timedelta(hours=1))
    assert Noted.said == []
    bells.bus.send_later(Rung(bell="one", number=2))
    (said,) = Noted.said
    assert "bells.ring" in said


def test_a_wake_of_one_process_is_an_event() -> None:
    wake = Wake()
    with wake.listening():
        assert not wake.wait(0.01)
        wake.announce()
        assert wake.wait(0.0)
    wake.clear()
    assert not wake.wait(0.0)
    wake.close()


def test_a_wake_says_whom_it_was_for_until_somebody_may_be_anyone() -> None:
    wake = Wake()
    wake.announce(["a", "b"])
    wake.set(["b", "c"])
    assert set(wake.clear()) == {"a", "b", "c"}
    assert not wake.clear()
    wake.announce(["a"])
    wake.set()
    wake.announce(["b"])
    assert not wake.clear()
    wake.announce(["b"])
    assert set(wake.clear()) == {"b"}
