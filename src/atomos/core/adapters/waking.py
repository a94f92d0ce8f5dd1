"""Waking across processes: by NOTIFY and LISTEN on PostgreSQL, by a look at the file's version on SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic

from ..service.waking import Wake
from . import postgres
from .database import Database
from .listener import Listener
from .notifier import Notifier

_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.02


def wake_of(database: Database, listen: bool = True) -> Wake:
    """Make what wakes the workers of a database. With `listen` false, only those of this process, and polling."""
    if not listen:
        return Wake()
    return (
        SqliteWake(Path(str(database.url.database)))
        if database.dialect == "sqlite"
        else PostgresWake(database)
    )


class PostgresWake(Wake):
    """Notifies after each commit, many at once; listens only while a worker does.

    NOTIFY has a transaction of its own, because in the one that commits it would let no two commit at once.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        connect = partial(postgres.dedicated, database.url, database.limits)
        # A NOTIFY that a crash of the server takes back is none that anyone waits for.
        self._notifier = Notifier(partial(connect, "atomos notifier", synchronous_commit="off"))
        self._connect = partial(connect, "atomos listener")
        self._listeners = 0
        self._listener: Listener | None = None
        self._changing = threading.Lock()

    def announce(self, recipients: Collection[str] = ()) -> None:
        """Wake the workers of this process at once, and those of others as soon as they can be told."""
        self.set(recipients)
        self._notifier.say(recipients)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hold a connection that listens, one for all workers of this process."""
        with self._changing:
            self._listeners += 1
            if self._listener is None:
                self._listener = Listener(self._connect, self._heard)
        try:
            yield
        finally:
            with self._changing:
                self._listeners -= 1
                if self._listeners == 0 and self._listener is not None:
                    self._listener.stop()
                    self._listener = None

    def close(self) -> None:
        """Send what is to be sent, and close the notifier's connection."""
        self._notifier.close()

    def _heard(self, backend: int, recipients: Collection[str]) -> None:
        if backend != self._notifier.backend:  # what this process said, its workers know
            self.set(recipients)


class SqliteWake(Wake):
    """Looks, while a worker waits, whether another connection has changed the file: `PRAGMA data_version`."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        self._pause = _FIRST_LOOK
        self._looking = threading.Lock()

    def wait(self, seconds: float) -> bool:
        """Wait to be woken from this process, or by a change of the file."""
        until = monotonic() + seconds
        while not super().wait(min(self._pause, max(0.0, until - monotonic()))):
            if self._has_changed():
                self.set()
            elif monotonic() >= until:
                return False
            # Where nothing happens, a look every fiftieth of a second is half a hundredth of a core.
            self._pause = min(_LONGEST_LOOK, 1.5 * self._pause)
        self._pause = _FIRST_LOOK
        return True

    def close(self) -> None:
        """Close the connection."""
        with self._looking:
            self._forget()

    def _has_changed(self) -> bool:
        with self._looking:
            try:
                version = self._look()
            except sqlite3.Error:  # no file yet, or none any more: then there is nothing to be woken for
                self._forget()
                return False
            changed, self._version = version != self._version, version
            return changed

    def _look(self) -> int:
        if self._connection is None:
            # The first look of a connection says that something has changed, which may well be.
            where = f"{self._file.absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
        (version,) = self._connection.execute("pragma data_version").fetchone()
        return int(version)

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._version = None
