"""What a claim may take, on SQLite: by the rule, in the order of seq, of one kind."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are always bound

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Any

from sqlalchemy import Connection

from ...service.delivery import ALONE, MOST_SUSPECTS, Rows
from ..sqlite import run

_RULE = """
d.recipient = :recipient and d.status = 'ready' and d.seq > :without_until
  and d.seq not in (select s.value from atomos_lease l, json_each(l.seqs) s where l.recipient = :recipient)
  and d.seq not in (select value from json_each(:without_seqs))
  and (d.ordering_key is null or (
    d.ordering_key not in (select value from json_each(:without_keys))
    and d.ordering_key not in (
      select k.value from atomos_lease l, json_each(l.keys) k where l.recipient = :recipient)
    and d.ordering_key not in (
      select e.ordering_key from atomos_delivery e
      where e.recipient = :recipient and e.status in ('retrying', 'parked') and e.ordering_key is not null)))
"""

_WORTH_A_CLAIM = f"select 1 from atomos_delivery d where {_RULE} limit 1"

_CLAIM = f"""
select null, d.seq, d.ordering_key, d.attempts, m.id, m.name, m.version, m.payload, m.ordering_key,
       m.correlation_id, m.causation_id, m.principal, m.traceparent, m.recorded_at, d.losses
from atomos_delivery d join atomos_message m on m.id = d.message_id
where {_RULE} order by d.seq limit :room
"""


def worth_a_claim(connection: Connection, recipient: str, without: Rows) -> bool:
    """Whether a claim would find something."""
    return run(connection, _WORTH_A_CLAIM, _without(recipient, without)).fetchone() is not None


def claimable(
    connection: Connection, recipient: str, room: int, without: Rows, *, suspects: bool
) -> list[Any]:
    """Give the rows that a claim takes, as `ClaimedRow` has them; the first value, the lease, is to be filled in."""
    found = run(connection, _CLAIM, {"room": room, **_without(recipient, without)})
    rows = _first_kind(found, suspects=suspects)
    found.close()
    return rows


def _without(recipient: str, without: Rows) -> dict[str, Any]:
    return {
        "recipient": recipient,
        "without_seqs": json.dumps(without.seqs),
        "without_keys": json.dumps(without.keys),
        "without_until": without.until,
    }


def _first_kind(rows: Iterator[Any], *, suspects: bool) -> list[Any]:
    # A row of another kind ends the batch before it, so that nothing of its key overtakes it.
    first = next(rows, None)
    if first is None or (first[14] and not suspects):
        return []
    if first[14] >= ALONE:
        return [first]
    alike = takewhile(lambda row: row[14] == first[14], rows)
    return [first, *(islice(alike, MOST_SUSPECTS - 1) if first[14] else alike)]
