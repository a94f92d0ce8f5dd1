"""Connections to the database: of the application's writers and readers, and those that the log has for itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.orm import Session

from ..domain.errors import AtomosError
from ..service.errors import NoHandling
from ..service.handling import current_handling
from ..service.ports import Unavailable
from . import postgres, sqlite
from .database_errors import explain

_CLAIM_IDLE_SECONDS = 2.0


class UnusableDatabase(AtomosError):
    """The database URL names something that Atomos cannot use."""


class Database:
    """The engines of one database, each with a pool of its own.

    `writer` and `reader` (which cannot write) are the application's. The others are the log's, which so goes
    on when the application has taken all of its own: `log`, `claims` for what a worker claims and what leaves
    its leases, and `renewals` for the leases, which must not wait behind anything. These have as many
    connections as there are threads that ask for one, and keep few.

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
        self.limits = postgres.Limits(statement_timeout, lock_timeout)
        self._turns = sqlite.Turns(lock_timeout) if self.dialect == "sqlite" else None
        # What goes to the database is in no error, unless each statement is to be seen anyway.
        shown = {"echo": echo, "hide_parameters": not echo}
        common: dict[str, Any] = {"pool_size": pool_size, "pool_timeout": pool_timeout, **shown}
        own = {**common, "max_overflow": -1}
        few = {**own, "pool_size": 1}
        self.writer = self._engine("atomos writer", common)
        self.reader = self._engine("atomos reader", common, _checked(reader_url or url))
        self.log = self._engine("atomos log", own)
        # A claim that a crash of the server takes back is one that nobody has: it need not wait for the disk.
        self.claims = self._engine(
            "atomos claims", {**own, "pool_size": 3}, idle=_CLAIM_IDLE_SECONDS, synchronous_commit="off"
        )
        self._changes = self.claims.execution_options(isolation_level="AUTOCOMMIT")
        self.renewals = self._engine("atomos renewals", few)
        # One statement needs no transaction around it; but on SQLite a writer's connection would take the lock.
        self._looks = (
            self._engine("atomos looks", own, self.url)
            if self.dialect == "sqlite"
            else self.log.execution_options(isolation_level="AUTOCOMMIT")
        )

    @property
    def writers(self) -> tuple[Engine, ...]:
        """Every engine whose transactions may write."""
        return self.writer, self.log, self.claims, self.renewals

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn to write, first come, first served. PostgreSQL needs no such queue."""
        with self._turns or nullcontext():
            yield

    @contextmanager
    def transaction(self, engine: Engine | None = None) -> Iterator[Connection]:
        """Open a writing transaction; it commits at the end, or rolls back.

        `engine` is one of the log's own; None is `log`. Raises `Unavailable` when the database is away.
        """
        with _explained(), self.turn(), (engine or self.log).begin() as connection:
            yield connection

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Open a connection of `claims` for one statement that writes, which is a transaction of its own.

        Raises `Unavailable` when the database is away.
        """
        if self.dialect == "sqlite":
            with self.transaction(self.claims) as connection:
                yield connection
        else:
            with _explained(), self._changes.connect() as connection:
                yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """Open a connection that sees what is committed now; never a replica's, which may be late.

        Raises `Unavailable` when the database is away.
        """
        with _explained(), self._looks.connect() as connection:
            yield connection

    @contextmanager
    def glance(self) -> Iterator[Any]:
        """Open a driver's connection for one statement of the same kind, in front of a unit of work that is not begun.

        SQLAlchemy would cost more than the statement. On PostgreSQL the connection is one of `writer`: the unit of
        work takes it next, and both the server's process and the trust in it are fresh. Raises `Unavailable`.
        """
        with _explained():
            if self.dialect == "sqlite":
                with self._looks.connect() as connection:
                    yield connection.connection.driver_connection
            else:
                with postgres.outside_transactions(self.writer) as driver:
                    yield driver

    def session(self) -> Session:
        """Make a session of `writer`, for a unit of work: nothing is opened before it is used."""
        # No autoflush: what was flushed before the commit would not be seen by the rule that raises versions.
        # Closed for good at the end: whoever kept it would otherwise begin a transaction that nobody ends.
        return Session(self.writer, autoflush=False, expire_on_commit=False, close_resets_only=False)

    @contextmanager
    def snapshot(self, *, patient: bool = False) -> Iterator[Connection]:
        """Open a read-only transaction that sees what was committed at its beginning; never a replica's.

        `patient`: statements may take longer than the time limit of the settings, because they read whole tables.
        Raises `Unavailable` when the database is away.
        """
        if self.dialect == "sqlite":
            with self.look() as connection:
                yield connection
            return
        with _explained(), self.log.connect() as opened:
            connection = opened.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                if patient:
                    connection.exec_driver_sql("set local statement_timeout = 0")
                yield connection

    def close(self) -> None:
        """Close every connection."""
        for engine in (*self.writers, self.reader, self._looks):
            engine.dispose()

    def _engine(
        self,
        name: str,
        common: dict[str, Any],
        reads: URL | None = None,
        *,
        idle: float | None = None,
        **more: str,
    ) -> Engine:
        """Make an engine; with `reads`, one that reads there and cannot write. `more` is for PostgreSQL's sessions."""
        url, read_only = reads or self.url, reads is not None
        if self.dialect == "sqlite":
            return sqlite.engine(url, self.limits.lock, common, read_only=read_only)
        limits = self.limits if idle is None else self.limits._replace(idle=idle)
        return postgres.engine(url, limits, name, common, read_only=read_only, **more)


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
            session = Session(self._database.reader, close_resets_only=False)
            handling.session = session
            handling.at_end(session.close)
        return handling.session  # type: ignore[no-any-return]


@contextmanager
def _explained() -> Iterator[None]:
    """Turn a database that is away into `Unavailable`, which is no mistake of the code; other errors stay."""
    try:
        yield
    except AtomosError:
        raise
    except Exception as error:
        if isinstance(unavailable := explain(error, "the log"), Unavailable):
            raise unavailable from error
        raise


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
