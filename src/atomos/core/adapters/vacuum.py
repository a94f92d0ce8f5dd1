"""Vacuum on PostgreSQL: done rows leave dead ones behind, which every claim would walk over."""

from __future__ import annotations

from typing import Any

from .database import Database

# Not `truncate`, which would lock everyone out; and where PostgreSQL vacuums by itself just now, that will do.
_VACUUM = "vacuum (skip_locked, truncate false) atomos_delivery, atomos_lease"

_LOCK = "hashtextextended('atomos vacuum', 0)"


def vacuum(database: Database) -> bool:
    """Vacuum deliveries and leases, on a connection outside any transaction. False: another is at it."""
    with database.look() as connection:
        driver: Any = connection.connection.driver_connection
        if not driver.execute(f"select pg_try_advisory_lock({_LOCK})").fetchone()[0]:
            return False
        try:
            driver.execute("set statement_timeout = 0")
            driver.execute(_VACUUM)
        finally:
            driver.execute(f"select pg_advisory_unlock({_LOCK})")
            driver.execute("reset statement_timeout")
    return True
