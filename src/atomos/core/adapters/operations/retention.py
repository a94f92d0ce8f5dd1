"""Retention on SQL: a walk through the table of messages, which removes whole conversations that are over and old."""

# ruff: noqa: S608 - statements are put together from constants of these modules, values are always bound

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog

from ...service.failpoints import failpoint
from ...service.operations import Retention
from ..database import Database
from ..log_sql import LogSql, Now, snapshot, writing

_LOG = structlog.get_logger("atomos.operations")

_ROWS_A_BATCH = 500
_STRETCHES_A_CALL = 50

# A schedule that was discarded is off for as long as its message is there.
_IS_OLD = """
m.recorded_at < :before and m.kind <> 'schedule'
  and not exists (
    select 1 from atomos_message n where n.correlation_id = m.correlation_id and n.recorded_at >= :before)
  and not exists (
    select 1 from atomos_message n join atomos_delivery d on d.message_id = n.id
    where n.correlation_id = m.correlation_id and d.status not in ('done', 'discarded'))
"""

_COUNT = f"select count(*) from atomos_message m where {_IS_OLD}"

_FIND = f"""
select cast(c.correlation_id as text) id,
       (select count(*) from atomos_message n where n.correlation_id = c.correlation_id) size
from (select distinct m.correlation_id from atomos_message m where {{place}} and {_IS_OLD}) c
"""

_LOCK = """
select cast(m.id as text) id, cast(m.correlation_id as text) conversation from atomos_message m
where m.correlation_id in :conversations {skip_locked}
"""

# After the lock, in a statement of its own: what was committed before it is seen.
_STILL_OLD = f"""
select cast(m.correlation_id as text) conversation, count(*) size from atomos_message m
where m.correlation_id in :conversations and {_IS_OLD} group by m.correlation_id
"""

_REMOVE = (
    "delete from atomos_delivery where message_id in :ids",
    "delete from atomos_message where id in :ids",
)


class _Walk(NamedTuple):
    """How a table is walked through: how long it is, a stretch of it, and how many make one step.

    By where the rows are, and not by an index on their time: that one would cost every commit, and a block range
    index knows less and less as the room of what was removed is filled again.
    """

    length: str
    place: str
    step: int


_WALKS = {
    "postgresql": _Walk(
        "select pg_relation_size('atomos_message') / current_setting('block_size')\\:\\:bigint",
        "m.ctid >= cast('(' || :start || ',0)' as tid) and m.ctid < cast('(' || :end || ',0)' as tid)",
        16,
    ),
    "sqlite": _Walk(
        "select coalesce(max(rowid) + 1, 0) from atomos_message", "m.rowid >= :start and m.rowid < :end", 1000
    ),
}


class SqlRetention(Retention):
    """Goes on where it stopped, and begins again at the end; two at once do no harm.

    `days` is how long conversations are kept after their last message; zero keeps them for ever. `before` is an
    instant in place of it, None for none. `moment` is for how many seconds one call goes on at most.
    """

    def __init__(
        self,
        database: Database,
        days: float,
        *,
        before: datetime | None = None,
        moment: float = 1.0,
        now: Now = None,
    ) -> None:
        self._database = database
        self._days = days
        self._before = before
        self._moment = moment
        self._now = now
        self._walk = _WALKS[database.dialect]
        self._start = 0

    def __call__(self) -> int:
        """Look at the next stretches of the log."""
        if not self._days and self._before is None:
            return 0
        removed, given_up = 0, time.monotonic() + self._moment
        for _ in range(_STRETCHES_A_CALL):
            removed += self._step()
            if self._start == 0 or time.monotonic() >= given_up:
                break
        if removed:
            _LOG.info("retention.removed", count=removed)
        return removed

    def sweep(self) -> Iterator[int]:
        """Walk through the whole log from its beginning; give for each stretch how many were removed."""
        self._start = 0
        yield self._step()
        while self._start:
            yield self._step()

    def count(self) -> int:
        """Count in one statement."""
        if not self._days and self._before is None:
            return 0
        with snapshot(self._database, self._now, patient=True) as log:
            return int(log.one(_COUNT, before=log.at(self._limit(log))))

    def _step(self) -> int:
        with snapshot(self._database, self._now) as log:
            before = log.at(self._limit(log))
            length = int(log.one(self._walk.length))
            start, end = self._start, self._start + self._walk.step
            found = log.rows(_FIND.format(place=self._walk.place), start=start, end=end, before=before)
        self._start = end if end < length else 0
        return sum(self._remove(batch, before) for batch in _batches(found))

    def _remove(self, conversations: tuple[str, ...], before: Any) -> int:
        with writing(self._database, self._now) as log:
            locked = log.rows(_LOCK, conversations=conversations)
            old = log.rows(_STILL_OLD, conversations=conversations, before=before)
            sizes = {row.conversation: row.size for row in old}
            mine: dict[str, list[str]] = {}
            for row in locked:
                mine.setdefault(row.conversation, []).append(row.id)
            # One of which someone else holds a row stays whole, for the next time.
            ids = tuple(
                id_ for name, several in mine.items() if sizes.get(name) == len(several) for id_ in several
            )
            if ids:
                for statement in _REMOVE:
                    log.change(statement, ids=ids)
                    failpoint("purge.inside")
            return len(ids)

    def _limit(self, log: LogSql) -> datetime:
        return self._before or log.now() - timedelta(days=self._days)


def _batches(found: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    """Put conversations together until they have 500 messages; a larger one is removed alone."""
    batch: list[str] = []
    size = 0
    for row in found:
        if batch and size + row.size > _ROWS_A_BATCH:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(row.id)
        size += row.size
    if batch:
        yield tuple(batch)
