"""Connections to the database: writers, read-only readers, and whose turn it is to write on SQLite."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

from ..domain.errors import AtomosError
from ..service.errors import Conflict, NoHandling, NotOpen
from ..service.handling import current_handling

_IDLE_SECONDS = 10
_PEER_SECONDS = 15


class UnusableDatabase(AtomosError):
    """The database URL names something that Atomos cannot use."""


class Database:
    """The engines of one database: `writer`, `reader` (which cannot write), and the log's own, `log`.

    `url` is a SQLAlchemy URL of SQLite (in a file) or PostgreSQL; `reader_url` may name a replica or a role that
    may only select, None for the same. Times are in seconds; zero switches a time limit off. Nothing is opened
    before it is used.
    """

    def __init__(
        self,
        url: str,
        *,
        reader_url: str | None = None,
        pool_size: int = 5,
        pool_timeout: float = 5.0,
        statement_timeout: float = 30.0,
        lock_timeout: float = 5.0,
        echo: bool = False,
    ) -> None:
        self.url = _checked(url)
        self.dialect = self.url.get_backend_name()
        self._turns = Turns(lock_timeout) if self.dialect == "sqlite" else None
        common: dict[str, Any] = {"pool_size": pool_size, "pool_timeout": pool_timeout, "echo": echo}
        limits = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
        make = _sqlite if self.dialect == "sqlite" else _postgresql
        self.writer = make(self.url, common, limits, read_only=False)
        self.reader = make(_checked(reader_url or url), common, limits, read_only=True)
        self.log = make(self.url, common, limits, read_only=False)
        # One statement needs no transaction around it; but on SQLite a writer's connection would take the lock.
        autocommit = self.log.execution_options(isolation_level="AUTOCOMMIT")
        self._looking = self.reader if self.dialect == "sqlite" else autocommit

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn to write, first come, first served. PostgreSQL needs no such queue."""
        if self._turns is None:
            yield
            return
        with self._turns:
            yield

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a writing transaction on the log's own connections; it commits at the end, or rolls back."""
        with self.turn(), self.log.begin() as connection:
            yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """Open a connection that sees what is committed now; never a replica's, which may be late."""
        with self._looking.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        for engine in (self.writer, self.reader, self.log):
            engine.dispose()


class Sessions:
    """The session of the handling in progress: what adapters read and write through."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> Session:
        """Give it: writing inside a unit of work, read-only otherwise. Raises `NoHandling` outside a handling."""
        handling = current_handling()
        if handling is None:
            raise NoHandling
        if handling.session is None:
            session = Session(self._database.reader)
            handling.session = session
            handling.at_end(session.close)
        return handling.session  # type: ignore[no-any-return]


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


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except Exception as error:
        said = "database.url is no URL; expected sqlite:///a/file or postgresql://host/name."
        raise UnusableDatabase(said) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UnusableDatabase(
            "SQLite needs a file, such as sqlite:///var/atomos.db: memory is not shared or kept."
        )
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise UnusableDatabase(f"database.url names {backend}; expected sqlite or postgresql.")
    return parsed


def _sqlite(url: URL, common: dict[str, Any], limits: dict[str, float], *, read_only: bool) -> Engine:
    patience = limits["lock_timeout"] or 3600.0
    arguments = {"timeout": patience, "check_same_thread": False, "isolation_level": None}
    engine = create_engine(url, connect_args=arguments, **common)

    @event.listens_for(engine, "do_connect")
    def make_folder(*_: object) -> None:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # FULL, so that a commit survives a power cut; WAL, so that readers do not wait for the writer.
        pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"]
        for pragma in [*pragmas, "query_only=ON"] if read_only else [*pragmas, "busy_timeout=0"]:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin_it(connection: Connection) -> None:
        if read_only:
            connection.exec_driver_sql("BEGIN")
        else:
            _begin_writing(connection, patience)

    return engine


def _begin_writing(connection: Connection, patience: float) -> None:
    # SQLite's own wait grows to a tenth of a second a look, and so loses against a process that writes all the time.
    driver: Any = connection.connection.driver_connection
    given_up = time.monotonic() + patience
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= given_up:
                raise
            time.sleep(random.uniform(0.0005, 0.0025))  # noqa: S311
        else:
            return


def _postgresql(url: URL, common: dict[str, Any], limits: dict[str, float], *, read_only: bool) -> Engine:
    # A process that is stopped in mid-transaction must not hold up the others.
    settings = {
        "idle_in_transaction_session_timeout": _IDLE_SECONDS,
        "statement_timeout": limits["statement_timeout"],
        "lock_timeout": limits["lock_timeout"],
    }
    options = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in settings.items())
    arguments = {
        "options": options,
        "tcp_user_timeout": _PEER_SECONDS * 1000,
        "connect_timeout": 5,
        "application_name": "atomos",
    }
    engine = create_engine(url, connect_args=arguments, pool_use_lifo=True, **common)
    return engine.execution_options(postgresql_readonly=True) if read_only else engine
