"""On PostgreSQL dead rows are cleared away by their number, whoever left them, by the worker that looks first."""

# ruff: noqa: S608 - statements are put together from constants of this module

from __future__ import annotations

import pytest
from sqlalchemy.exc import DataError

from atomos.core.adapters import Database
from atomos.core.adapters.vacuum import TOO_MANY
from atomos.core.service import Unavailable
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL, ON_SQLITE, Start
from .worker_samples import Bells

SECONDS = 20.0
LEASES, DELIVERIES = "atomos_lease", "atomos_delivery"
MANY = {LEASES: 1_100, DELIVERIES: 50_100}

_GROW = {
    LEASES: """
insert into atomos_lease (worker, recipient, until, seqs, keys)
select 'nobody', 'gone', now(), '{}', '{}' from generate_series(1, %(count)s)
""",
    DELIVERIES: """
insert into atomos_delivery (message_id, recipient, status)
select gen_random_uuid(), 'gone', 'done' from generate_series(1, %(count)s)
""",
}


@ON_POSTGRESQL
def test_dead_leases_are_vacuumed_when_they_are_many_also_by_who_left_none(log_database: Database) -> None:
    leave_dead(log_database, LEASES, MANY[LEASES])
    Bells(log_database).deliveries.vacuum()
    assert dead(log_database, LEASES) == 0
    Bells(log_database).deliveries.vacuum()
    assert vacuums(log_database, LEASES) == 1


@ON_POSTGRESQL
def test_few_dead_leases_are_left_alone_until_they_are_many(log_database: Database) -> None:
    deliveries = Bells(log_database).deliveries
    leave_dead(log_database, LEASES, MANY[LEASES] // 2)
    deliveries.vacuum()
    assert vacuums(log_database, LEASES) == 0
    leave_dead(log_database, LEASES, MANY[LEASES] // 2)
    deliveries.vacuum()
    assert vacuums(log_database, LEASES) == 1


@ON_POSTGRESQL
def test_dead_deliveries_are_vacuumed_when_they_are_many(log_database: Database) -> None:
    deliveries = Bells(log_database).deliveries
    leave_dead(log_database, DELIVERIES, MANY[LEASES])
    deliveries.vacuum()
    assert vacuums(log_database, DELIVERIES) == 0
    leave_dead(log_database, DELIVERIES, MANY[DELIVERIES])
    deliveries.vacuum()
    assert vacuums(log_database, DELIVERIES) == 1
    assert dead(log_database, DELIVERIES) == 0


@ON_POSTGRESQL
def test_what_a_vacuum_had_to_leave_is_tried_again_after_a_pause(
    log_database: Database,
) -> None:
    deliveries = Bells(log_database).deliveries
    with log_database.snapshot() as old:
        old.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")
        old.exec_driver_sql("select count(*) from atomos_lease")
        leave_dead(log_database, LEASES, 200_000)  # two seconds
        deliveries.vacuum()
        deliveries.vacuum()
        assert vacuums(log_database, LEASES) == 1
        assert dead(log_database, LEASES) >= 200_000

    def is_clean() -> bool:
        deliveries.vacuum()
        return dead(log_database, LEASES) == 0

    wait_until(is_clean, SECONDS, "another vacuum, though nothing died any more")


@ON_POSTGRESQL
def test_of_few_that_a_vacuum_had_to_leave_it_rests_for_a_second(log_database: Database) -> None:
    with log_database.snapshot() as old:
        old.exec_driver_sql("select count(*) from atomos_lease")
        leave_dead(log_database, LEASES, MANY[LEASES])
        Bells(log_database).deliveries.vacuum()
        assert dead(log_database, LEASES) >= MANY[LEASES]
        assert in_need(log_database, "select pg_sleep(0.1)") == []
        assert in_need(log_database, "select pg_sleep(1)") == [LEASES]


@ON_POSTGRESQL
def test_a_table_that_somebody_changes_is_left_to_the_next_time(log_database: Database) -> None:
    deliveries = Bells(log_database).deliveries
    leave_dead(log_database, LEASES, MANY[LEASES])
    with log_database.transaction() as connection:
        connection.exec_driver_sql("lock table atomos_lease in share update exclusive mode")
        assert in_need(log_database) == [], "nor is there a warning in the server's log"
        deliveries.vacuum()
        assert vacuums(log_database, LEASES) == 0
    deliveries.vacuum()
    assert vacuums(log_database, LEASES) == 1


@ON_POSTGRESQL
def test_leases_are_vacuumed_before_deliveries(log_database: Database) -> None:
    leave_dead(log_database, DELIVERIES, MANY[DELIVERIES])
    leave_dead(log_database, LEASES, MANY[LEASES])
    assert in_need(log_database) == [LEASES, DELIVERIES]
    Bells(log_database).deliveries.vacuum()
    assert in_need(log_database) == []
    assert vacuums(log_database, LEASES) == vacuums(log_database, DELIVERIES) == 1


@ON_POSTGRESQL
def test_whoever_does_not_own_the_tables_leaves_them_alone(log_database: Database) -> None:
    leave_dead(log_database, LEASES, MANY[LEASES])
    assert in_need(log_database, "set role pg_monitor") == []
    assert in_need(log_database) == [LEASES]


@ON_POSTGRESQL
def test_a_connection_that_is_lost_in_a_vacuum_is_said_to_be_unavailable(
    log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_dead(log_database, LEASES, MANY[LEASES])
    with monkeypatch.context() as patched:
        patched.setattr(
            "atomos.core.adapters.vacuum._VACUUM", "select pg_terminate_backend(pg_backend_pid()) -- "
        )
        with pytest.raises(Unavailable):
            Bells(log_database).deliveries.vacuum()
    Bells(log_database).deliveries.vacuum()
    assert vacuums(log_database, LEASES) == 1


@ON_POSTGRESQL
def test_a_connection_of_a_vacuum_that_failed_is_given_to_nobody_without_its_time_limit(
    log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_dead(log_database, LEASES, MANY[LEASES])
    monkeypatch.setattr("atomos.core.adapters.vacuum._VACUUM", "select 1 / 0 -- ")
    with pytest.raises(DataError):
        Bells(log_database).deliveries.vacuum()
    with log_database.look() as connection:
        assert connection.exec_driver_sql("show statement_timeout").scalar_one() != "0"


@ON_POSTGRESQL
def test_a_worker_vacuums_what_others_left(log_database: Database, start: Start) -> None:
    leave_dead(log_database, LEASES, MANY[LEASES])
    start(Bells(log_database))
    wait_until(lambda: vacuums(log_database, LEASES) == 1, SECONDS, "the worker to vacuum leases")


@ON_SQLITE
def test_on_sqlite_there_is_nothing_to_vacuum(log_database: Database) -> None:
    Bells(log_database).deliveries.vacuum()


def leave_dead(database: Database, table: str, count: int) -> None:
    """Have so many rows of a table live and die; PostgreSQL leaves them to us."""
    with database.transaction() as connection:
        connection.exec_driver_sql(f"alter table {table} set (autovacuum_enabled = false)")
        connection.exec_driver_sql(_GROW[table], {"count": count})
    with database.transaction() as connection:
        connection.exec_driver_sql(f"delete from {table} where recipient = 'gone'")
    with database.transaction() as connection:
        connection.exec_driver_sql("select pg_stat_force_next_flush()")


def in_need(database: Database, *before: str) -> list[str]:
    """Name the tables that are to be vacuumed, in order, for whoever ran these statements before."""
    with database.look() as connection:
        for statement in before:
            connection.exec_driver_sql(statement)
        found = list(connection.exec_driver_sql(TOO_MANY).scalars())
        connection.exec_driver_sql("reset role")
        return found


def dead(database: Database, table: str) -> int:
    """Say how many dead rows PostgreSQL counts in a table."""
    return _statistic(database, table, "n_dead_tup")


def vacuums(database: Database, table: str) -> int:
    """Say how often a table was vacuumed."""
    return _statistic(database, table, "vacuum_count")


def _statistic(database: Database, table: str, name: str) -> int:
    with database.look() as connection:
        asked = f"select {name} from pg_stat_user_tables where relname = %(table)s"
        return int(connection.exec_driver_sql(asked, {"table": table}).scalar_one())
