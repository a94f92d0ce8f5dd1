"""Looking into the log on SQL: each answer comes from one read-only transaction."""

# ruff: noqa: S608 - statements are put together from constants of these modules, values are always bound

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from ...domain.messages import Page
from ...service.delivery import LEASE_SECONDS
from ...service.operations import (
    AuditReport,
    DeliveryFilter,
    Explanation,
    Inspection,
    Load,
    MessageFilter,
    Misfit,
    StoredDelivery,
    StoredMessage,
    StoredWorker,
    judge,
)
from ..database import Database
from ..log_sql import LogSql, Now, snapshot
from . import auditing, fitting, lists, rows, waiting

_REGISTER = f"select {rows.REGISTERED} from atomos_recipient r order by r.name"

_COUNTS = """
select recipient, status, count(*) n from (
  select recipient, status from atomos_delivery where status = 'ready'
  union all
  select recipient, status from atomos_delivery where status in ('scheduled', 'retrying')
  union all
  select recipient, status from atomos_delivery where status in ('dead', 'parked')
) d group by recipient, status
"""


class SqlInspection(Inspection):
    """Reads on the log's own connections, never a replica's. `lease` is the time of a lease, in seconds."""

    def __init__(self, database: Database, lease: float = LEASE_SECONDS, now: Now = None) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease)
        self._now = now

    def explain(self, message_id: str) -> Explanation | None:
        """Judge every delivery of a message."""
        with snapshot(self._database, self._now) as log:
            found = waiting.find(log, message_id)
            if found is None:
                return None
            now = log.now()
            workers = rows.workers(log, now, self._lease)
            verdicts = [judge(each, found, workers, now) for each in waiting.around(log, message_id)]
            return Explanation(found, tuple(verdicts))

    def messages(self, wanted: MessageFilter, limit: int, after: str | None = None) -> Page[StoredMessage]:
        """List messages."""
        with snapshot(self._database, self._now) as log:
            return lists.messages(log, wanted, limit, after)

    def deliveries(
        self, wanted: DeliveryFilter, limit: int, after: str | None = None
    ) -> Page[StoredDelivery]:
        """List deliveries."""
        with snapshot(self._database, self._now) as log:
            return lists.deliveries(log, wanted, limit, after)

    def recipients(self) -> Sequence[Load]:
        """List the register with what waits."""
        with snapshot(self._database, self._now, patient=True) as log:
            alive = [each for each in rows.workers(log, log.now(), self._lease) if each.alive]
            oldest = {row.recipient: log.moment(row.oldest) for row in log.rows(auditing.AGES)}
            return [
                Load(
                    row := rows.registered(log, found),
                    counts[row.name],
                    oldest.get(row.name),
                    sum(row.name in worker.recipients for worker in alive),
                )
                for counts in [_counts(log)]
                for found in log.rows(_REGISTER)
            ]

    def workers(self) -> Sequence[StoredWorker]:
        """List the workers."""
        with snapshot(self._database, self._now) as log:
            return rows.workers(log, log.now(), self._lease)

    def audit(self, deciding: Collection[str], most: int = 20) -> AuditReport:
        """Run every check in one snapshot."""
        with snapshot(self._database, self._now, patient=True) as log:
            return auditing.audit(log, deciding, most, self._lease)

    def misfits(self, recipients: Collection[str], reads: Collection[str]) -> Sequence[Misfit]:
        """Compare with a build."""
        with snapshot(self._database, self._now, patient=True) as log:
            return fitting.misfits(log, recipients, reads)


def _counts(log: LogSql) -> dict[str, Any]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in log.rows(_COUNTS):
        counts[row.recipient][row.status] = row.n
    return counts
