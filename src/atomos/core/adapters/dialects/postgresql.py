"""The log on PostgreSQL."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are always bound

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from itertools import chain
from typing import Any, cast

import psycopg
from sqlalchemy import Connection

from ...service.delivery import Failure, Fence, Rows, Status, Waiting
from .dialect import ClaimedRow, DeliveryRow, LogDialect, MessageRow, Now

# The database's clock only. `now()` would be the transaction's start, and shorten leases.
_NOW = "coalesce(%(now)s::timestamptz, statement_timestamp())"

# PostgreSQL takes 65,535 parameters a statement at the most.
_ROWS_A_STATEMENT = 1000

_MESSAGE = f"({', '.join(['%s'] * len(MessageRow._fields))})"
_DELIVERY = f"({', '.join(['%s'] * len(DeliveryRow._fields))})"

_FENCED = """fenced as (
  update atomos_delivery d
  set status = 'done', attempts = attempts + 1,
      completed_at = coalesce(%s::timestamptz, statement_timestamp())
  from (select seqs from atomos_lease where id = %s for key share) l
  where d.recipient = %s and d.seq = %s and d.seq = any(l.seqs) and d.status = 'ready'
  returning d.seq)"""

_ANSWER = "update atomos_message set answer = %s where id = %s"

_RECALL = "select fingerprint, answer::text from atomos_message where id = %s"

_LOCK_KEYS = """
select pg_advisory_xact_lock(hashtextextended(key, 0))
from unnest(%s::text[]) with ordinality k(key, n) order by n
"""

_ENROL = "insert into atomos_recipient (name) select unnest(%(names)s::text[]) on conflict do nothing"

_WAITING = f"""
select name, overdue from (
  select r.name,
    exists (select from atomos_lease l where l.recipient = r.name and l.until <= {_NOW})
    or exists (
      select from atomos_delivery d
      where d.recipient = r.name and d.status in ('scheduled', 'retrying') and d.until <= {_NOW}) overdue,
    exists (select from atomos_delivery d where d.recipient = r.name and d.status = 'ready') ready
  from atomos_recipient r where r.name = any(%(names)s) and r.paused_at is null) r
where overdue or ready
"""

_LOCK_RECIPIENT = (
    "select name from atomos_recipient where name = %(recipient)s and paused_at is null for update"
)

_EXPIRE = f"""
with gone as (
  delete from atomos_lease where id in (
    select id from atomos_lease where recipient = %(recipient)s and until <= {_NOW} for update skip locked)
  returning recipient, seqs)
update atomos_delivery d set attempts = d.attempts + (g.size = 1)::int, alone = true
from (select recipient, cardinality(seqs) size, unnest(seqs) seq from gone) g
where d.recipient = g.recipient and d.seq = g.seq and d.status = 'ready'
"""

_WAKE_DUE = f"""
update atomos_delivery d set status = 'ready', until = null
where (d.message_id, d.recipient) in (
    select message_id, recipient from atomos_delivery
    where status in ('scheduled', 'retrying') and until <= {_NOW}
    order by until limit 1000 for update skip locked)
  and d.status in ('scheduled', 'retrying') and d.until <= {_NOW}
"""

# A row that is claimed alone ends the batch before it, so that nothing of its key overtakes it.
_CLAIM = f"""
with candidates as materialized (
  select d.seq, d.ordering_key, d.attempts, d.message_id, d.alone from atomos_delivery d
  where d.recipient = %(recipient)s and d.status = 'ready'
    and d.seq not in (select unnest(seqs) from atomos_lease where recipient = %(recipient)s)
    and d.seq <> all(%(without_seqs)s::bigint[])
    and (d.ordering_key is null or (
      d.ordering_key <> all(%(without_keys)s::text[])
      and d.ordering_key not in (select unnest(keys) from atomos_lease where recipient = %(recipient)s)
      and d.ordering_key not in (
        select e.ordering_key from atomos_delivery e
        where e.recipient = %(recipient)s and e.status in ('retrying', 'parked')
          and e.ordering_key is not null)))
  order by d.seq limit %(room)s),
rows as materialized (
  select * from (
    select c.*, row_number() over (order by seq) n, sum(alone::int) over (order by seq) alones
    from candidates c) c
  where n = 1 or alones = 0),
l as (
  insert into atomos_lease (worker, recipient, until, seqs, keys)
  select %(worker)s, %(recipient)s, {_NOW} + %(lease)s, array_agg(seq),
         coalesce(array_agg(distinct ordering_key) filter (where ordering_key is not null), '{{}}')
  from rows having count(*) > 0 returning id)
select l.id, r.seq, r.ordering_key, r.attempts, m.id::text, m.name, m.version, m.payload::text,
       m.ordering_key, m.correlation_id::text, m.causation_id::text, m.principal, m.traceparent, m.recorded_at
from l, rows r join atomos_message m on m.id = r.message_id order by r.seq
"""

_COMPLETE = f"""
with l as materialized (select seqs from atomos_lease where id = %(lease)s for update)
update atomos_delivery d set status = 'done', attempts = attempts + 1, completed_at = {_NOW}
from l
where d.recipient = %(recipient)s and d.seq = any(%(seqs)s) and d.seq = any(l.seqs) and d.status = 'ready'
"""

_FAIL = f"""
with l as materialized (select seqs from atomos_lease where id = %(lease)s for update)
update atomos_delivery d
set status = %(status)s, attempts = attempts + %(counts)s, until = {_NOW} + %(pause)s,
    completed_at = case when %(over)s then {_NOW} end,
    errors = jsonb_path_query_array(
      jsonb_build_array(jsonb_build_object('at', {_NOW}, 'error', %(error)s::text)) || errors, '$[0 to 4]')
from l where d.recipient = %(recipient)s and d.seq = %(seq)s and d.seq = any(l.seqs) and d.status = 'ready'
"""

_KEEP = "update atomos_lease set seqs = %(seqs)s, keys = %(keys)s where id = %(lease)s"
_END = "delete from atomos_lease where id = %(lease)s"
_RENEW = (
    f"update atomos_lease set until = {_NOW} + %(lease)s where id = any(%(leases)s::bigint[]) returning id"
)


class PostgresLog(LogDialect):
    """Statements for PostgreSQL 15 and later, on the driver's connection."""

    def write(
        self,
        connection: Connection,
        messages: Sequence[MessageRow],
        deliveries: Sequence[DeliveryRow],
        completes: Fence | None,
        now: Now,
    ) -> bool:
        """Insert messages and deliveries, and complete a delivery: in one statement, where they are not many."""
        rows = max(len(messages), len(deliveries), completes is not None)
        for start in range(0, rows, _ROWS_A_STATEMENT):
            part = slice(start, start + _ROWS_A_STATEMENT)
            fence = completes if start == 0 else None
            if not _write(connection, messages[part], deliveries[part], fence, now):
                return False
        return True

    def lock_keys(self, connection: Connection, keys: Sequence[str]) -> None:
        """Take transaction-level advisory locks."""
        _run(connection, _LOCK_KEYS, [list(keys)])

    def answer(self, connection: Connection, message_id: str, answer: str) -> None:
        """Add the answer to a stored command."""
        _run(connection, _ANSWER, [answer, message_id])

    def recall(self, connection: Connection, message_id: str) -> tuple[str, str | None] | None:
        """Find a message's fingerprint and answer."""
        return cast("tuple[str, str | None] | None", _run(connection, _RECALL, [message_id]).fetchone())

    def enrol(self, connection: Connection, recipients: Sequence[str]) -> None:
        """Add recipients to the register."""
        _run(connection, _ENROL, {"names": list(recipients)})

    def waiting(self, connection: Connection, recipients: Sequence[str], now: Now) -> list[Waiting]:
        """Look by the partial indexes."""
        return [Waiting(*row) for row in _run(connection, _WAITING, {"names": list(recipients), "now": now})]

    def lock_recipient(self, connection: Connection, recipient: str) -> bool:
        """Lock the row, in a statement of its own: the claim's snapshot must be younger than the lock."""
        return _run(connection, _LOCK_RECIPIENT, {"recipient": recipient}).fetchone() is not None

    def expire(self, connection: Connection, recipient: str, now: Now) -> None:
        """End leases that ran out."""
        _run(connection, _EXPIRE, {"recipient": recipient, "now": now})

    def wake_due(self, connection: Connection, now: Now) -> None:
        """Make due rows ready."""
        _run(connection, _WAKE_DUE, {"now": now})

    def worth_a_claim(self, connection: Connection, recipient: str, without: Rows) -> bool:  # noqa: ARG002
        """Always: a claim that finds nothing writes nothing, and keeps nobody from writing."""
        return True

    def claim(
        self,
        connection: Connection,
        recipient: str,
        *,
        room: int,
        worker: str,
        lease: timedelta,
        without: Rows,
        now: Now,
    ) -> list[ClaimedRow]:
        """Claim in one round trip."""
        values = {
            "recipient": recipient,
            "room": room,
            "worker": worker,
            "lease": lease,
            "without_seqs": list(without.seqs),
            "without_keys": list(without.keys),
            "now": now,
        }
        return [ClaimedRow(*row) for row in _run(connection, _CLAIM, values)]

    def complete(
        self, connection: Connection, lease: int, recipient: str, seqs: Sequence[int], now: Now
    ) -> int:
        """Complete under the lease's lock."""
        values = {"lease": lease, "recipient": recipient, "seqs": list(seqs), "now": now}
        return _run(connection, _COMPLETE, values).rowcount

    def fail(self, connection: Connection, fence: Fence, failure: Failure, now: Now) -> bool:
        """Note a failure under the lease's lock."""
        values = {
            **fence._asdict(),
            "status": failure.status.value,
            "counts": int(failure.counts),
            "pause": None if failure.pause is None else timedelta(seconds=failure.pause),
            "over": failure.status is Status.DEAD,
            "error": failure.error,
            "now": now,
        }
        return _run(connection, _FAIL, values).rowcount == 1

    def keep(self, connection: Connection, lease: int, left: Rows) -> None:
        """Shrink or end the lease."""
        values = {"lease": lease, "seqs": list(left.seqs), "keys": list(left.keys)}
        _run(connection, _KEEP if left.seqs else _END, values)

    def renew(self, connection: Connection, leases: Sequence[int], lease: timedelta, now: Now) -> list[int]:
        """Prolong in one statement."""
        return [
            row[0] for row in _run(connection, _RENEW, {"leases": list(leases), "lease": lease, "now": now})
        ]


def completes_values(completes: Fence | None, now: Now) -> tuple[Any, ...]:
    """Give the values of the fenced completion, in the order of its statement."""
    return () if completes is None else (now, completes.lease, completes.recipient, completes.seq)


def _write(
    connection: Connection,
    messages: Sequence[MessageRow],
    deliveries: Sequence[DeliveryRow],
    completes: Fence | None,
    now: Now,
) -> bool:
    statement = _write_statement(len(messages), len(deliveries), completes is not None)
    values = [*completes_values(completes, now), *chain.from_iterable((*messages, *deliveries))]
    found = _run(connection, statement, values).fetchone()
    return completes is None or (found is not None and found[0] == 1)


@lru_cache(maxsize=256)
def _write_statement(messages: int, deliveries: int, fenced: bool) -> str:
    columns = ", ".join(MessageRow._fields), ", ".join(DeliveryRow._fields)
    parts = [_FENCED] if fenced else []
    if messages:
        parts.append(
            f"m as (insert into atomos_message ({columns[0]}) values {', '.join([_MESSAGE] * messages)})"
        )
    if deliveries:
        rows = ", ".join([_DELIVERY] * deliveries)
        parts.append(f"d as (insert into atomos_delivery ({columns[1]}) values {rows})")
    return f"with {', '.join(parts)} select {'count(*) from fenced' if fenced else '1'}"


def _run(connection: Connection, statement: str, values: Any) -> psycopg.Cursor[Any]:
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    return driver.execute(statement.encode(), values)
