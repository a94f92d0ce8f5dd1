"""Connections: the log has its own, each has its time limits, and none is trusted for life."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from psycopg.errors import UndefinedTable
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from atomos.core.adapters import Database
from atomos.core.adapters.database_errors import explain
from atomos.core.adapters.postgres import Limits, arguments, dedicated
from atomos.core.service import Unavailable, Worker
from atomos.testing.processes import wait_until

from .claim_racer import hasten
from .conftest import ON_POSTGRESQL, ON_SQLITE
from .worker_samples import FAST, Bells, Rung

SECONDS = 30.0
MOST = 15
"""So many connections a pool of the application has, at the most."""


@pytest.fixture
def database(log_url: str) -> Iterator[Database]:
    """The database, by an application that does not wait for a free connection for long."""
    database = hasten(Database(log_url, pool_timeout=0.1))
    yield database
    database.close()


@pytest.fixture
def taken(database: Database) -> Iterator[Any]:
    """Take all connections of some pools, until the test ends."""
    with ExitStack() as stack:

        def take(*engines: Engine, count: int = MOST) -> None:
            for engine in engines:
                for _ in range(count):
                    stack.enter_context(engine.connect())

        yield take


@pytest.fixture
def worker(database: Database) -> Iterator[Any]:
    with ExitStack() as stack:

        def start(bells: Bells, **settings: Any) -> Worker:
            worker = bells.worker(FAST._replace(**settings))
            worker.start()
            stack.callback(worker.stop)
            return worker

        yield start


def is_done(bells: Bells) -> bool:
    return set(bells.statuses("bells.ring")) == {"done"}


def test_an_application_that_takes_all_its_connections_does_not_stop_deliveries(
    database: Database, taken: Any, worker: Any
) -> None:
    bells = Bells(database)
    taken(database.writer, database.reader)
    with pytest.raises(Exception, match="QueuePool limit"):
        database.writer.connect()
    worker(bells)
    for number in range(20):
        bells.bus.emit(Rung(bell=f"bell-{number}", number=number))
    wait_until(lambda: is_done(bells), SECONDS, "the deliveries")


def test_no_thread_of_a_worker_waits_for_a_connection_behind_another(
    database: Database, taken: Any, worker: Any
) -> None:
    bells = Bells(database)
    taken(database.log, database.claims, database.renewals, count=4)
    worker(bells)
    for number in range(20):
        bells.bus.emit(Rung(bell=f"bell-{number}", number=number))
    wait_until(lambda: is_done(bells), SECONDS, "the deliveries")


def test_leases_are_renewed_while_all_other_connections_are_taken(
    log_url: str, database: Database, taken: Any, worker: Any
) -> None:
    bells, gate = Bells(database, lease=0.6), threading.Event()
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    bells.bus.emit(Rung())
    worker(bells, lease=0.6)
    wait_until(lambda: bells.script.heard["ring"] == [0], SECONDS, "the ring")
    taken(database.writer, database.reader, database.log, database.claims)
    kept_until = time.monotonic() + 2
    others = Bells(Database(log_url), lease=0.6)
    worker(others, lease=0.6)
    wait_until(lambda: time.monotonic() > kept_until, SECONDS, "three leases' time")
    gate.set()
    wait_until(lambda: is_done(bells), SECONDS, "the ring to be completed")
    assert others.script.heard["ring"] == []
    others.database.close()


ENGINES = {"writer": "10s", "reader": "10s", "log": "10s", "claims": "2s", "renewals": "10s"}


@ON_POSTGRESQL
@pytest.mark.parametrize("name", ENGINES)
def test_every_connection_has_its_limits(log_url: str, name: str) -> None:
    database = Database(log_url, statement_timeout=7, lock_timeout=3)
    with getattr(database, name).connect() as connection:
        shown = {
            each: connection.exec_driver_sql(f"show {each}").scalar()
            for each in ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout")
        }
        link = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
        waits_for_the_disk = connection.exec_driver_sql("show synchronous_commit").scalar()
    database.close()
    assert list(shown.values()) == [ENGINES[name], "7s", "3s"]
    assert waits_for_the_disk == ("off" if name == "claims" else "on")
    assert link["application_name"] == f"atomos {name}"
    assert link.get("target_session_attrs") == (None if name == "reader" else "read-write")
    assert {each: link[each] for each in ("connect_timeout", "tcp_user_timeout", "keepalives_idle")} == {
        "connect_timeout": "5",
        "tcp_user_timeout": "15000",
        "keepalives_idle": "5",
    }


@ON_POSTGRESQL
def test_a_dedicated_connection_has_them_too_and_what_it_asks_for(log_url: str) -> None:
    database = Database(log_url)
    with dedicated(database.url, Limits(lock=4), "atomos test", synchronous_commit="off") as connection:
        for setting, value in (
            ("lock_timeout", "4s"),
            ("statement_timeout", "30s"),
            ("synchronous_commit", "off"),
        ):
            assert connection.execute(f"show {setting}").fetchone() == (value,)
        assert connection.info.get_parameters()["tcp_user_timeout"] == "15000"
        assert connection.autocommit
    database.close()


@ON_POSTGRESQL
def test_what_the_url_says_of_the_connection_comes_first(log_url: str) -> None:
    url = Database(log_url).url.update_query_dict(
        {"application_name": "mine", "options": "-c work_mem=5MB", "target_session_attrs": "any"}
    )
    given = arguments(url, Limits(), "atomos")
    assert "application_name" not in given and "target_session_attrs" not in given
    database = Database(url.render_as_string(hide_password=False))
    with database.writer.connect() as connection:
        assert connection.exec_driver_sql("show application_name").scalar() == "mine"
        assert connection.exec_driver_sql("show work_mem").scalar() == "5MB"
        assert connection.exec_driver_sql("show lock_timeout").scalar() == "5s"
    database.close()


def end_all(database: Database) -> None:
    """End every connection to a database, from the server's side."""
    with dedicated(database.url.set(database="postgres"), Limits(), "test") as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
            [database.url.database],
        )


@ON_POSTGRESQL
def test_a_connection_that_was_lost_while_it_rested_is_replaced_before_it_is_used(database: Database) -> None:
    engines = (*database.writers, database.reader)
    for engine in engines:
        with engine.connect() as connection:
            connection.exec_driver_sql("select 1")
    end_all(database)
    rested = time.monotonic() + 1.1
    wait_until(lambda: time.monotonic() > rested, SECONDS, "a rest")
    for engine in engines:
        with engine.connect() as connection:
            assert connection.exec_driver_sql("select 1").scalar() == 1


@ON_POSTGRESQL
def test_after_one_was_lost_none_of_its_pool_is_trusted(database: Database) -> None:
    taken = [database.writer.connect() for _ in range(4)]
    for connection in taken:
        connection.exec_driver_sql("select 1")
        connection.rollback()
    end_all(database)
    with pytest.raises(OperationalError) as raised:
        taken[0].exec_driver_sql("select 1")
    assert isinstance(explain(raised.value, "here"), Unavailable)
    for connection in taken:
        connection.close()
    for _ in range(4):
        with database.writer.connect() as connection:
            assert connection.exec_driver_sql("select 1").scalar() == 1


@ON_POSTGRESQL
def test_a_connection_that_just_worked_costs_no_round_trip(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pings: list[object] = []
    dialect = database.writer.dialect
    ping = dialect.do_ping
    monkeypatch.setattr(dialect, "do_ping", lambda connection: pings.append(connection) or ping(connection))
    for _ in range(10):
        with database.writer.connect() as connection:
            connection.exec_driver_sql("select 1")
    assert len(pings) <= 1
    rested = time.monotonic() + 1.1
    wait_until(lambda: time.monotonic() > rested, SECONDS, "a rest")
    before = len(pings)
    with database.writer.connect():
        assert len(pings) == before + 1


@ON_SQLITE
def test_on_sqlite_a_look_does_not_wait_for_the_readers_of_the_application(
    database: Database, taken: Any
) -> None:
    taken(database.reader)
    with database.look() as connection:
        assert connection.execute(text("select 1")).scalar() == 1


@ON_POSTGRESQL
def test_a_glance_is_on_the_connection_that_the_next_unit_of_work_takes_and_leaves_it_as_it_was(
    database: Database,
) -> None:
    with database.glance() as driver:
        assert driver.autocommit
    with database.writer.connect() as connection:
        assert connection.connection.driver_connection is driver
        assert not driver.autocommit


@ON_POSTGRESQL
def test_a_glance_that_fails_lets_its_connection_go(database: Database) -> None:
    with pytest.raises(UndefinedTable), database.glance() as driver:
        driver.execute("select from nowhere")
    assert driver.closed
    with database.writer.connect() as connection:
        assert connection.scalar(text("select 1")) == 1
