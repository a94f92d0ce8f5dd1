"""Connections to PostgreSQL: their time limits, whether they may write, and that none is trusted for life."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple, cast

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from ..service.ports import Unavailable

REFUSED_WRITE = "25006"
"""The SQLSTATE of a write where none is taken: on a replica, or in a transaction that may only read."""

_PREPARED = "prepared"

_PEER_SECONDS = 15
_KEEPALIVES = (5, 3, 3)
"""After so many seconds of silence, every so many seconds, so many times."""

_CONNECT_SECONDS = 5
_RECYCLE_SECONDS = 1800
_TRUSTED_SECONDS = 1.0
_NO_WRITES = "The database takes no writes just now: it is a replica, or was made read-only."


class Limits(NamedTuple):
    """Time limits of a connection, in seconds; zero switches one off.

    `idle` is for how long a transaction may be open without a statement: a process that is stopped in the
    middle of one must not hold up the others.
    """

    statement: float = 30.0
    lock: float = 5.0
    idle: float = 10.0


def arguments(url: URL, limits: Limits, name: str, *, writes: bool = True, **more: str) -> dict[str, Any]:
    """Give what every connection of ours is opened with; `name` is what the server shows of it.

    `more` are settings of its session. What the URL itself says comes first, such as `application_name` or
    `target_session_attrs`.
    """
    times = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.idle,
    }
    # A peer that has vanished without a word, in the middle of sending and while nothing is sent: our side
    # has to notice, and the server's, which would go on holding the locks of the one that is gone.
    idle, interval, count = _KEEPALIVES
    server = {
        **{name: int(seconds * 1000) for name, seconds in times.items()},
        "tcp_user_timeout": _PEER_SECONDS * 1000,
        "tcp_keepalives_idle": idle,
        "tcp_keepalives_interval": interval,
        "tcp_keepalives_count": count,
        **more,
    }
    options = " ".join(f"-c {name}={value}" for name, value in server.items())
    ours = {
        "application_name": name,
        "connect_timeout": _CONNECT_SECONDS,
        "tcp_user_timeout": _PEER_SECONDS * 1000,
        "keepalives_idle": idle,
        "keepalives_interval": interval,
        "keepalives_count": count,
        # After a failover the same address may lead to a server that only reads.
        **({"target_session_attrs": "read-write"} if writes else {}),
    }
    given = url.query
    own = {key: value for key, value in ours.items() if key not in given}
    return {**own, "options": f"{options} {given.get('options', '')}".strip()}


def engine(
    url: URL, limits: Limits, name: str, common: dict[str, Any], *, read_only: bool = False, **more: str
) -> Engine:
    """Make an engine; nothing is opened. One that is not `read_only` leaves a server that takes no writes.

    `more` are settings of each session.
    """
    made = create_engine(
        url,
        connect_args=arguments(url, limits, name, writes=not read_only, **more),
        pool_use_lifo=True,
        pool_recycle=_RECYCLE_SECONDS,
        **common,
    )
    _Trust(made, writes=not read_only)
    if read_only:
        return made.execution_options(postgresql_readonly=True)
    for end in ("rollback", "rollback_savepoint"):
        event.listen(made, end, forget_prepared)
    event.listen(made, "handle_error", _leave_read_only, retval=True)
    return made


def dedicated(url: URL, limits: Limits, name: str, **more: str) -> psycopg.Connection[Any]:
    """Open a connection outside all pools, without transactions; `more` are settings of its session."""
    made = create_engine(url)
    _, ours = made.dialect.create_connect_args(url)
    given = {**ours, **arguments(url, limits, name, writes=True, **more)}
    return psycopg.connect(**given, autocommit=True)


def run(connection: Connection, statement: str, values: Any) -> psycopg.Cursor[Any]:
    """Run a statement of a writer on the driver's connection, past SQLAlchemy, which costs more than some statements.

    A connection that is of no more use is left. Raises `Unavailable` where no writes are taken.
    """
    with driver_of(connection) as driver:
        return driver.execute(statement.encode(), values)


def run_as_it_is(connection: Connection, statement: bytes, values: Any) -> psycopg.RawCursor[Any]:
    """Run one with the server's own placeholders: the driver would read a statement of many values each time."""
    with driver_of(connection) as driver:
        return psycopg.RawCursor(driver).execute(statement, values)


@contextmanager
def outside_transactions(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """Open a pooled connection of the driver, past SQLAlchemy, whose statements are transactions of their own."""
    pooled = engine.raw_connection()
    driver = cast("psycopg.Connection[Any]", pooled.driver_connection)
    try:
        driver.set_autocommit(True)
        yield driver
        driver.set_autocommit(False)
    except BaseException as error:
        pooled.invalidate(error)
        raise
    pooled.close()


@contextmanager
def driver_of(connection: Connection) -> Iterator[psycopg.Connection[Any]]:
    """Give the driver's connection of a writer's; one that is of no more use is left. Raises `Unavailable`."""
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    try:
        yield driver
    except psycopg.Error as error:
        if driver.closed or error.sqlstate == REFUSED_WRITE:
            connection.invalidate(error)
        if error.sqlstate == REFUSED_WRITE:
            raise Unavailable(_NO_WRITES) from error
        raise


class _Trust:
    """Looks at a pooled connection before it is used, if it has rested or another of its pool was lost since.

    A look at each would cost a round trip each; a connection that just worked is trusted for a second.
    """

    def __init__(self, engine: Engine, *, writes: bool) -> None:
        self._dialect = engine.dialect
        self._writes = writes
        self._lost = 0.0
        event.listen(engine, "connect", self._seen)
        event.listen(engine, "checkin", self._seen)
        event.listen(engine, "checkout", self._check)
        event.listen(engine, "invalidate", self._note_loss)

    def _seen(self, _: object, record: ConnectionPoolEntry) -> None:
        record.info["seen"] = monotonic()

    def _check(self, connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _: object) -> None:
        seen = record.info["seen"]
        if (seen <= self._lost or monotonic() - seen > _TRUSTED_SECONDS) and not self._answers(connection):
            raise DisconnectionError("the connection was lost while it rested")
        if self._writes and takes_no_writes(connection):
            raise DisconnectionError("the server takes no writes any more")

    def _answers(self, connection: Any) -> bool:
        try:
            return self._dialect.do_ping(connection)
        except psycopg.Error:
            return False

    def _note_loss(self, _: object, __: ConnectionPoolEntry, error: BaseException | None) -> None:
        if error is not None:
            self._lost = monotonic()


def takes_no_writes(connection: psycopg.Connection[Any]) -> bool:
    """Say what the server said with its last answer; it costs no round trip."""
    said = connection.pgconn.parameter_status
    return b"on" in (said(b"in_hot_standby"), said(b"default_transaction_read_only"))


def is_prepared(connection: Connection) -> bool | None:
    """Say whether what a look-up needs is prepared on a connection: None is not known, False: it cannot be."""
    return connection.info.get(_PREPARED)


def note_prepared(connection: Connection, is_prepared: bool) -> None:
    """Note that it is, or that it cannot be."""
    connection.info[_PREPARED] = is_prepared


def forget_prepared(connection: Connection, *_: object) -> None:
    """Note that nobody knows: after a rollback the driver takes back what is prepared, if there is some of its own."""
    if not connection.invalidated and connection.info.get(_PREPARED):
        del connection.info[_PREPARED]


def _leave_read_only(context: ExceptionContext) -> BaseException | None:
    if getattr(context.original_exception, "sqlstate", None) != REFUSED_WRITE:
        return None
    context.is_disconnect = True
    return Unavailable(_NO_WRITES)
