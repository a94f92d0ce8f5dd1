"""A transaction on the log, where speed does not matter: one SQL for both databases, and the few words that differ."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, bindparam, text

from .database import Database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_WORDS = {
    "postgresql": {
        "seqs": "unnest(l.seqs) as s(value)",
        "keys": "unnest(l.keys) as k(value)",
        "size": "cardinality(l.seqs)",
        "json": "cast(:errors as jsonb)",
        "for_update": "for update",
        "skip_locked": "for update skip locked",
    },
    "sqlite": {
        "seqs": "json_each(l.seqs) as s",
        "keys": "json_each(l.keys) as k",
        "size": "json_array_length(l.seqs)",
        "json": ":errors",
        "for_update": "",  # the transaction has the one write lock already
        "skip_locked": "",
    },
}

Now = Callable[[], datetime] | None
"""The time that tests give; None is the database's own clock."""


LOCK = "select name from atomos_recipient where name = :recipient {for_update}"
"""What a claim takes too, so that nothing is claimed meanwhile."""


class LogSql:
    """Runs statements in one transaction, and knows how this database keeps times, lists and documents.

    In a statement, `{seqs}`, `{keys}`, `{size}`, `{json}`, `{for_update}` and `{skip_locked}` stand for this
    database's words. A value that is a tuple is for `in :name`.
    """

    def __init__(self, connection: Connection, now: Now) -> None:
        self._connection = connection
        self._words = _WORDS[connection.dialect.name]
        self._moved = now
        self.is_postgresql = connection.dialect.name == "postgresql"

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """Give the rows that a statement finds."""
        return self._run(statement, values).all()

    def one(self, statement: str, **values: Any) -> Any:
        """Give the first value of the first row; None where there is no row."""
        row = self._run(statement, values).first()
        return None if row is None else row[0]

    def change(self, statement: str, **values: Any) -> int:
        """Change rows; say how many."""
        return self._run(statement, values).rowcount

    def change_each(self, statement: str, values: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each of several values; none is no error."""
        if values:
            self._connection.execute(text(statement.format_map(self._words)), values)

    def now(self) -> datetime:
        """Give the time: the test's, or the database's."""
        if self._moved is not None:
            return self._moved()
        if self.is_postgresql:
            return cast(datetime, self.one("select statement_timestamp()"))
        return datetime.fromtimestamp(time.time(), UTC)  # SQLite runs inside the process

    def at(self, moment: datetime) -> Any:
        """Turn a time into what this database keeps."""
        return moment if self.is_postgresql else (moment - _EPOCH) // _MICROSECOND

    def moment(self, stored: Any) -> Any:
        """Turn what this database keeps into a time; None stays None."""
        return _EPOCH + stored * _MICROSECOND if isinstance(stored, int) else stored

    def array(self, values: Sequence[str]) -> Any:
        """Turn a list into what this database keeps; SQLite has no arrays."""
        return list(values) if self.is_postgresql else json.dumps(list(values))

    def listed(self, stored: Any) -> list[Any]:
        """Turn what this database keeps into a list."""
        return cast("list[Any]", json.loads(stored) if isinstance(stored, str) else list(stored))

    def _run(self, statement: str, values: dict[str, Any]) -> CursorResult[Any]:
        several: list[Any] = [
            bindparam(name, expanding=True) for name, value in values.items() if isinstance(value, tuple)
        ]
        return self._connection.execute(text(statement.format_map(self._words)).bindparams(*several), values)


@contextmanager
def snapshot(database: Database, now: Now, *, patient: bool = False) -> Iterator[LogSql]:
    """Open a read-only transaction that sees the log as it is at its beginning; see `Database.snapshot`."""
    with database.snapshot(patient=patient) as connection:
        yield LogSql(connection, now)


@contextmanager
def writing(database: Database, now: Now = None) -> Iterator[LogSql]:
    """Open a writing transaction; it commits at the end, or rolls back."""
    with database.transaction() as connection:
        yield LogSql(connection, now)
