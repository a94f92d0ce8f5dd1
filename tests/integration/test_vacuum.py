"""On PostgreSQL dead rows are cleared away by their number, whoever left them, and by one worker at a time."""

from __future__ import annotations

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.vacuum import MOST_DEAD
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL, ON_SQLITE, Start
from .worker_samples import Bells, Whispered

SECONDS = 20.0
MANY = MOST_DEAD["atomos_lease"] + 100
LEASES = ("atomos_lease",)

_GROW = """
insert into atomos_lease (worker, recipient, until, seqs, keys)
select 'gone', 'whisper', now(), '{}', '{}' from generate_series(1, %(count)s)
"""


@ON_POSTGRESQL
def test_dead_leases_are_vacuumed_when_they_are_many_also_by_who_left_none(log_database: Database) -> None:
    leave_dead_leases(log_database, MANY)
    assert Bells(log_database).deliveries.vacuum() == LEASES
    assert dead(log_database, "atomos_lease") == 0
    assert Bells(log_database).deliveries.vacuum() == ()


@ON_POSTGRESQL
def test_few_dead_leases_are_left_alone_until_they_are_many(log_database: Database) -> None:
    bells = Bells(log_database)
    leave_dead_leases(log_database, MANY // 2)
    assert bells.deliveries.vacuum() == ()
    leave_dead_leases(log_database, MANY // 2)
    assert bells.deliveries.vacuum() == LEASES


@ON_POSTGRESQL
def test_what_completions_left_dead_is_vacuumed(
    log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOST_DEAD, "atomos_delivery", 20)
    bells = Bells(log_database)
    never_vacuum_by_itself(log_database, "atomos_delivery")
    for _ in range(30):
        bells.bus.emit(Whispered())
    assert bells.worker().drain() == 30
    flush_statistics(log_database)
    wait_until(lambda: bells.deliveries.vacuum() == ("atomos_delivery",), SECONDS, "thirty dead rows")
    assert dead(log_database, "atomos_delivery") == 0


@ON_POSTGRESQL
def test_what_a_vacuum_had_to_leave_is_no_reason_for_the_next(log_database: Database) -> None:
    one, other = Bells(log_database).deliveries, Bells(log_database).deliveries
    assert one.vacuum() == other.vacuum() == ()
    with log_database.snapshot() as old:
        old.exec_driver_sql("select count(*) from atomos_lease")
        leave_dead_leases(log_database, MANY)
        assert one.vacuum() == LEASES
        assert dead(log_database, "atomos_lease") >= MANY
        assert one.vacuum() == other.vacuum() == ()
        leave_dead_leases(log_database, MANY)
        assert other.vacuum() == LEASES
        assert one.vacuum() == ()
    leave_dead_leases(log_database, MANY)
    assert one.vacuum() == LEASES
    assert dead(log_database, "atomos_lease") == 0


@ON_POSTGRESQL
def test_dead_rows_are_vacuumed_by_one_at_a_time(log_database: Database) -> None:
    deliveries = Bells(log_database).deliveries
    leave_dead_leases(log_database, MANY)
    with log_database.look() as connection:
        lock = "hashtextextended('atomos vacuum', 0)"
        connection.exec_driver_sql(f"select pg_advisory_lock({lock})")
        assert deliveries.vacuum() == ()
        connection.exec_driver_sql(f"select pg_advisory_unlock({lock})")
    assert deliveries.vacuum() == LEASES


@ON_POSTGRESQL
def test_a_worker_vacuums_what_others_left(log_database: Database, start: Start) -> None:
    leave_dead_leases(log_database, MANY)
    start(Bells(log_database))
    wait_until(
        lambda: dead(log_database, "atomos_lease") < MANY // 10, SECONDS, "the worker to vacuum leases"
    )


@ON_SQLITE
def test_sqlite_leaves_nothing_dead(log_database: Database) -> None:
    assert Bells(log_database).deliveries.vacuum() == ()


def leave_dead_leases(database: Database, count: int) -> None:
    """Have so many leases begin and end."""
    never_vacuum_by_itself(database, "atomos_lease")
    with database.transaction() as connection:
        connection.exec_driver_sql(_GROW, {"count": count})
    with database.transaction() as connection:
        connection.exec_driver_sql("delete from atomos_lease where worker = 'gone'")
    flush_statistics(database)


def never_vacuum_by_itself(database: Database, table: str) -> None:
    """Have PostgreSQL leave a table to us."""
    with database.transaction() as connection:
        connection.exec_driver_sql(f"alter table {table} set (autovacuum_enabled = false)")


def flush_statistics(database: Database) -> None:
    """Have the connection of writers tell what it counted."""
    with database.transaction() as connection:
        connection.exec_driver_sql("select pg_stat_force_next_flush()")


def dead(database: Database, table: str) -> int:
    """Say how many dead rows PostgreSQL counts in a table."""
    with database.look() as connection:
        found = connection.exec_driver_sql(
            "select n_dead_tup from pg_stat_user_tables where relname = %(table)s", {"table": table}
        )
        return int(found.scalar_one())
