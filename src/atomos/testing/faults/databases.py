"""A database for one run alone, made and removed; and whether anybody can write to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from atomos.core.service.envelope import new_id

_LONGEST_TURN = 1.0


@contextmanager
def fresh_database(folder: Path, server: str | None) -> Iterator[str]:
    """Give the URL of an empty database: a SQLite file in the folder, or a new database on a PostgreSQL server.

    `server` is the URL of any database there, by a role that may make others; None is SQLite. It is removed at the
    end.
    """
    if server is None or server.startswith("sqlite:"):
        yield server or f"sqlite:///{folder / 'faults.db'}"
        return
    url = make_url(server)
    driver = url.set(drivername="postgresql").render_as_string(hide_password=False)
    name = sql.Identifier(f"atomos_faults_{new_id()[-12:]}")
    with psycopg.connect(driver, autocommit=True, connect_timeout=5) as connection:
        connection.execute(sql.SQL("create database {}").format(name))
        try:
            yield url.set(database=name.as_string().strip('"')).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(name))


def can_write(url: str) -> bool:
    """Whether a database takes writes. On SQLite nobody can write while one who is stopped was about to."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return True
    until = monotonic() + _LONGEST_TURN
    with closing(sqlite3.connect(str(parsed.database), timeout=0, isolation_level=None)) as connection:
        while monotonic() < until:
            try:
                connection.execute("begin immediate")
            except sqlite3.OperationalError:
                sleep(0.001)
            else:
                return True
    return False
