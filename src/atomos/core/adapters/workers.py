"""The register of workers on SQL."""

from __future__ import annotations

from datetime import timedelta
from importlib import metadata

from ..service.registration import Present, Workers
from .codec import Codec
from .database import Database
from .log_sql import writing

_SEEN = """
insert into atomos_worker (id, host, pid, version, started, seen, recipients, reads, stuck)
values (:id, :host, :pid, :version, :now, :now, :recipients, :reads, :stuck)
on conflict (id) do update set seen = excluded.seen, stuck = excluded.stuck
"""


class SqlWorkers(Workers):
    """Keeps a row for each worker. `codec` knows what this build can read."""

    def __init__(self, database: Database, codec: Codec) -> None:
        self._database = database
        self._reads = codec.reads
        self._version = metadata.version("atomos-framework")

    def seen(self, worker: Present) -> None:
        """Note that a worker lives, and what it says of itself."""
        with writing(self._database) as log:
            log.change(
                _SEEN,
                id=worker.id,
                host=worker.host,
                pid=worker.pid,
                version=self._version,
                now=log.at(log.now()),
                recipients=log.array(worker.recipients),
                reads=log.array(self._reads),
                stuck=log.array(worker.stuck),
            )

    def gone(self, worker: str) -> None:
        """Remove a worker that has stopped."""
        with writing(self._database) as log:
            log.change("delete from atomos_worker where id = :id", id=worker)

    def forget(self, seconds: float) -> int:
        """Remove workers that were not seen for so long; say how many."""
        with writing(self._database) as log:
            since = log.at(log.now() - timedelta(seconds=seconds))
            return log.change("delete from atomos_worker where seen < :since", since=since)
