"""How what is stored is told: lines of tables for people, plain documents for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from atomos.core.service.operations import (
    AuditReport,
    Explanation,
    Load,
    Shown,
    StoredDelivery,
    StoredMessage,
    StoredWorker,
    stamp,
)
from atomos.core.service.receiving import RawMessage
from atomos.core.service.schedules import Planned

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos

_LONGEST = 60

Table = list[tuple[str, ...]]


def plain(value: Any) -> Any:
    """Turn plain data into what JSON has: times as ISO texts in UTC, tuples with names as objects."""
    if isinstance(value, datetime):
        return value.isoformat()
    if names := getattr(value, "_fields", ()):
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def shown_of(atomos: Atomos) -> Shown:
    """Make what knows which fields may be shown."""
    return Shown([*atomos.bus.flow.routes.messages(), Planned, RawMessage])


def message_document(message: StoredMessage, shown: Shown) -> dict[str, Any]:
    """Give a message as a document, what is sensitive in it hidden."""
    document: dict[str, Any] = plain(message)
    return {**document, "payload": shown.payload(message), "answer": shown.answer(message)}


def messages_table(messages: Sequence[StoredMessage]) -> Table:
    """List messages."""
    rows = [
        (stamp(m.recorded_at), m.kind, f"{m.name} {m.version}", m.ordering_key or "-", m.principal, m.id)
        for m in messages
    ]
    return [("RECORDED", "KIND", "MESSAGE", "KEY", "PRINCIPAL", "ID"), *rows]


def deliveries_table(deliveries: Sequence[StoredDelivery]) -> Table:
    """List deliveries."""
    rows = [
        (
            d.message_id,
            d.recipient,
            d.status,
            d.ordering_key or "-",
            str(d.attempts),
            when(d.until),
            short(d.last_error or "-"),
        )
        for d in deliveries
    ]
    return [("MESSAGE", "RECIPIENT", "STATUS", "KEY", "ATTEMPTS", "UNTIL", "LAST ERROR"), *rows]


def delivery_lines(delivery: StoredDelivery) -> list[str]:
    """Tell all that is stored of a delivery."""
    told = [f"{delivery.recipient}: {delivery.status}, {delivery.attempts} attempts"]
    told += [f"  key {delivery.ordering_key}"] if delivery.ordering_key else []
    told += [f"  lost leases: {delivery.losses}"] if delivery.losses else []
    told += [f"  until {stamp(delivery.until)}"] if delivery.until else []
    told += [f"  completed {stamp(delivery.completed_at)}"] if delivery.completed_at else []
    return [*told, *(f"  {error['at']}  {error['error']}" for error in delivery.errors)]


def explanation_table(explanation: Explanation) -> Table:
    """Tell why each delivery of a message waits."""
    return [
        (verdict.recipient, verdict.status, reason.said if n == 0 else f"and {reason.said}")
        for verdict in explanation.verdicts
        for n, reason in enumerate(verdict.reasons)
    ]


def audit_lines(report: AuditReport) -> list[str]:
    """Tell what an audit found."""
    lines = []
    for damage in report.damages:
        lines.append(f"{damage.check}: {damage.said}")
        lines += [f"  {row}" for row in damage.rows]
        if damage.found > len(damage.rows):
            lines.append(f"  and {damage.found - len(damage.rows)} more")
    lines += [
        f"{age.recipient}: {age.waiting} waiting, the oldest for {age.seconds:.0f} s" for age in report.ages
    ]
    kinds = f"{len(report.damages)} kinds of damage" if report.damages else "nothing is wrong"
    return [
        *lines,
        f"{report.messages} messages, {report.deliveries} deliveries at {stamp(report.at)}: {kinds}",
    ]


def recipients_table(loads: Sequence[Load], known: Mapping[str, object]) -> Table:
    """List recipients."""
    states = ("ready", "retrying", "scheduled", "parked", "dead")
    rows = [
        (
            load.registered.name,
            *(str(load.counts.get(state, 0)) for state in states),
            when(load.oldest),
            str(load.workers),
            _notes(load, known),
        )
        for load in loads
    ]
    return [("RECIPIENT", *map(str.upper, states), "OLDEST", "WORKERS", ""), *rows]


def workers_table(workers: Sequence[StoredWorker]) -> Table:
    """List workers."""
    rows = [
        (
            w.id,
            w.host,
            str(w.pid),
            w.version,
            stamp(w.started),
            stamp(w.seen),
            "yes" if w.alive else "no",
            str(w.rows),
            "; ".join(w.stuck) or "-",
        )
        for w in workers
    ]
    return [("WORKER", "HOST", "PID", "VERSION", "STARTED", "SEEN", "ALIVE", "HOLDS", "STUCK"), *rows]


def when(at: datetime | None) -> str:
    """Write a time, or a dash."""
    return stamp(at) if at else "-"


def short(text: str) -> str:
    """Cut what is too long for a table."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _notes(load: Load, known: Mapping[str, object]) -> str:
    row = load.registered
    notes = []
    if row.paused_at is not None:
        notes.append(f"paused by {row.paused_by} since {stamp(row.paused_at)}: {row.paused_why}")
    if row.probing:
        notes.append("probing")
    if row.at_once is not None:
        notes.append(f"{row.at_once} at once")
    if row.name not in known:
        notes.append("not in this build")
    return "; ".join(notes)
