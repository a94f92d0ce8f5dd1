"""Connections to SQLite: whose turn it is to write, and how a transaction begins."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event

from ..service.errors import Conflict, NotOpen


class Turns:
    """A first-come queue, for the threads of a process, in front of SQLite's one write lock, whose order is unfair.

    Waiting for longer than `patience` seconds raises `Conflict`.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._holder: int | None = None

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._mutex:
            if self._holder is None:
                self._holder = me
                return
            if self._holder == me:
                raise NotOpen(
                    "This thread is writing already; a second transaction would wait for the first."
                )
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        if not gate.acquire(timeout=self._patience or -1):
            self._give_up(gate)
        self._holder = me

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
                self._holder = -1
            else:
                self._holder = None

    def _give_up(self, gate: threading.Lock) -> None:
        with self._mutex:
            if gate in self._waiting:
                self._waiting.remove(gate)
                raise Conflict(f"The database was busy for {self._patience:g} s.")


def engine(url: URL, patience: float, common: dict[str, Any], *, read_only: bool) -> Engine:
    """Make an engine; nothing is opened. Its transactions take the write lock at once, unless it is `read_only`.

    `patience` is how many seconds they wait for it, zero for as long as it takes.
    """
    patience = patience or 3600.0
    arguments = {"timeout": patience, "check_same_thread": False, "isolation_level": None}
    made = create_engine(url, connect_args=arguments, **common)

    @event.listens_for(made, "do_connect")
    def make_folder(*_: object) -> None:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(made, "connect")
    def prepare(connection: Any, _: object) -> None:
        # FULL, so that a commit survives a power cut; WAL, so that readers do not wait for the writer.
        pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"]
        for pragma in pragmas if read_only else [*pragmas, "busy_timeout=0"]:
            # Of several that make a file a WAL file at the same instant, SQLite refuses all but one at once.
            _insist(connection, f"PRAGMA {pragma}", patience)

    @event.listens_for(made, "begin")
    def begin_it(connection: Connection) -> None:
        if read_only:
            # Each time: a statement may have switched it off for all that come after it on this connection.
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA query_only=ON")
            connection.exec_driver_sql("BEGIN")
        else:
            # SQLite's own wait grows to a tenth of a second a look: it loses against one that writes all the time.
            _insist(connection.connection.driver_connection, "BEGIN IMMEDIATE", patience)

    return made


def _insist(driver: Any, statement: str, patience: float) -> None:
    given_up = time.monotonic() + patience
    while True:
        try:
            driver.execute(statement)
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= given_up:
                raise
            time.sleep(random.uniform(0.0005, 0.0025))  # noqa: S311
        else:
            return


def run(connection: Connection, statement: str, values: Any) -> sqlite3.Cursor:
    """Run a statement on the driver's connection, past SQLAlchemy, which costs more than some statements."""
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    return driver.execute(statement, values)
