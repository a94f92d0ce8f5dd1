"""What operators change, on SQL: under the lock that a claim takes, in batches, with who did it in the row."""

# ruff: noqa: S608 - statements are put together from constants of these modules, values are always bound

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, NamedTuple

import structlog

from ...service.delivery import LEASE_SECONDS, Status
from ...service.failpoints import failpoint
from ...service.operations import DISCARDABLE, RETRIABLE, Control, Declined, DeliveryFilter
from ...service.routes import Route
from ..codec import Codec
from ..database import Database
from ..log_sql import LOCK, LogSql, Now, snapshot, writing
from . import rows
from .backfill import backfill
from .lists import conditions

_LOG = structlog.get_logger("atomos.operations")

_ROWS_A_BATCH = 500
_ERRORS_KEPT = 5

_NOT_LEASED = """
(d.recipient, d.seq) not in (select l.recipient, s.value from atomos_lease l, {seqs})
"""

_CHANGE = """
update atomos_delivery set status = :status, attempts = :attempts, until = :until, completed_at = :completed,
  errors = {json}
where message_id = :message and recipient = :recipient
"""

_PAUSE = """
update atomos_recipient set paused_at = :at, paused_by = :by, paused_why = :why
where name = :recipient and paused_at is null
"""
_RESUME = """
update atomos_recipient set paused_at = null, paused_by = null, paused_why = null where name = :recipient
"""
_PAUSED = (
    "select paused_at at, paused_by by_whom, paused_why why from atomos_recipient where name = :recipient"
)

_NOT_OVER = """
select count(*) from atomos_delivery d
where d.recipient = :recipient and (d.status = 'ready' or d.status in ('retrying', 'parked') or d.status = 'scheduled')
"""


class _Step(NamedTuple):
    """One kind of change: which states it takes, to which it leads, and what it is called in a log."""

    takes: Sequence[str]
    to: Status
    action: str
    note: str


class SqlControl(Control):
    """Changes the log in transactions of at most 500 deliveries of one recipient. `lease` is in seconds."""

    def __init__(
        self, database: Database, codec: Codec, lease: float = LEASE_SECONDS, now: Now = None
    ) -> None:
        self._database = database
        self._codec = codec
        self._lease = timedelta(seconds=lease)
        self._now = now

    def count(self, wanted: DeliveryFilter) -> int:
        """Count what no lease holds."""
        with snapshot(self._database, self._now, patient=True) as log:
            where, values = conditions(log, wanted)
            found = log.one(
                f"select count(*) from atomos_delivery d where {where} and {_NOT_LEASED}", **values
            )
            return int(found)

    def retry(self, wanted: DeliveryFilter, by: str) -> int:
        """Take them back to ready."""
        return self._change(
            wanted, by, _Step(RETRIABLE, Status.READY, "deliveries.retried", f"retried by {by}")
        )

    def discard(self, wanted: DeliveryFilter, by: str, why: str) -> int:
        """Give them up."""
        note = f"discarded by {by}: {why}"
        return self._change(wanted, by, _Step(DISCARDABLE, Status.DISCARDED, "deliveries.discarded", note))

    def pause(self, recipient: str, by: str, why: str) -> None:
        """Note who paused it, and why."""
        with writing(self._database, self._now) as log:
            if not log.change(_PAUSE, recipient=recipient, at=log.at(log.now()), by=by, why=why):
                raise _paused(log, recipient)
        _LOG.info("recipient.paused", recipient=recipient, by=by, why=why)

    def resume(self, recipient: str, by: str) -> None:
        """Forget the pause."""
        with writing(self._database, self._now) as log:
            if not log.change(_RESUME, recipient=recipient):
                raise _unknown(log, recipient)
        _LOG.info("recipient.resumed", recipient=recipient, by=by)

    def forget(self, recipient: str, by: str) -> None:
        """Remove its row, if nothing waits for it and no live worker has it: that would enrol it again."""
        with writing(self._database, self._now) as log:
            if not log.rows(LOCK, recipient=recipient):
                raise _unknown(log, recipient)
            if count := log.one(_NOT_OVER, recipient=recipient):
                raise Declined(f"{recipient} has {count} deliveries that are not over.")
            workers = rows.workers(log, log.now(), self._lease)
            if having := [each.id for each in workers if each.alive and recipient in each.recipients]:
                raise Declined(f"{recipient} is a recipient of live workers: {', '.join(having)}.")
            log.change("delete from atomos_recipient where name = :recipient", recipient=recipient)
        _LOG.info("recipient.forgotten", recipient=recipient, by=by)

    def backfill(self, route: Route, since: datetime, by: str, *, dry_run: bool) -> int:
        """Address events to a new recipient."""
        if route.kind not in ("trigger", "reaction", "topic"):
            raise Declined(f"{route.name} hears no event: it is a {route.kind}.")
        count = backfill(self._database, self._codec, self._now, route, since, dry_run=dry_run)
        if not dry_run:
            _LOG.info(
                "recipient.backfilled", recipient=route.name, since=since.isoformat(), count=count, by=by
            )
        return count

    def _change(self, wanted: DeliveryFilter, by: str, step: _Step) -> int:
        wanted = wanted._replace(statuses=tuple(s for s in wanted.statuses if s in step.takes))
        if not wanted.statuses:
            return 0
        changed = 0
        for recipient in self._recipients(wanted):
            # Forward only: one that has died again meanwhile is not taken a second time.
            after: int | None = 0
            while after is not None:
                after, count = self._change_batch(wanted._replace(recipient=recipient), step, after)
                changed += count
                if count:
                    _LOG.info(step.action, recipient=recipient, count=count, by=by, note=step.note)
        return changed

    def _recipients(self, wanted: DeliveryFilter) -> list[str]:
        with snapshot(self._database, self._now, patient=True) as log:
            where, values = conditions(log, wanted)
            found = log.rows(f"select distinct d.recipient from atomos_delivery d where {where}", **values)
            return sorted(row.recipient for row in found)

    def _change_batch(self, wanted: DeliveryFilter, step: _Step, after: int) -> tuple[int | None, int]:
        """Change the next ones; give the place of the last, None after the last batch, and how many there were."""
        with writing(self._database, self._now) as log:
            log.rows(LOCK, recipient=wanted.recipient)
            where, values = conditions(log, wanted)
            found = log.rows(
                f"select d.seq, cast(d.message_id as text) message, d.recipient, d.attempts, "
                f"cast(d.errors as text) errors from atomos_delivery d "
                f"where {where} and {_NOT_LEASED} and d.seq > :after "
                f"order by d.seq limit :limit {{for_update}}",
                after=after,
                limit=_ROWS_A_BATCH,
                **values,
            )
            now = log.now()
            log.change_each(_CHANGE, [_changed(log, row, step, now) for row in found])
            failpoint("operator.inside")
        return (found[-1].seq if len(found) == _ROWS_A_BATCH else None), len(found)


def _changed(log: LogSql, row: Any, step: _Step, now: datetime) -> dict[str, Any]:
    back = step.to is Status.READY
    errors = [{"at": now.isoformat(), "error": step.note}, *json.loads(row.errors)][:_ERRORS_KEPT]
    return {
        "message": row.message,
        "recipient": row.recipient,
        "status": step.to.value,
        "attempts": 0 if back else row.attempts,
        "until": log.at(now) if back else None,  # since when it waits
        "completed": None if back else log.at(now),
        "errors": json.dumps(errors),
    }


def _paused(log: LogSql, recipient: str) -> Declined:
    found = log.rows(_PAUSED, recipient=recipient)
    if not found:
        return _unknown(log, recipient)
    if (at := log.moment(found[0].at)) is None:
        return Declined(f"{recipient} was paused and has been resumed just now; pause it again.")
    since = at.isoformat(timespec="seconds")
    return Declined(
        f"{recipient} is paused since {since} by {found[0].by_whom}: {found[0].why}. Resume it first."
    )


def _unknown(log: LogSql, recipient: str) -> Declined:
    names = [row.name for row in log.rows("select name from atomos_recipient order by name")]
    near = get_close_matches(recipient, names, n=3, cutoff=0.75)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names) or 'none'}."
    return Declined(f"No recipient {recipient!r} is registered; {hint}")
