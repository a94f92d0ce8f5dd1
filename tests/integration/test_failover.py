"""A server that takes no writes any more is noticed and left, and gone back to, without a restart of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from atomos.core.adapters import CORE, Database, upgrade
from atomos.core.service import Unavailable
from atomos.testing.processes import wait_until
from atomos.testing.servers import PostgresServer

from .worker_samples import FAST, Bells, Rung

SECONDS = 60.0

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def shared() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def server(shared: PostgresServer) -> Iterator[PostgresServer]:
    """A server that takes writes before and after the test."""
    yield shared
    shared.be_read_only(False)


@pytest.fixture
def fresh(server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of it."""
    count = server.run("select count(*) from pg_database")[0][0]
    name = f"test_{count}"
    server.run(f"create database {name}")  # type: ignore[arg-type]
    return server.url(name)


@pytest.fixture
def open_bells() -> Iterator[Callable[[str], Bells]]:
    """Make the application, and its tables where they are missing; everything is stopped after the test."""
    with ExitStack() as stack:

        def make(url: str) -> Bells:
            database = Database(url)
            stack.callback(database.close)
            upgrade(database, [CORE])
            bells = Bells(database)
            worker = bells.worker(FAST)
            worker.start()
            stack.callback(worker.stop)
            return bells

        yield make


def ring(bells: Bells, number: int) -> bool:
    """Ring; False where the database cannot take it just now."""
    try:
        bells.bus.emit(Rung(number=number))
    except Unavailable:
        return False
    return True


def all_done(bells: Bells, count: int) -> Callable[[], bool]:
    return lambda: bells.statuses("bells.ring") == ["done"] * count


def test_a_worker_survives_a_server_that_becomes_read_only_and_goes_on_when_it_takes_writes(
    server: PostgresServer, fresh: str, open_bells: Any
) -> None:
    bells = open_bells(fresh)
    assert ring(bells, 1)
    wait_until(all_done(bells, 1), SECONDS, "the first ring")
    server.be_read_only()
    assert not ring(bells, 2), "a write was taken"
    assert not ring(bells, 2)
    server.be_read_only(False)
    wait_until(lambda: ring(bells, 3), SECONDS, "a write to be taken")
    wait_until(all_done(bells, 2), SECONDS, "the deliveries")
    assert bells.script.heard["ring"] == [1, 3]


@pytest.fixture
def client(fresh: str, make_atomos: Any) -> Iterator[FlaskClient]:
    """The reference service over HTTP, on that database."""
    application = make_atomos(fresh)
    application.migrate()
    yield application.init_app(Flask("failover")).test_client()
    application.close()


def test_http_says_503_while_the_server_is_read_only_and_reads_go_on(
    server: PostgresServer, client: FlaskClient
) -> None:
    def receive(number: int) -> int:
        batch = {"reference": f"batch-{number}", "sku": "CHAIR", "quantity": 10}
        return client.post("/allocation/batches", json=batch).status_code

    assert receive(1) == 201
    server.be_read_only()
    refused = client.post(
        "/allocation/batches", json={"reference": "batch-2", "sku": "CHAIR", "quantity": 10}
    )
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    assert client.get("/allocation/products/CHAIR").status_code == 200
    assert client.get("/health/ready").status_code == 503
    server.be_read_only(False)
    wait_until(lambda: receive(2) == 201, SECONDS, "a write to be taken")
    assert client.get("/health/ready").status_code == 200


def test_a_write_of_a_query_is_still_its_own_mistake(
    server: PostgresServer, fresh: str, open_bells: Any
) -> None:
    bells = open_bells(fresh)
    with bells.database.reader.connect() as connection, pytest.raises(Exception) as raised:
        connection.exec_driver_sql("delete from bells_count")
    explained = bells.log.explain(raised.value, "views.read")
    assert type(explained).__name__ == "ReadOnly"


def test_after_a_failover_the_old_primary_that_comes_back_as_a_replica_is_left(open_bells: Any) -> None:
    with PostgresServer() as first, first.replica() as second:
        url = f"postgresql://postgres@/postgres?host=127.0.0.1:{first.port}&host=127.0.0.1:{second.port}"
        bells = open_bells(url)
        assert ring(bells, 1)
        wait_until(all_done(bells, 1), SECONDS, "the first ring")
        first.stop()
        assert not ring(bells, 2)
        second.promote()
        first.follow(second)
        first.start()
        wait_until(lambda: first.run("select pg_is_in_recovery()") == [(True,)], SECONDS, "the replica")
        wait_until(lambda: ring(bells, 3), SECONDS, "a write to be taken")
        wait_until(all_done(bells, 2), SECONDS, "the deliveries")
        assert second.run("select count(*) from atomos_message") == [(2,)]
