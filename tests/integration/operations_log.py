"""A log on a database of each kind, whose tables tests fill and damage by hand."""

# ruff: noqa: S608 - statements are put together from constants of tests

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.operations import SqlControl, SqlInspection
from atomos.core.domain import Event
from atomos.core.service.delivery import Delivery, Record
from atomos.core.service.envelope import Envelope, new_id
from atomos.core.service.operations import Verdict
from atomos.core.service.waking import Wake
from atomos.testing import MovedClock

LEASE = 15.0


class Sent(Event, name="operations.sent"):
    """Something to deliver."""

    to: str = "everyone"


class Row(NamedTuple):
    """A delivery that a test makes up; `until` and the others are seconds from now."""

    recipient: str
    status: str
    key: str | None = None
    until: float | None = None
    losses: int = 0
    attempts: int = 0
    error: str | None = None


class Log:
    """A log whose time is moved, with what operators use."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_sqlite = database.dialect == "sqlite"
        self.clock = MovedClock()
        codec = Codec([Sent])
        self.codec = codec
        self.messages = SqlMessageLog(database, codec, Wake())
        self.deliveries = SqlDeliveries(database, codec, LEASE, now=self.clock.now)
        self.inspection = SqlInspection(database, LEASE, now=self.clock.now)
        self.control = SqlControl(database, codec, LEASE, now=self.clock.now)

    def send(
        self,
        *deliveries: Delivery,
        key: str | None = None,
        cause: Envelope | None = None,
        to: str = "everyone",
    ) -> Envelope:
        """Record an event with its deliveries."""
        id_ = new_id()
        envelope = Envelope(id_, id_, None, datetime.now(UTC), key, "ana", None)
        if cause is not None:
            envelope = cause.caused(id_, key)
        self.messages.append([Record("event", envelope, Sent(to=to), deliveries)])
        return envelope

    def put(self, *rows: Row) -> list[tuple[str, int]]:
        """Store deliveries in any state, each of a message of its own; give the message and the place of each."""
        ids = [new_id() for _ in rows]
        envelopes = [Envelope(id_, id_, None, datetime.now(UTC), None, "ana", None) for id_ in ids]
        self.messages.append(
            [
                Record("event", envelope, Sent(), (Delivery(row.recipient, row.key),))
                for envelope, row in zip(envelopes, rows, strict=True)
            ]
        )
        at = self.clock.now().isoformat()
        changed = [
            {
                "id": id_,
                "status": row.status,
                "until": None if row.until is None else self.at(row.until),
                "losses": row.losses,
                "attempts": row.attempts,
                "completed": self.at(0) if row.status in ("done", "dead", "discarded") else None,
                "errors": json.dumps([{"at": at, "error": row.error}] if row.error else []),
            }
            for id_, row in zip(ids, rows, strict=True)
        ]
        statement = (
            "update atomos_delivery set status = :status, until = :until, losses = :losses, attempts = :attempts, "
            f"completed_at = :completed, errors = {self.document(':errors')} where message_id = :id"
        )
        with self.database.transaction() as connection:
            if changed:
                connection.execute(text(statement), changed)
        seqs = dict(self.rows("cast(message_id as text), seq"))
        return [(id_, seqs[id_]) for id_ in ids]

    def lease(
        self,
        recipient: str,
        seqs: Sequence[int],
        keys: Sequence[str] = (),
        worker: str = "w-1",
        until: float = 10,
    ) -> None:
        """Store a lease."""
        self.change(
            "insert into atomos_lease (worker, recipient, until, seqs, keys) "
            "values (:worker, :recipient, :until, :seqs, :keys)",
            worker=worker,
            recipient=recipient,
            until=self.at(until),
            seqs=self.array(seqs),
            keys=self.array(keys),
        )

    def register(self, recipient: str, **columns: Any) -> None:
        """Add a recipient to the register, with what its row says."""
        names = ", ".join(["name", *columns])
        marks = ", ".join([":name", *(f":{each}" for each in columns)])
        self.change(f"insert into atomos_recipient ({names}) values ({marks})", name=recipient, **columns)

    def work(
        self,
        *recipients: str,
        id_: str = "w-1",
        reads: Sequence[str] = ("operations.sent 1",),
        seen: float = 0,
    ) -> None:
        """Register a worker that was seen so many seconds from now."""
        self.change(
            "insert into atomos_worker (id, host, pid, version, started, seen, recipients, reads) "
            "values (:id, 'host-1', 7, '1.0', :seen, :seen, :recipients, :reads)",
            id=id_,
            seen=self.at(seen),
            recipients=self.array(recipients),
            reads=self.array(reads),
        )

    def verdict(self, message_id: str) -> Verdict:
        """Why the one delivery of a message waits."""
        found = self.inspection.explain(message_id)
        assert found is not None
        (verdict,) = found.verdicts
        return verdict

    def reasons(self, message_id: str) -> list[str]:
        """The codes of the reasons."""
        return [reason.code for reason in self.verdict(message_id).reasons]

    def said(self, message_id: str) -> str:
        """The reasons in words."""
        return "; ".join(reason.said for reason in self.verdict(message_id).reasons)

    def rows(self, columns: str, where: str = "1 = 1") -> list[Any]:
        """Deliveries as they are stored, in order."""
        found = self.look(f"select {columns} from atomos_delivery where {where} order by seq")
        return [tuple(row) for row in found]

    def seq(self, message_id: str) -> int:
        """The place of the one delivery of a message."""
        ((seq,),) = self.rows("seq", f"message_id = '{message_id}'")
        return int(seq)

    def look(self, statement: str) -> list[Any]:
        """What a statement finds."""
        with self.database.look() as connection:
            return list(connection.execute(text(statement)))

    def change(self, statement: str, **values: Any) -> None:
        """Change something behind everyone's back."""
        with self.database.transaction() as connection:
            connection.execute(text(statement), values)

    def clear(self) -> None:
        """Empty every table."""
        with self.database.transaction() as connection:
            for table in ("message", "delivery", "lease", "recipient", "worker"):
                connection.execute(text(f"delete from atomos_{table}"))

    def at(self, seconds: float) -> Any:
        """An instant, so many seconds from now, as this database keeps it."""
        moment = self.clock.now() + timedelta(seconds=seconds)
        return int(moment.timestamp() * 1_000_000) if self.is_sqlite else moment

    def array(self, values: Sequence[Any]) -> Any:
        """A list as this database keeps it."""
        return json.dumps(list(values)) if self.is_sqlite else list(values)

    def document(self, mark: str) -> str:
        """A parameter that is a document."""
        return mark if self.is_sqlite else f"cast({mark} as jsonb)"
