"""Lists of messages and deliveries: filters that are indexed, and pages by key."""

# ruff: noqa: S608 - statements are put together from constants of these modules, values are always bound

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from ...domain.messages import Page
from ...service.operations import DeliveryFilter, MessageFilter, StoredDelivery, StoredMessage
from ..log_sql import LogSql
from .rows import DELIVERY, MESSAGE, delivery, message

# One condition for each partial index, so that the planner may use them side by side.
_BY_STATUS = {
    "ready": "d.status = 'ready'",
    "dead": "d.status in ('dead', 'parked') and d.status = 'dead'",
    "parked": "d.status in ('dead', 'parked') and d.status = 'parked'",
    "scheduled": "d.status in ('scheduled', 'retrying') and d.status = 'scheduled'",
    "retrying": "d.status in ('scheduled', 'retrying') and d.status = 'retrying'",
    "done": "d.status = 'done'",
    "discarded": "d.status = 'discarded'",
}

_SINCE = "exists (select 1 from atomos_message m where m.id = d.message_id and m.recorded_at >= :since)"


def messages(log: LogSql, wanted: MessageFilter, limit: int, after: str | None) -> Page[StoredMessage]:
    """Give a page of messages, the newest first."""
    columns = {"name": "name", "key": "ordering_key", "principal": "principal", "kind": "kind"}
    where = [f"m.{column} = :{name}" for name, column in columns.items() if getattr(wanted, name) is not None]
    values: dict[str, Any] = {
        name: getattr(wanted, name) for name in columns if getattr(wanted, name) is not None
    }
    if wanted.conversation is not None:
        where.append("m.correlation_id = :conversation")
        values["conversation"] = str(UUID(wanted.conversation))
    for name, comparison in (("since", ">="), ("until", "<")):
        if (at := getattr(wanted, name)) is not None:
            where.append(f"m.recorded_at {comparison} :{name}")
            values[name] = log.at(at)
    if after is not None:
        at_text, _, id_ = after.partition("/")
        where.append("(m.recorded_at < :at or (m.recorded_at = :at and m.id < :id))")
        values |= {"at": log.at(datetime.fromisoformat(at_text)), "id": str(UUID(id_))}
    found = log.rows(
        f"select {MESSAGE} from atomos_message m where {' and '.join(where or ['1 = 1'])} "
        "order by m.recorded_at desc, m.id desc limit :limit",
        limit=limit + 1,
        **values,
    )
    items = [message(log, row) for row in found]
    more = len(items) > limit
    last = items[limit - 1] if more else None
    cursor = f"{last.recorded_at.isoformat()}/{last.id}" if last else None
    return Page(items=tuple(items[:limit]), cursor=cursor)


def deliveries(log: LogSql, wanted: DeliveryFilter, limit: int, after: str | None) -> Page[StoredDelivery]:
    """Give a page of deliveries, the newest first."""
    where, values = conditions(log, wanted)
    if after is not None:
        where += " and d.seq < :after"
        values["after"] = int(after)
    found = log.rows(
        f"select {DELIVERY} from atomos_delivery d where {where} order by d.seq desc limit :limit",
        limit=limit + 1,
        **values,
    )
    items = [delivery(log, row) for row in found]
    cursor = str(items[limit - 1].seq) if len(items) > limit else None
    return Page(items=tuple(items[:limit]), cursor=cursor)


def conditions(log: LogSql, wanted: DeliveryFilter) -> tuple[str, dict[str, Any]]:
    """Write a filter as a condition on `atomos_delivery d`, with its values."""
    where = [f"({' or '.join(f'({_BY_STATUS[status]})' for status in wanted.statuses)})"]
    values: dict[str, Any] = {}
    if wanted.recipient is not None:
        where.append("d.recipient = :recipient")
        values["recipient"] = wanted.recipient
    if wanted.key is not None:
        where.append("d.ordering_key = :key")
        values["key"] = wanted.key
    if wanted.error is not None:
        where.append("lower(cast(d.errors as text)) like :error escape '!'")
        values["error"] = f"%{_literal(_in_json(log, wanted.error.lower()))}%"
    if wanted.message is not None:
        where.append("d.message_id = :message")
        values["message"] = str(UUID(wanted.message))
    if wanted.since is not None:
        where.append(_SINCE)
        values["since"] = log.at(wanted.since)
    return " and ".join(where), values


def _in_json(log: LogSql, part: str) -> str:
    return json.dumps(part, ensure_ascii=not log.is_postgresql)[1:-1]


def _literal(part: str) -> str:
    return part.replace("!", "!!").replace("%", "!%").replace("_", "!_")
