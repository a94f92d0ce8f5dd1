"""The register of workers on SQL."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from importlib import metadata
from typing import Any

from ..service.registration import Present, Workers
from .codec import Codec
from .database import Database

_POSTGRESQL = {
    "seen": """
insert into atomos_worker (id, host, pid, version, started, seen, recipients, reads, stuck)
values (%(id)s, %(host)s, %(pid)s, %(version)s, statement_timestamp(), statement_timestamp(),
        %(recipients)s, %(reads)s, %(stuck)s)
on conflict (id) do update set seen = excluded.seen, stuck = excluded.stuck
""",
    "gone": "delete from atomos_worker where id = %(id)s",
    "forget": "delete from atomos_worker where seen < statement_timestamp() - %(age)s",
}

_SQLITE = {
    "seen": """
insert into atomos_worker (id, host, pid, version, started, seen, recipients, reads, stuck)
values (:id, :host, :pid, :version, :now, :now, :recipients, :reads, :stuck)
on conflict (id) do update set seen = excluded.seen, stuck = excluded.stuck
""",
    "gone": "delete from atomos_worker where id = :id",
    "forget": "delete from atomos_worker where seen < :now - :age",
}


class SqlWorkers(Workers):
    """Keeps a row for each worker. `codec` knows what this build can read."""

    def __init__(self, database: Database, codec: Codec) -> None:
        self._database = database
        self._is_sqlite = database.dialect == "sqlite"
        self._reads = codec.reads
        self._version = metadata.version("atomos-framework")

    def seen(self, worker: Present) -> None:
        """Note that a worker lives, and what it says of itself."""
        listed = {"recipients": worker.recipients, "reads": self._reads, "stuck": worker.stuck}
        arrays = {name: self._array(values) for name, values in listed.items()}
        own = {"id": worker.id, "host": worker.host, "pid": worker.pid, "version": self._version}
        self._run("seen", {**own, **arrays})

    def gone(self, worker: str) -> None:
        """Remove a worker that has stopped."""
        self._run("gone", {"id": worker})

    def forget(self, seconds: float) -> int:
        """Remove workers that were not seen for so long; say how many."""
        age = int(seconds * 1_000_000) if self._is_sqlite else timedelta(seconds=seconds)
        return self._run("forget", {"age": age})

    def _array(self, values: tuple[str, ...]) -> object:
        return json.dumps(values) if self._is_sqlite else list(values)

    def _run(self, name: str, values: dict[str, Any]) -> int:
        if self._is_sqlite:
            # The database's clock is this machine's: SQLite runs inside the process.
            values["now"] = time.time_ns() // 1000
        with self._database.transaction() as connection:
            driver: Any = connection.connection.driver_connection
            found: int = driver.execute((_SQLITE if self._is_sqlite else _POSTGRESQL)[name], values).rowcount
            return found
