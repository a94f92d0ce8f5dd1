"""Deliveries for a recipient that did not exist when the events were recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ...domain.messages import Event
from ...service.plans import key_of
from ...service.routes import Route
from ..codec import Codec
from ..database import Database
from ..log_sql import LOCK, LogSql, Now, snapshot, writing

_WINDOW = timedelta(hours=1)
_ROWS_A_BATCH = 500

# An event that an entrypoint emitted has its answer, and its triggers were asked then and there: none hears it late.
_EVENTS = """
from atomos_message m
where m.recorded_at >= :since and m.recorded_at < :until and m.kind in ('event', 'received') and m.name = :name
  and (:asked = 0 or m.answer is null)
  and not exists (select 1 from atomos_delivery d where d.message_id = m.id and d.recipient = :recipient)
"""

_COUNT = f"select count(*) {_EVENTS}"
_FIND = f"select cast(m.id as text) id {_EVENTS} order by m.recorded_at, m.id"

_LOCK_MESSAGES = """
select cast(m.id as text) id, m.name, m.version, m.ordering_key, m.recorded_at, cast(m.payload as text) payload
from atomos_message m
where m.id in :ids
  and not exists (select 1 from atomos_delivery d where d.message_id = m.id and d.recipient = :recipient)
order by m.recorded_at, m.id {for_update}
"""

_ADDRESS = """
insert into atomos_delivery (message_id, recipient, ordering_key, status, until)
values (:message, :recipient, :key, 'ready', :until)
"""
_COUNT_UP = "update atomos_message set deliveries = deliveries + 1 where id in :ids"

_ENROL = "insert into atomos_recipient (name) values (:recipient) on conflict do nothing"


def backfill(
    database: Database, codec: Codec, now: Now, route: Route, since: datetime, *, dry_run: bool
) -> int:
    """Give a recipient a delivery for each event of its kind that was recorded since then; say how many.

    It goes hour by hour, so that neither memory nor a transaction grows with the log.
    """
    with snapshot(database, now, patient=True) as log:
        if dry_run:
            return int(log.one(_COUNT, **_asked(log, route, since, log.now())))
        end = log.now()
    count = 0
    while since < end:
        with snapshot(database, now, patient=True) as log:
            ids = [row.id for row in log.rows(_FIND, **_asked(log, route, since, min(since + _WINDOW, end)))]
        for start in range(0, len(ids), _ROWS_A_BATCH):
            with writing(database, now) as log:
                count += _address(log, codec, route, ids[start : start + _ROWS_A_BATCH])
        since += _WINDOW
    return count


def _asked(log: LogSql, route: Route, since: datetime, until: datetime) -> dict[str, Any]:
    return {
        "since": log.at(since),
        "until": log.at(until),
        "name": route.message.wire_name,
        "recipient": route.name,
        "asked": int(route.kind == "trigger"),
    }


def _address(log: LogSql, codec: Codec, route: Route, ids: Sequence[str]) -> int:
    log.change(_ENROL, recipient=route.name)
    log.rows(LOCK, recipient=route.name)
    found = log.rows(_LOCK_MESSAGES, ids=tuple(ids), recipient=route.name)
    if found:
        since_when = {"recipient": route.name, "until": log.at(log.now())}
        rows = [{"message": row.id, "key": _key(codec, route, row), **since_when} for row in found]
        log.change_each(_ADDRESS, rows)
        log.change(_COUNT_UP, ids=tuple(row.id for row in found))
    return len(found)


def _key(codec: Codec, route: Route, row: Any) -> str | None:
    if route.by is None:
        return row.ordering_key  # type: ignore[no-any-return]
    event: Event[Any] = codec.decode(row.name, row.version, row.payload)  # type: ignore[assignment]
    return key_of(event, route.by)
