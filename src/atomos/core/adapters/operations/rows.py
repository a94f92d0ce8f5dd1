"""From rows of the log's tables to plain data."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from ...service.operations import Lease, Registered, StoredDelivery, StoredMessage, StoredWorker
from ..log_sql import LogSql

MESSAGE = """
cast(m.id as text) id, m.kind, m.name, m.version, m.ordering_key, cast(m.correlation_id as text) correlation_id,
cast(m.causation_id as text) causation_id, m.principal, m.recorded_at, m.deliveries,
cast(m.payload as text) payload, cast(m.answer as text) answer
"""

DELIVERY = """
d.seq, cast(d.message_id as text) message_id, d.recipient, d.ordering_key, d.status, d.attempts, d.losses, d.until,
d.completed_at, cast(d.errors as text) errors
"""

REGISTERED = "r.name, r.paused_at, r.paused_by, r.paused_why, r.probing, r.probe_at, r.at_once"

_WORKERS = """
select w.id, w.host, w.pid, w.version, w.started, w.seen, w.recipients, w.reads, w.stuck,
  coalesce((select sum({size}) from atomos_lease l where l.worker = w.id), 0) held
from atomos_worker w order by w.started, w.id
"""


def message(log: LogSql, row: Any) -> StoredMessage:
    """Read a row of `MESSAGE`."""
    return StoredMessage(
        row.id,
        row.kind,
        row.name,
        row.version,
        row.ordering_key,
        row.correlation_id,
        row.causation_id,
        row.principal,
        log.moment(row.recorded_at),
        row.deliveries,
        json.loads(row.payload),
        None if row.answer is None else json.loads(row.answer),
    )


def delivery(log: LogSql, row: Any) -> StoredDelivery:
    """Read a row of `DELIVERY`."""
    return StoredDelivery(
        row.seq,
        row.message_id,
        row.recipient,
        row.ordering_key,
        row.status,
        row.attempts,
        row.losses,
        log.moment(row.until),
        log.moment(row.completed_at),
        json.loads(row.errors),
    )


def registered(log: LogSql, row: Any) -> Registered:
    """Read a row of `REGISTERED`."""
    return Registered(
        row.name,
        log.moment(row.paused_at),
        row.paused_by,
        row.paused_why,
        bool(row.probing),
        log.moment(row.probe_at),
        row.at_once,
    )


def leases(log: LogSql, recipient: str) -> list[Lease]:
    """Read all leases of a recipient."""
    found = log.rows(
        "select id, worker, until, seqs, keys from atomos_lease where recipient = :recipient order by until, id",
        recipient=recipient,
    )
    return [
        Lease(
            row.id,
            row.worker,
            log.moment(row.until),
            frozenset(log.listed(row.seqs)),
            frozenset(log.listed(row.keys)),
        )
        for row in found
    ]


def workers(log: LogSql, now: datetime, lease: timedelta) -> list[StoredWorker]:
    """Read the workers; one that was not seen for the time of a lease is not alive."""
    return [
        StoredWorker(
            row.id,
            row.host,
            row.pid,
            row.version,
            log.moment(row.started),
            log.moment(row.seen),
            frozenset(log.listed(row.recipients)),
            frozenset(log.listed(row.reads)),
            tuple(log.listed(row.stuck)),
            log.moment(row.seen) > now - lease,
            row.held,
        )
        for row in log.rows(_WORKERS)
    ]
