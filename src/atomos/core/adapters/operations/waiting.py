"""What the claim rule looks at, around each delivery of a message."""

# ruff: noqa: S608 - statements are put together from constants of these modules, values are always bound

from __future__ import annotations

from ...service.operations import Around, Registered, StoredDelivery, StoredMessage
from ...service.operations.why import MOST_AHEAD
from ..log_sql import LogSql
from .rows import DELIVERY, MESSAGE, REGISTERED, delivery, leases, message, registered

_MESSAGE = f"select {MESSAGE} from atomos_message m where m.id = :id"
_DELIVERIES = f"select {DELIVERY} from atomos_delivery d where d.message_id = :id order by d.seq"
_REGISTERED = f"select {REGISTERED} from atomos_recipient r where r.name = :recipient"

# By the index of what holds a key; its rows of one key are few, so that no order has to be found for many.
_HOLDERS = f"""
select {DELIVERY} from atomos_delivery d
where d.recipient = :recipient and d.ordering_key = :key and d.status in ('retrying', 'parked')
"""

_AHEAD = """
select count(*) from (
  select 1 from atomos_delivery d
  where d.recipient = :recipient and d.status = 'ready' and d.seq < :seq limit :most) found
"""


def find(log: LogSql, message_id: str) -> StoredMessage | None:
    """Find a message."""
    return next((message(log, row) for row in log.rows(_MESSAGE, id=message_id)), None)


def around(log: LogSql, message_id: str) -> list[Around]:
    """Give each delivery of a message with what is around it, in the order of seq."""
    return [_around(log, delivery(log, row)) for row in log.rows(_DELIVERIES, id=message_id)]


def _around(log: LogSql, row: StoredDelivery) -> Around:
    held = leases(log, row.recipient)
    ahead = log.one(_AHEAD, recipient=row.recipient, seq=row.seq, most=MOST_AHEAD + 1)
    return Around(row, _register(log, row.recipient), held, _holder(log, row), ahead)


def _register(log: LogSql, recipient: str) -> Registered | None:
    return next((registered(log, row) for row in log.rows(_REGISTERED, recipient=recipient)), None)


def _holder(log: LogSql, row: StoredDelivery) -> StoredDelivery | None:
    if row.ordering_key is None:
        return None
    found = [
        delivery(log, each) for each in log.rows(_HOLDERS, recipient=row.recipient, key=row.ordering_key)
    ]
    return min((each for each in found if each.seq != row.seq), key=lambda each: each.seq, default=None)
