"""Deliveries on SQL: claims by the rule, leases, and completion under their fence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import perf_counter

from ..domain.messages import Message
from ..service.delivery import NO_ROWS, Batch, Claimed, Deliveries, Failure, Fence, Rows, Waiting
from ..service.envelope import Envelope
from ..service.errors import Unreadable
from .codec import Codec
from .database import Database
from .dialects import ClaimedRow, dialect_of


class SqlDeliveries(Deliveries):
    """Claims of one recipient are one at a time: its row in the register is locked.

    `lease` is how long a claim lasts without a renewal, in seconds. `now` is the time that tests give; None
    asks the database, whose clock is the only one that counts.
    """

    def __init__(
        self, database: Database, codec: Codec, lease: float = 15.0, now: Callable[[], datetime] | None = None
    ) -> None:
        self._database = database
        self._codec = codec
        self._lease = timedelta(seconds=lease)
        self._now: Callable[[], datetime | None] = now or (lambda: None)

    def enrol(self, recipients: Sequence[str]) -> None:
        """Add recipients to the register, where they are not in it yet."""
        with self._database.transaction() as connection:
            dialect_of(connection).enrol(connection, recipients)

    def waiting(self, recipients: Sequence[str]) -> Sequence[Waiting]:
        """Say which of these recipients are worth a look."""
        with self._database.look() as connection:
            return dialect_of(connection).waiting(connection, recipients, self._now())

    def tidy(self, recipient: str) -> None:
        """End a recipient's leases that ran out, and make ready what is due, for everyone."""
        with self._database.transaction() as connection:
            log, now = dialect_of(connection), self._now()
            if log.lock_recipient(connection, recipient):
                log.expire(connection, recipient, now)
                log.wake_due(connection, now)

    def claim(self, recipient: str, room: int, worker: str, without: Rows = NO_ROWS) -> Batch:
        """Claim at most `room` deliveries of a recipient; none of `without`, nor of its keys."""
        started = perf_counter()
        if self._is_in_vain(recipient, without):
            return Batch(0, recipient, (), perf_counter() - started)
        with self._database.transaction() as connection:
            log = dialect_of(connection)
            if not log.lock_recipient(connection, recipient):
                return Batch(0, recipient, ())
            started = perf_counter()
            rows = log.claim(
                connection,
                recipient,
                room=room,
                worker=worker,
                lease=self._lease,
                without=without,
                now=self._now(),
            )
            seconds = perf_counter() - started
        claimed = tuple(self._claimed(recipient, row) for row in rows)
        return Batch(rows[0].lease if rows else 0, recipient, claimed, seconds)

    def complete(self, fences: Sequence[Fence], left: Rows) -> int:
        """Complete deliveries of one lease; say how many were still held."""
        lease, recipient, _ = fences[0]
        with self._database.transaction() as connection:
            log = dialect_of(connection)
            held = log.complete(connection, lease, recipient, [each.seq for each in fences], self._now())
            log.keep(connection, lease, left)
        return held

    def fail(self, fence: Fence, failure: Failure, left: Rows) -> bool:
        """Note a failure; the rest of its key leaves the lease in the same transaction."""
        with self._database.transaction() as connection:
            log = dialect_of(connection)
            held = log.fail(connection, fence, failure, self._now())
            log.keep(connection, fence.lease, left)
        return held

    def keep(self, lease: int, left: Rows) -> None:
        """Let a lease hold no more than what is left."""
        with self._database.transaction() as connection:
            dialect_of(connection).keep(connection, lease, left)

    def renew(self, leases: Sequence[int]) -> Sequence[int]:
        """Prolong leases; name those that are still there."""
        with self._database.transaction() as connection:
            return dialect_of(connection).renew(connection, leases, self._lease, self._now())

    def _is_in_vain(self, recipient: str, without: Rows) -> bool:
        # Only on SQLite does a claim keep every writer waiting, whatever they write.
        if self._database.dialect != "sqlite":
            return False
        with self._database.look() as connection:
            return not dialect_of(connection).worth_a_claim(connection, recipient, without)

    def _claimed(self, recipient: str, row: ClaimedRow) -> Claimed:
        message: Message | None = None
        problem = None
        try:
            message = self._codec.decode(row.name, row.version, row.payload)
        except Unreadable as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - it must not keep the others waiting
            problem = f"{row.name} version {row.version}: {type(error).__name__}: {error}"
        envelope = Envelope(
            row.id,
            row.correlation_id,
            row.causation_id,
            row.recorded_at,
            row.message_key,
            row.principal,
            row.traceparent,
        )
        fence = Fence(row.lease, recipient, row.seq)
        return Claimed(fence, row.ordering_key, row.attempts, envelope, message, problem)
