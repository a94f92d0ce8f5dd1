"""Schedules on SQL: one message and one delivery each, whose next tick is written with what the last one emitted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, text

from ..service.delivery import Fence, Record
from ..service.errors import Repeated
from ..service.schedules import Planned, Schedules, recipient_of
from ..service.timetable import record_of, schedule_id
from .codec import Codec
from .database import Database
from .message_log import SqlMessageLog

_ALIVE = timedelta(minutes=1)
"""A worker that was seen so lately counts as alive: it may have missed a few beats."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_KEPT = text("select version, cast(payload as text) from atomos_message where id in :ids").bindparams(
    bindparam("ids", expanding=True)
)
_KNOWN = text("select cast(id as text) from atomos_message where id in :ids").bindparams(
    bindparam("ids", expanding=True)
)
_WORKERS = text("select reads from atomos_worker where seen > :since")
_NOW = text("select clock_timestamp()")

# Completed a moment ago in the same transaction, under its fence.
_AGAIN = text("""
update atomos_delivery
set status = 'scheduled', until = :until, attempts = 0, losses = 0, completed_at = null
where message_id = :id and recipient = :recipient
""")
# What is due waits for whoever handles it, by what is kept.
_REPLAN = text("""
update atomos_delivery set until = :until
where message_id = :id and recipient = :recipient and status = 'scheduled' and until > :now
""")
_REWRITE = text("update atomos_message set payload = :payload where id = :id")


class SqlSchedules(Schedules):
    """Keeps schedules in the log. `now` is the time that tests give; None asks the database."""

    def __init__(
        self,
        database: Database,
        log: SqlMessageLog,
        codec: Codec,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._database = database
        self._log = log
        self._codec = codec
        self._now = now

    def now(self) -> datetime:
        """Tell the database's time, or that which tests give. SQLite's is this machine's."""
        if self._now is not None:
            return self._now()
        if self._database.dialect == "sqlite":
            return datetime.now(UTC)
        with self._database.look() as connection:
            return connection.execute(_NOW).scalar_one().astimezone(UTC)  # type: ignore[no-any-return]

    def stored(self, names: Sequence[str]) -> Sequence[Planned]:
        """Find those of these schedules that are kept."""
        with self._database.look() as connection:
            rows = connection.execute(_KEPT, {"ids": [schedule_id(name) for name in names]}).all()
        return [self._planned(version, payload) for version, payload in rows]

    def alive(self) -> frozenset[str]:
        """Give the declarations of the builds whose workers are alive."""
        since = self._stored_time(self.now() - _ALIVE)
        with self._database.look() as connection:
            rows = connection.execute(_WORKERS, {"since": since}).scalars().all()
        return frozenset(each for reads in rows for each in _listed(reads))

    def plan(self, planned: Planned) -> None:
        """Keep a schedule as it is declared, with its next tick; one whose tick is due stays as it is."""
        now = self.now()
        with self._database.transaction() as connection:
            if not _new(connection, [record_of(planned, now)]):
                values = {"now": self._stored_time(now), **self._values(planned)}
                if connection.execute(_REPLAN, values).rowcount:
                    self._rewrite(connection, planned)
                return
        with suppress(Repeated):  # another worker was first, and says the same
            self._log.append([record_of(planned, now)])

    def tick(self, records: Sequence[Record], completes: Fence, planned: Planned) -> None:
        """Store what a tick emits, and the tick after it, in one transaction."""
        try:
            with self._database.transaction() as connection:
                self._log.write(connection, _new(connection, records), completes)
                connection.execute(_AGAIN, self._values(planned))
                self._rewrite(connection, planned)
        except Exception as error:
            raise self._log.explain(error, completes.recipient) or error from error
        self._log.committed(records)

    def _planned(self, version: int, payload: str) -> Planned:
        found = self._codec.decode(Planned.wire_name, version, payload)
        assert isinstance(found, Planned)  # noqa: S101 - by its name
        return found

    def _values(self, planned: Planned) -> dict[str, Any]:
        until = self._stored_time(planned.tick)
        return {"id": schedule_id(planned.name), "recipient": recipient_of(planned.name), "until": until}

    def _rewrite(self, connection: Connection, planned: Planned) -> None:
        values = {"id": schedule_id(planned.name), "payload": self._codec.encode(planned)}
        connection.execute(_REWRITE, values)

    def _stored_time(self, at: datetime) -> Any:
        return (at - _EPOCH) // timedelta(microseconds=1) if self._database.dialect == "sqlite" else at


def _new(connection: Connection, records: Sequence[Record]) -> list[Record]:
    # A tick is there already only when someone turned the time back.
    ids = [record.envelope.id for record in records]
    known = set(connection.execute(_KNOWN, {"ids": ids}).scalars())
    return [record for record in records if record.envelope.id not in known]


def _listed(reads: Any) -> Iterable[str]:
    # SQLite has no arrays.
    return json.loads(reads) if isinstance(reads, str) else reads  # type: ignore[no-any-return]
