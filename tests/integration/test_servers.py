"""The PostgreSQL of a test's own does what it says: stops, dies, freezes, refuses writes, is followed and promoted."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import psycopg
import pytest

from atomos.testing.processes import wait_until
from atomos.testing.servers import PostgresServer

SECONDS = 60.0

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        server.run("create table kept (n int)")
        yield server


def numbers(server: PostgresServer) -> list[int]:
    return [row[0] for row in server.run("select n from kept order by n")]


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_what_was_committed_is_there_after_a_restart(server: PostgresServer, mode: str) -> None:
    server.run("truncate kept")
    server.run("insert into kept values (1)")
    server.restart(mode)  # type: ignore[arg-type]
    assert numbers(server) == [1]


def test_a_kill_leaves_no_process_and_it_can_be_started_again(server: PostgresServer) -> None:
    with psycopg.connect(server.url()) as connection:
        connection.execute("select 1")
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        server.kill()
        assert len(processes) > 3
        assert not any(process.is_running() for process in processes)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    server.start()
    assert server.run("select 1") == [(1,)]


def test_a_frozen_server_takes_connections_and_says_nothing_until_it_is_thawed(
    server: PostgresServer,
) -> None:
    server.freeze()
    try:
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(server.url(), connect_timeout=2)
    finally:
        server.thaw()
    wait_until(lambda: server.run("select 1") == [(1,)], SECONDS, "an answer")


def test_read_only_is_for_open_connections_too_and_is_undone(server: PostgresServer) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        server.be_read_only()

        def is_refused() -> bool:
            try:
                connection.execute("insert into kept values (2)")
            except psycopg.errors.ReadOnlySqlTransaction:
                return True
            return False

        wait_until(is_refused, SECONDS, "a refusal")
        server.be_read_only(False)
        wait_until(lambda: not is_refused(), SECONDS, "no refusal")


def test_a_replica_follows_and_can_take_over_and_be_followed(server: PostgresServer) -> None:
    server.run("truncate kept")
    with server.replica() as replica:
        server.run("insert into kept values (3)")
        wait_until(lambda: numbers(replica) == [3], SECONDS, "the replica to follow")
        assert replica.run("select pg_is_in_recovery()") == [(True,)]
        server.stop()
        replica.promote()
        replica.run("insert into kept values (4)")
        server.follow(replica)
        server.start()
        wait_until(lambda: numbers(server) == [3, 4], SECONDS, "the old one to follow")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            server.run("insert into kept values (5)")
