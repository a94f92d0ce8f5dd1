"""The log on PostgreSQL."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are always bound

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import Connection

from ...service.delivery import ALONE, MOST_SUSPECTS, Failure, Fence, Rows, Status, Waiting
from ..postgres import run as _run
from .dialect import (
    Answered,
    ClaimedRow,
    DeliveryRow,
    LogDialect,
    MessageRow,
    Now,
    Register,
    Written,
    new_lease,
)
from .postgresql_write import write

# The database's clock only. `now()` would be the transaction's start, and shorten leases.
_NOW = "coalesce(%(now)s::timestamptz, statement_timestamp())"

_DISCARD = f"""
update atomos_delivery
set status = 'discarded', until = null, completed_at = {_NOW},
    errors = jsonb_path_query_array(
      jsonb_build_array(jsonb_build_object('at', {_NOW}, 'error', %(why)s::text)) || errors, '$[0 to 4]')
where timer = %(timer)s and status = 'scheduled'
"""

_RECALL = "select fingerprint, answer::text from atomos_message where id = %s"

_LOCK_KEYS = """
select pg_advisory_xact_lock(hashtextextended(key, 0))
from unnest(%s::text[]) with ordinality k(key, n) order by n
"""

_ENROL = "insert into atomos_recipient (name) select unnest(%(names)s::text[]) on conflict do nothing"

# Only what differs: a row that somebody holds must not keep a worker from its start.
_LIMIT = """
update atomos_recipient set at_once = (%(at_once)s::jsonb ->> name)::int
where name = any(%(names)s) and at_once is distinct from (%(at_once)s::jsonb ->> name)::int
"""

_WAITING = f"""
select name, overdue from (
  select r.name,
    exists (select from atomos_lease l where l.recipient = r.name and l.until <= {_NOW})
    or exists (
      select from atomos_delivery d
      where d.recipient = r.name and d.status in ('scheduled', 'retrying') and d.until <= {_NOW}) overdue,
    r.paused_at is null and (r.probe_at is null or r.probe_at <= {_NOW})
    and exists (select from atomos_delivery d where d.recipient = r.name and d.status = 'ready') ready
  from atomos_recipient r where r.name = any(%(names)s)) r
where overdue or ready
"""

_LOCK_RECIPIENT = f"""
select at_once, probing, coalesce(probe_at > {_NOW}, false)
from atomos_recipient where name = %(recipient)s and paused_at is null for update
"""

_HOLD = "select from atomos_recipient where name = %(recipient)s for update"

_LEASED = "select coalesce(sum(cardinality(seqs)), 0)::int from atomos_lease where recipient = %(recipient)s"

_PROBE = f"""
update atomos_recipient set probing = true, probe_at = {_NOW} + %(pause)s where name = %(recipient)s
"""
_PROBED = (
    "update atomos_recipient set probing = false, probe_at = null where name = %(recipient)s and probing"
)

# Thousands may be ready before the planner has heard of any: what it takes for one row is looked at once, and only
# where the batch is; a join would be done for each of them with each of the batch.
_IS_ONE_OF = """d.seq = any(array(select seq from {rows}))
  and d.seq >= (select min(seq) from {rows}) and d.seq <= (select max(seq) from {rows})"""

_EXPIRE = f"""
with gone as (
  delete from atomos_lease where id in (
    select id from atomos_lease where recipient = %(recipient)s and until <= {_NOW} for update skip locked)
  returning seqs),
g as materialized (select unnest(seqs) seq from gone)
update atomos_delivery d
set attempts = d.attempts + (d.losses >= {ALONE})::int, losses = d.losses + 1
where d.recipient = %(recipient)s and d.status = 'ready' and {_IS_ONE_OF.format(rows="g")}
"""

_WAKE_DUE = f"""
update atomos_delivery d set status = 'ready'
where (d.message_id, d.recipient) in (
    select message_id, recipient from atomos_delivery
    where status in ('scheduled', 'retrying') and until <= {_NOW}
    order by until limit 1000 for update skip locked)
  and d.status in ('scheduled', 'retrying') and d.until <= {_NOW}
"""

# A row of another kind ends the batch before it, so that nothing of its key overtakes it. Candidates are found in
# the index alone, where a million may be passed by; the rest of a row is looked up one by one (lateral, limit 1):
# whatever the planner believes, it cannot read a whole table instead.
_CLAIM = f"""
with candidates as materialized (
  select d.seq, d.ordering_key from (
    select seq, ordering_key from atomos_delivery
    where recipient = %(recipient)s and status = 'ready' and seq > %(without_until)s
    order by seq limit %(among)s) d
  where d.seq not in (select unnest(seqs) from atomos_lease where recipient = %(recipient)s)
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
    select c.*, d.attempts, d.message_id, d.losses,
           row_number() over w n, min(d.losses) over w least, max(d.losses) over w most
    from candidates c, lateral (
      select attempts, message_id, losses from atomos_delivery
      where recipient = %(recipient)s and seq = c.seq and status = 'ready' limit 1) d
    window w as (order by seq)) c
  where most = 0 or %(suspects)s and (n = 1 or least > 0 and most < {ALONE} and n <= {MOST_SUSPECTS})),
l as (
  insert into atomos_lease (id, worker, recipient, until, seqs, keys) overriding system value
  select %(id)s, %(worker)s, %(recipient)s, {_NOW} + %(lease)s, array_agg(seq),
         coalesce(array_agg(distinct ordering_key) filter (where ordering_key is not null), '{{}}')
  from rows having count(*) > 0 returning id)
select l.id, r.seq, r.ordering_key, r.attempts, m.id::text, m.name, m.version, m.payload::text,
       m.ordering_key, m.correlation_id::text, m.causation_id::text, m.principal, m.traceparent, m.recorded_at,
       r.losses
from l, rows r, lateral (select * from atomos_message where id = r.message_id limit 1) m order by r.seq
"""

_SUSPECTS = """
select seq, ordering_key from atomos_delivery where recipient = %(recipient)s and status = 'ready' and losses > 0
"""

# What both lists have is found first: looking each row up in the lease's list would be a loop in a loop.
_COMPLETE = f"""
with l as materialized (select seqs from atomos_lease where id = %(lease)s for update),
held as materialized (select unnest(seqs) seq from l intersect select unnest(%(seqs)s::bigint[]))
update atomos_delivery d set status = 'done', attempts = attempts + 1, completed_at = {_NOW}
where d.recipient = %(recipient)s and d.status = 'ready' and {_IS_ONE_OF.format(rows="held")}
"""

_FAIL = f"""
with l as materialized (select seqs from atomos_lease where id = %(lease)s for update)
update atomos_delivery d
set status = %(status)s, attempts = attempts + %(counts)s, until = {_NOW} + %(pause)s,
    completed_at = case when %(over)s then {_NOW} end,
    errors = case when %(error)s::text is null then errors else jsonb_path_query_array(
      jsonb_build_array(jsonb_strip_nulls(
        jsonb_build_object('at', {_NOW}, 'error', %(error)s::text, 'kind', %(kind)s::text)
      )) || errors, '$[0 to 4]') end
from l where d.recipient = %(recipient)s and d.seq = %(seq)s and d.seq = any(l.seqs) and d.status = 'ready'
"""

_KEEP = "update atomos_lease set seqs = %(seqs)s, keys = %(keys)s where id = %(lease)s"
_END = "delete from atomos_lease where id = %(lease)s"
_TURN = f"""
insert into atomos_lease (id, worker, recipient, until, seqs, keys) overriding system value
select %(id)s, %(worker)s, %(recipient)s, {_NOW} + %(lease)s, '{{}}', '{{}}'
where not exists (select from atomos_lease where recipient = %(recipient)s and seqs = '{{}}')
returning id
"""
_HOLDS = "select id from atomos_lease where id = %(lease)s for share"
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
        answered: Answered | None,
        now: Now,
    ) -> Written:
        """Do it in one statement, where the rows are not many."""
        return write(connection, messages, deliveries, completes, answered, now)

    def lock_keys(self, connection: Connection, keys: Sequence[str]) -> None:
        """Take transaction-level advisory locks."""
        _run(connection, _LOCK_KEYS, [list(keys)])

    def discard(self, connection: Connection, timer: str, why: str, now: Now) -> bool:
        """Discard what is scheduled, by its partial index."""
        return _run(connection, _DISCARD, {"timer": timer, "why": why, "now": now}).rowcount > 0

    def recall(self, driver: Any, message_id: str) -> tuple[str, str | None] | None:
        """Find a message's fingerprint and answer."""
        return cast("tuple[str, str | None] | None", driver.execute(_RECALL, [message_id]).fetchone())

    def enrol(self, connection: Connection, recipients: Sequence[str], at_once: Mapping[str, int]) -> None:
        """Add recipients to the register, and set their most at once."""
        _run(connection, _ENROL, {"names": list(recipients)})
        _run(connection, _LIMIT, {"names": list(recipients), "at_once": json.dumps(dict(at_once))})

    def waiting(self, connection: Connection, recipients: Sequence[str], now: Now) -> list[Waiting]:
        """Look by the partial indexes."""
        return [Waiting(*row) for row in _run(connection, _WAITING, {"names": list(recipients), "now": now})]

    def lock_recipient(self, connection: Connection, recipient: str, now: Now = None) -> Register | None:
        """Lock the row, in a statement of its own: the claim's snapshot must be younger than the lock."""
        found = _run(connection, _LOCK_RECIPIENT, {"recipient": recipient, "now": now}).fetchone()
        return None if found is None else Register(*found)

    def hold_recipient(self, connection: Connection, recipient: str) -> None:
        """Lock the row."""
        _run(connection, _HOLD, {"recipient": recipient})

    def in_leases(self, connection: Connection, recipient: str) -> int:
        """Count what is in the leases."""
        found = _run(connection, _LEASED, {"recipient": recipient}).fetchone()
        return cast("tuple[int]", found)[0]

    def probe(self, connection: Connection, recipient: str, pause: timedelta | None, now: Now) -> None:
        """Change the register."""
        values = {"recipient": recipient, "pause": pause, "now": now}
        _run(connection, _PROBED if pause is None else _PROBE, values)

    def expire(self, connection: Connection, recipient: str, now: Now) -> None:
        """End leases that ran out."""
        _run(connection, _EXPIRE, {"recipient": recipient, "now": now})

    def wake_due(self, connection: Connection, now: Now) -> None:
        """Make due rows ready."""
        _run(connection, _WAKE_DUE, {"now": now})

    def worth_a_claim(self, connection: Connection, recipient: str, without: Rows) -> bool:  # noqa: ARG002
        """Always: a claim that finds nothing writes nothing, and keeps nobody from writing."""
        return True

    def suspects(self, connection: Connection, recipient: str) -> Rows:
        """Look by the partial index."""
        found = _run(connection, _SUSPECTS, {"recipient": recipient}).fetchall()
        return Rows(tuple(seq for seq, _ in found), tuple(key for _, key in found if key is not None))

    def claim(
        self,
        connection: Connection,
        recipient: str,
        *,
        room: int,
        among: int | None,
        worker: str,
        lease: timedelta,
        without: Rows,
        suspects: bool,
        now: Now,
    ) -> list[ClaimedRow]:
        """Claim in one round trip."""
        values = {
            "recipient": recipient,
            "room": room,
            "among": among,
            "id": new_lease(),
            "worker": worker,
            "lease": lease,
            "without_seqs": list(without.seqs),
            "without_keys": list(without.keys),
            "without_until": without.until,
            "suspects": suspects,
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
            "kind": failure.kind,
            "now": now,
        }
        return _run(connection, _FAIL, values).rowcount == 1

    def keep(self, connection: Connection, lease: int, left: Rows) -> None:
        """Shrink or end the lease."""
        values = {"lease": lease, "seqs": list(left.seqs), "keys": list(left.keys)}
        _run(connection, _KEEP if left.seqs else _END, values)

    def take_turn(
        self, connection: Connection, recipient: str, worker: str, lease: timedelta, now: Now
    ) -> int | None:
        """Write the lease, unless there is one."""
        values = {"id": new_lease(), "recipient": recipient, "worker": worker, "lease": lease, "now": now}
        found = _run(connection, _TURN, values).fetchone()
        return None if found is None else int(found[0])

    def holds(self, connection: Connection, lease: int) -> bool:
        """Look at the lease, and hold it."""
        return _run(connection, _HOLDS, {"lease": lease}).fetchone() is not None

    def renew(self, connection: Connection, leases: Sequence[int], lease: timedelta, now: Now) -> list[int]:
        """Prolong in one statement."""
        return [
            row[0] for row in _run(connection, _RENEW, {"leases": list(leases), "lease": lease, "now": now})
        ]
