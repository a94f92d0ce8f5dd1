"""The audit on SQL: every check in one snapshot, counted by the database."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from ...service.operations import Age, AuditReport, Damage
from ..log_sql import LogSql
from .checks import CHECKS, Check

AGES = """
select d.recipient, count(*) waiting, min(m.recorded_at) oldest
from atomos_delivery d join atomos_message m on m.id = d.message_id
where d.status = 'ready' or d.status in ('retrying', 'parked')
group by d.recipient order by d.recipient
"""

_UNSEEN_LEASES = 4
"""After how many times the time of a lease a worker that is not seen is gone."""


def audit(log: LogSql, deciding: Collection[str], most: int, lease: timedelta) -> AuditReport:
    """Look at the whole log, in the transaction that it is given."""
    now = log.now()
    given = {"most": most, "deciding": tuple(deciding) or ("",), "seen": log.at(now - lease * _UNSEEN_LEASES)}
    damages = [_found(log, check, given) for check in CHECKS]
    ages = [
        Age(row.recipient, row.waiting, oldest := log.moment(row.oldest), (now - oldest).total_seconds())
        for row in log.rows(AGES)
    ]
    return AuditReport(
        now,
        log.one("select count(*) from atomos_message"),
        log.one("select count(*) from atomos_delivery"),
        tuple(ages),
        tuple(damage for damage in damages if damage is not None),
    )


def _found(log: LogSql, check: Check, given: dict[str, object]) -> Damage | None:
    needed = {name: value for name, value in given.items() if f":{name}" in check.statement}
    rows = log.rows(check.statement, **needed)
    if not rows:
        return None
    named = tuple(check.row.format_map(row._mapping) for row in rows)
    return Damage(check.name, check.said, rows[0].total, named)
