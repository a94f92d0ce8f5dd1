"""Deliveries on SQL: claims by the rule, leases, and completion under their fence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ..domain.messages import Message
from ..service.delivery import Batch, Claimed, Deliveries, Failure, Fence, Left
from ..service.envelope import Envelope
from ..service.errors import Unreadable
from .codec import Codec
from .database import Database
from .dialects import ClaimedRow, dialect_of

_TIDY_SECONDS = 1.0


class SqlDeliveries(Deliveries):
    """Claims of one recipient are one at a time: its row in the register is locked.

    `lease` is how long a claim lasts without a renewal, in seconds. `now` is the time that tests give; None asks
    the database, whose clock is the only one that counts.
    """

    def __init__(
        self, database: Database, codec: Codec, lease: float = 15.0, now: Callable[[], datetime] | None = None
    ) -> None:
        self._database = database
        self._codec = codec
        self._lease = timedelta(seconds=lease)
        self._now: Callable[[], datetime | None] = now or (lambda: None)
        self._tidy_every = 0.0 if now else _TIDY_SECONDS
        self._tidied: dict[str, float] = {}

    def enrol(self, recipients: Sequence[str]) -> None:
        """Add recipients to the register, where they are not in it yet."""
        with self._database.transaction() as connection:
            dialect_of(connection).enrol(connection, recipients)

    def waiting(self, recipients: Sequence[str]) -> Sequence[str]:
        """Say which of these recipients are worth a claim."""
        with self._database.look() as connection:
            return dialect_of(connection).waiting(connection, recipients, self._now())

    def claim(self, recipient: str, room: int, worker: str) -> Batch | None:
        """Claim at most `room` deliveries of a recipient, or None."""
        with self._database.transaction() as connection:
            log, now = dialect_of(connection), self._now()
            if not log.lock_recipient(connection, recipient):
                return None
            if self._is_due(recipient):
                log.expire(connection, recipient, now)
                log.wake_due(connection, now)
            rows = log.claim(connection, recipient, room, worker, self._lease, now)
        if not rows:
            return None
        return Batch(rows[0].lease, recipient, tuple(self._claimed(recipient, row) for row in rows))

    def complete(self, fences: Sequence[Fence], left: Left) -> int:
        """Complete deliveries of one lease; say how many were still held."""
        lease, recipient, _ = fences[0]
        with self._database.transaction() as connection:
            log = dialect_of(connection)
            held = log.complete(connection, lease, recipient, [each.seq for each in fences], self._now())
            log.keep(connection, lease, left)
        return held

    def fail(self, fence: Fence, failure: Failure, left: Left) -> bool:
        """Note a failure; the rest of its key leaves the lease in the same transaction."""
        with self._database.transaction() as connection:
            log = dialect_of(connection)
            held = log.fail(connection, fence, failure, self._now())
            log.keep(connection, fence.lease, left)
        return held

    def keep(self, lease: int, left: Left) -> None:
        """Let a lease hold no more than what is left."""
        with self._database.transaction() as connection:
            dialect_of(connection).keep(connection, lease, left)

    def renew(self, worker: str) -> None:
        """Prolong all leases of a worker."""
        with self._database.transaction() as connection:
            dialect_of(connection).renew(connection, worker, self._lease, self._now())

    def _is_due(self, recipient: str) -> bool:
        elapsed = time.monotonic() - self._tidied.get(recipient, float("-inf"))
        if elapsed < self._tidy_every:
            return False
        self._tidied[recipient] = time.monotonic()
        return True

    def _claimed(self, recipient: str, row: ClaimedRow) -> Claimed:
        message: Message | None = None
        problem = None
        try:
            message = self._codec.decode(row.name, row.version, row.payload)
        except Unreadable as error:
            problem = str(error)
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
