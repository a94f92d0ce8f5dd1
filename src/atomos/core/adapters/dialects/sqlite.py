"""The log on SQLite: every step runs under the one write lock, so that a step may be several statements."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are always bound

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, cast

from sqlalchemy import Connection

from ...service.delivery import ALONE, Failure, Fence, Rows, Status, Waiting
from ..sqlite import run as _run
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
from .sqlite_claim import claimable, worth_a_claim

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# SQLite takes 32,766 variables a statement at the most.
_ROWS_A_STATEMENT = 1000

_FENCED = """
update atomos_delivery set status = 'done', attempts = attempts + 1, completed_at = :now
where recipient = :recipient and status = 'ready' and seq in (select value from json_each(:seqs))
  and seq in (select s.value from atomos_lease l, json_each(l.seqs) s where l.id = :lease)
"""

# "where true": without it, "on" would be read as the beginning of a join's condition.
_ENROL = """
insert into atomos_recipient (name, at_once)
select n.value, (select a.value from json_each(:at_once) a where a.key = n.value) from json_each(:names) n where true
on conflict (name) do update set at_once = excluded.at_once where at_once is not excluded.at_once
"""

_WAITING = """
select name, overdue from (
  select r.name,
    exists (select 1 from atomos_lease l where l.recipient = r.name and l.until <= :now)
    or exists (
      select 1 from atomos_delivery d
      where d.recipient = r.name and d.status in ('scheduled', 'retrying') and d.until <= :now) overdue,
    r.paused_at is null and (r.probe_at is null or r.probe_at <= :now)
    and exists (select 1 from atomos_delivery d where d.recipient = r.name and d.status = 'ready') ready
  from atomos_recipient r where r.name in (select value from json_each(:names)))
where overdue or ready
"""

_READ_REGISTER = """
select at_once, probing, coalesce(probe_at > :now, false)
from atomos_recipient where name = :recipient and paused_at is null
"""

_IN_LEASES = "select coalesce(sum(json_array_length(seqs)), 0) from atomos_lease where recipient = ?"

_PROBE = "update atomos_recipient set probing = true, probe_at = :at where name = :recipient"
_PROBED = "update atomos_recipient set probing = false, probe_at = null where name = :recipient and probing"

_EXPIRE = f"""
update atomos_delivery set attempts = attempts + (losses >= {ALONE}), losses = losses + 1
where recipient = :recipient and status = 'ready' and seq in (
  select s.value from atomos_lease l, json_each(l.seqs) s where l.recipient = :recipient and l.until <= :now)
"""

_WAKE_DUE = """
update atomos_delivery set status = 'ready' where seq in (
  select seq from atomos_delivery where status in ('scheduled', 'retrying') and until <= :now
  order by until limit 1000)
"""

_DISCARD = """
update atomos_delivery
set status = 'discarded', until = null, completed_at = :now,
    errors = (
      select json_group_array(json(said)) from (
        select json_object('at', :at, 'error', :why) said
        union all select value from json_each(atomos_delivery.errors) limit 5))
where timer = :timer and status = 'scheduled'
"""

_SUSPECTS = """
select seq, ordering_key from atomos_delivery where recipient = ? and status = 'ready' and losses > 0
"""

_LEASE = """
insert into atomos_lease (id, worker, recipient, until, seqs, keys)
values (:id, :worker, :recipient, :until, :seqs, :keys)
"""

_TURN = """
insert into atomos_lease (id, worker, recipient, until, seqs, keys)
select :id, :worker, :recipient, :until, '[]', '[]'
where not exists (select 1 from atomos_lease where recipient = :recipient and seqs = '[]')
returning id
"""
_RENEW = "update atomos_lease set until = ? where id in (select value from json_each(?)) returning id"

_ANSWER = "update atomos_message set answer = :answer where id = :message_id and answer is null"

_FAIL = """
update atomos_delivery
set status = :status, attempts = attempts + :counts, until = :until, completed_at = :completed_at,
    errors = :errors
where seq = :seq
"""

_HELD = """
select errors from atomos_delivery where recipient = :recipient and seq = :seq and status = 'ready'
  and seq in (select s.value from atomos_lease l, json_each(l.seqs) s where l.id = :lease)
"""


class SqliteLog(LogDialect):
    """Statements for SQLite 3.37 and later, in transactions that began with BEGIN IMMEDIATE."""

    def write(
        self,
        connection: Connection,
        messages: Sequence[MessageRow],
        deliveries: Sequence[DeliveryRow],
        completes: Fence | None,
        answered: Answered | None,
        now: Now,
    ) -> Written:
        """Insert messages and deliveries, complete a delivery and add an answer, one statement each."""
        if completes is not None and not self.complete(
            connection, completes.lease, completes.recipient, [completes.seq], now
        ):
            return Written(held=False)
        recorded = _micros(now)
        rows = [(*row, recorded) for row in messages]
        _insert(connection, "atomos_message", (*MessageRow._fields, "recorded_at"), rows)
        due = [row if row.until is None else row._replace(until=_micros(row.until)) for row in deliveries]  # type: ignore[arg-type]
        _insert(connection, "atomos_delivery", DeliveryRow._fields, due)
        if answered is None:
            return Written()
        return Written(is_new=_run(connection, _ANSWER, answered._asdict()).rowcount == 1)

    def lock_keys(self, connection: Connection, keys: Sequence[str]) -> None:
        """Nothing to do: there is one writer at a time."""

    def discard(self, connection: Connection, timer: str, why: str, now: Now) -> bool:
        """Discard what is scheduled, by its partial index."""
        values = {"timer": timer, "why": why, "now": (at := _micros(now)), "at": _iso(at)}
        return _run(connection, _DISCARD, values).rowcount > 0

    def recall(self, driver: Any, message_id: str) -> tuple[str, str | None] | None:
        """Find a message's fingerprint and answer."""
        found = driver.execute("select fingerprint, answer from atomos_message where id = ?", (message_id,))
        return cast("tuple[str, str | None] | None", found.fetchone())

    def enrol(self, connection: Connection, recipients: Sequence[str], at_once: Mapping[str, int]) -> None:
        """Add recipients to the register, and set their most at once."""
        values = {"names": json.dumps(list(recipients)), "at_once": json.dumps(dict(at_once))}
        _run(connection, _ENROL, values)

    def waiting(self, connection: Connection, recipients: Sequence[str], now: Now) -> list[Waiting]:
        """Look by the partial indexes."""
        values = {"names": json.dumps(list(recipients)), "now": _micros(now)}
        return [Waiting(name, bool(overdue)) for name, overdue in _run(connection, _WAITING, values)]

    def lock_recipient(self, connection: Connection, recipient: str, now: Now = None) -> Register | None:
        """Read its row; the write lock is held already."""
        found = _run(connection, _READ_REGISTER, {"recipient": recipient, "now": _micros(now)}).fetchone()
        return None if found is None else Register(found[0], bool(found[1]), bool(found[2]))

    def hold_recipient(self, connection: Connection, recipient: str) -> None:
        """Nothing to do: the write lock is held already."""

    def in_leases(self, connection: Connection, recipient: str) -> int:
        """Count what is in the leases."""
        return int(_run(connection, _IN_LEASES, (recipient,)).fetchone()[0])

    def probe(self, connection: Connection, recipient: str, pause: timedelta | None, now: Now) -> None:
        """Change the register."""
        at = None if pause is None else _micros(now) + pause // _MICROSECOND
        _run(connection, _PROBED if pause is None else _PROBE, {"recipient": recipient, "at": at})

    def expire(self, connection: Connection, recipient: str, now: Now) -> None:
        """End leases that ran out."""
        values = {"recipient": recipient, "now": _micros(now)}
        _run(connection, _EXPIRE, values)
        _run(connection, "delete from atomos_lease where recipient = :recipient and until <= :now", values)

    def wake_due(self, connection: Connection, now: Now) -> None:
        """Make due rows ready."""
        _run(connection, _WAKE_DUE, {"now": _micros(now)})

    def worth_a_claim(self, connection: Connection, recipient: str, without: Rows) -> bool:
        """Look without the write lock, which a claim that finds nothing would take from a command."""
        return worth_a_claim(connection, recipient, without)

    def suspects(self, connection: Connection, recipient: str) -> Rows:
        """Look by the partial index."""
        found = _run(connection, _SUSPECTS, (recipient,)).fetchall()
        return Rows(tuple(seq for seq, _ in found), tuple(key for _, key in found if key is not None))

    def claim(
        self,
        connection: Connection,
        recipient: str,
        *,
        room: int,
        among: int | None,  # noqa: ARG002
        worker: str,
        lease: timedelta,
        without: Rows,
        suspects: bool,
        now: Now,
    ) -> list[ClaimedRow]:
        """Find the rows, among all: whether it is worth it was asked without the lock; and write the lease."""
        rows = claimable(connection, recipient, room, without, suspects=suspects)
        if not rows:
            return []
        keys = sorted({row[2] for row in rows if row[2] is not None})
        values = {
            "id": (id_ := new_lease()),
            "worker": worker,
            "recipient": recipient,
            "until": _micros(now) + lease // _MICROSECOND,
            "seqs": json.dumps([row[1] for row in rows]),
            "keys": json.dumps(keys),
        }
        _run(connection, _LEASE, values)
        return [ClaimedRow._make((id_, *row[1:13], _EPOCH + row[13] * _MICROSECOND, row[14])) for row in rows]

    def complete(
        self, connection: Connection, lease: int, recipient: str, seqs: Sequence[int], now: Now
    ) -> int:
        """Complete what the lease holds."""
        values = {"lease": lease, "recipient": recipient, "seqs": json.dumps(list(seqs)), "now": _micros(now)}
        return _run(connection, _FENCED, values).rowcount

    def fail(self, connection: Connection, fence: Fence, failure: Failure, now: Now) -> bool:
        """Note a failure, if the lease holds it."""
        held = _run(connection, _HELD, fence._asdict()).fetchone()
        if held is None:
            return False
        at = _micros(now)
        kind = {} if failure.kind is None else {"kind": failure.kind}
        said = {"at": _iso(at), "error": failure.error, **kind}
        errors = json.loads(held[0])
        values = {
            "seq": fence.seq,
            "status": failure.status.value,
            "counts": int(failure.counts),
            "until": None if failure.pause is None else at + int(failure.pause * 1_000_000),
            "completed_at": at if failure.status is Status.DEAD else None,
            "errors": json.dumps(errors if failure.error is None else [said, *errors][:5]),
        }
        _run(connection, _FAIL, values)
        return True

    def keep(self, connection: Connection, lease: int, left: Rows) -> None:
        """Shrink or end the lease."""
        if left.seqs:
            values = (json.dumps(left.seqs), json.dumps(left.keys), lease)
            _run(connection, "update atomos_lease set seqs = ?, keys = ? where id = ?", values)
        else:
            _run(connection, "delete from atomos_lease where id = ?", (lease,))

    def take_turn(
        self, connection: Connection, recipient: str, worker: str, lease: timedelta, now: Now
    ) -> int | None:
        """Write the lease, unless there is one."""
        until = _micros(now) + lease // _MICROSECOND
        values = {"id": new_lease(), "recipient": recipient, "worker": worker, "until": until}
        found = _run(connection, _TURN, values).fetchone()
        return None if found is None else int(found[0])

    def holds(self, connection: Connection, lease: int) -> bool:
        """Look at the lease; the transaction has the one write lock."""
        return _run(connection, "select id from atomos_lease where id = ?", (lease,)).fetchone() is not None

    def renew(self, connection: Connection, leases: Sequence[int], lease: timedelta, now: Now) -> list[int]:
        """Prolong in one statement."""
        until = _micros(now) + lease // _MICROSECOND
        return [row[0] for row in _run(connection, _RENEW, (until, json.dumps(list(leases)))).fetchall()]


def _iso(micros: int) -> str:
    return (_EPOCH + micros * _MICROSECOND).isoformat()


def _micros(at: datetime | None) -> int:
    # The database's clock is this machine's: SQLite runs inside the process.
    return time.time_ns() // 1000 if at is None else (at - _EPOCH) // _MICROSECOND


def _insert(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    marks = f"({', '.join('?' * len(columns))})"
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        part = rows[start : start + _ROWS_A_STATEMENT]
        statement = f"insert into {table} ({', '.join(columns)}) values {', '.join([marks] * len(part))}"
        _run(connection, statement, list(chain.from_iterable(part)))
