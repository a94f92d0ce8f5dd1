"""Vacuum on PostgreSQL: done rows and ended leases leave dead ones behind, which every claim would walk over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .database import Database

MOST_DEAD = {"atomos_delivery": 50_000, "atomos_lease": 1_000}
"""So many dead rows of a table are left alone. Leases are few, and each claim reads all of them several times."""

_COUNT = """
select relname, n_dead_tup, vacuum_count + autovacuum_count from pg_stat_user_tables
where relid in ('atomos_delivery'::regclass, 'atomos_lease'::regclass) order by relname
"""

# Not `truncate`, which would lock everyone out; and where PostgreSQL vacuums by itself just now, that will do.
_VACUUM = "vacuum (skip_locked, truncate false) "

_LOCK = "hashtextextended('atomos vacuum', 0)"


class _Last(NamedTuple):
    """How often a table was vacuumed, by whomever, and how many dead rows the last time left."""

    vacuums: int
    left: int


class Vacuum:
    """Vacuums what many rows died in since the last time, whoever left them.

    PostgreSQL's statistics count them, and forget at a crash: workers that live for seconds leave dead rows too. What
    a vacuum had to leave, because somebody's transaction may still see it, is no reason for the next.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: dict[str, _Last] = {}

    def __call__(self) -> tuple[str, ...]:
        """Vacuum what needs it, outside any transaction; name the tables. None: there is no need, or another does."""
        with self._database.look() as connection:
            driver: Any = connection.connection.driver_connection
            tables = self._in_need(driver)
            if not tables or not driver.execute(f"select pg_try_advisory_lock({_LOCK})").fetchone()[0]:
                return ()
            try:
                driver.execute("set statement_timeout = 0")
                driver.execute(_VACUUM + ", ".join(tables))
                self._note(tables, driver)
            finally:
                driver.execute(f"select pg_advisory_unlock({_LOCK})")
                driver.execute("reset statement_timeout")
        return tables

    def _in_need(self, driver: Any) -> tuple[str, ...]:
        needy = []
        for table, dead, vacuums in driver.execute(_COUNT).fetchall():
            last = self._last.get(table, _Last(vacuums, 0))
            if vacuums != last.vacuums:  # another one's; some of these may have died since
                last = _Last(vacuums, dead if dead >= MOST_DEAD[table] else 0)
            self._last[table] = last
            if dead - last.left >= MOST_DEAD[table]:
                needy.append(table)
        return tuple(needy)

    def _note(self, tables: Iterable[str], driver: Any) -> None:
        for table, dead, vacuums in driver.execute(_COUNT).fetchall():
            if table in tables:
                self._last[table] = _Last(vacuums, dead)
