"""Deliveries on SQL: claims by the rule, leases, and completion under their fence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter

from sqlalchemy import Connection, bindparam, text

from ..domain.messages import Message
from ..service.delivery import (
    LEASE_SECONDS,
    NO_LIMITS,
    NO_ROWS,
    Batch,
    Claimed,
    Deliveries,
    Failure,
    Fence,
    Rows,
    Status,
    Waiting,
)
from ..service.envelope import Envelope
from ..service.errors import Unreadable
from ..service.failpoints import failpoint
from .codec import Codec
from .database import Database
from .dialects import ClaimedRow, Register, dialect_of
from .vacuum import vacuum
from .walks import Walks

_PAUSED = text("select paused_at is not null from atomos_recipient where name = :recipient")
# Both parts have an index of their own, and none is walked further than asked. Two conditions on the status, because
# SQLite takes an index of some rows only where its own condition stands.
_WAITING = text("""
select (select count(*) from (select 1 from atomos_delivery where status = 'ready' and recipient in :recipients
                              limit :most) a)
     + (select count(*) from (select 1 from atomos_delivery where status in ('retrying', 'parked')
                              and status = 'retrying' and recipient in :recipients limit :most) b)
""").bindparams(bindparam("recipients", expanding=True))


class SqlDeliveries(Deliveries):
    """Claims of one recipient are one at a time: its row in the register is locked.

    `lease` is how long a claim lasts without a renewal, in seconds. `now` is the time that tests give; None
    asks the database, whose clock is the only one that counts. `walks` says how far claims look.
    """

    def __init__(
        self,
        database: Database,
        codec: Codec,
        lease: float = LEASE_SECONDS,
        now: Callable[[], datetime] | None = None,
        walks: Walks | None = None,
    ) -> None:
        self._database = database
        self._codec = codec
        self._lease = timedelta(seconds=lease)
        self._now: Callable[[], datetime | None] = now or (lambda: None)
        self._walks = walks or Walks()

    def enrol(self, recipients: Sequence[str], at_once: Mapping[str, int] = NO_LIMITS) -> None:
        """Add recipients to the register, where they are not in it yet; set how many may be in hand at once."""
        with self._database.transaction(self._database.claims) as connection:
            dialect_of(connection).enrol(connection, recipients, at_once)

    def waiting(self, recipients: Sequence[str]) -> Sequence[Waiting]:
        """Say which of these recipients are worth a look."""
        with self._database.look() as connection:
            return dialect_of(connection).waiting(connection, recipients, self._now())

    def tidy(self, recipient: str) -> None:
        """End a recipient's leases that ran out, and make ready what is due, for everyone."""
        with self._database.transaction(self._database.claims) as connection:
            log, now = dialect_of(connection), self._now()
            log.hold_recipient(connection, recipient)
            log.expire(connection, recipient, now)
            log.wake_due(connection, now)
            failpoint("tidying.inside")

    def claim(
        self, recipient: str, room: int, worker: str, without: Rows = NO_ROWS, *, suspects: bool = True
    ) -> Batch:
        """Claim at most `room` deliveries of a recipient; none of `without`, nor of its keys."""
        started = perf_counter()
        if self._is_in_vain(recipient, without):
            passed_by = not suspects and self._has_suspects(recipient)
            return Batch(0, recipient, (), perf_counter() - started, passed_by=passed_by)
        with self._database.transaction(self._database.claims) as connection:
            log = dialect_of(connection)
            now = self._now()
            register = log.lock_recipient(connection, recipient, now)
            if register is None:
                return Batch(0, recipient, (), perf_counter() - started)
            started = perf_counter()
            most = min(room, _most(connection, recipient, register))
            among = self._walks.next(recipient)
            claim = partial(
                log.claim,
                connection,
                recipient,
                room=most,
                among=among,
                worker=worker,
                lease=self._lease,
                now=now,
            )
            rows = claim(without=without, suspects=suspects) if most > 0 else []
            others = NO_ROWS if most <= 0 or rows or suspects else log.suspects(connection, recipient)
            if passed_by := bool(others.seqs):
                rows = claim(without=without.with_(others), suspects=False)
            seconds = perf_counter() - started
            failpoint("claim.inside")
        failpoint("claim.after")
        self._walks.walked(recipient, among, len(rows) < most, seconds)
        claimed = tuple(self._claimed(recipient, row) for row in rows)
        # A walk among all has a rest of its own; the claims between two of them are cheap.
        dear = 0.0 if among is None and most > 0 else seconds
        lease, losses = (rows[0].lease, rows[0].losses) if rows else (0, 0)
        return Batch(lease, recipient, claimed, dear, register.probing, losses, passed_by)

    def complete(self, fences: Sequence[Fence], left: Rows) -> int:
        """Complete deliveries of one lease; say how many were still held."""
        lease, recipient, _ = fences[0]
        failpoint("completion.before")
        with self._database.transaction() as connection:
            log = dialect_of(connection)
            held = log.complete(connection, lease, recipient, [each.seq for each in fences], self._now())
            log.keep(connection, lease, left)
            failpoint("completion.inside")
        failpoint("completion.after")
        return held

    def fail(self, fence: Fence, failure: Failure, left: Rows) -> bool:
        """Note a failure; the rest of its key leaves the lease in the same transaction."""
        what = "retrying" if failure.status is Status.RETRYING else "burial"
        with self._database.transaction() as connection:
            log = dialect_of(connection)
            held = log.fail(connection, fence, failure, self._now())
            log.keep(connection, fence.lease, left)
            failpoint(f"{what}.inside")
        failpoint(f"{what}.after")
        return held

    def keep(self, lease: int, left: Rows) -> None:
        """Let a lease hold no more than what is left."""
        failpoint("release.before")
        # A crash of the server may take it back: then the lease names what is done until its next change, or its end.
        with self._database.change() as connection:
            dialect_of(connection).keep(connection, lease, left)

    def renew(self, leases: Sequence[int]) -> Sequence[int]:
        """Prolong leases; name those that are still there."""
        failpoint("renewal.before")
        with self._database.transaction(self._database.renewals) as connection:
            return dialect_of(connection).renew(connection, leases, self._lease, self._now())

    def take_turn(self, recipient: str, worker: str) -> int | None:
        """Take the one lease of a recipient that holds no delivery."""
        with self._database.transaction(self._database.claims) as connection:
            log, now = dialect_of(connection), self._now()
            if log.lock_recipient(connection, recipient, now) is None:
                return None
            log.expire(connection, recipient, now)
            return log.take_turn(connection, recipient, worker, self._lease, now)

    def is_paused(self, recipient: str) -> bool:
        """Whether somebody has paused a recipient."""
        with self._database.look() as connection:
            return bool(connection.execute(_PAUSED, {"recipient": recipient}).scalar())

    def is_more_than(self, recipients: Sequence[str], count: int) -> bool:
        """Whether more deliveries than so many wait for these recipients."""
        with self._database.look() as connection:
            values = {"recipients": list(recipients), "most": count + 1}
            return bool(connection.execute(_WAITING, values).scalar_one() > count)

    def probe(self, recipient: str, pause: float | None) -> None:
        """Let claims take one row, after a pause; None: claim as usual."""
        with self._database.transaction() as connection:
            after = None if pause is None else timedelta(seconds=pause)
            dialect_of(connection).probe(connection, recipient, after, self._now())

    def vacuum(self) -> None:
        """Vacuum on PostgreSQL what many rows have died in; elsewhere there is nothing to do."""
        if self._database.dialect == "postgresql":
            vacuum(self._database)

    def _is_in_vain(self, recipient: str, without: Rows) -> bool:
        # Only on SQLite does a claim keep every writer waiting, whatever they write.
        if self._database.dialect != "sqlite":
            return False
        with self._database.look() as connection:
            return not dialect_of(connection).worth_a_claim(connection, recipient, without)

    def _has_suspects(self, recipient: str) -> bool:
        with self._database.look() as connection:
            return bool(dialect_of(connection).suspects(connection, recipient).seqs)

    def _claimed(self, recipient: str, row: ClaimedRow) -> Claimed:
        message: Message | None = None
        problem = None
        try:
            message = self._codec.decode(row.name, row.version, row.payload)
        except Unreadable as error:
            problem = error.detail  # whoever is handed it says the rest
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


def _most(connection: Connection, recipient: str, register: Register) -> int:
    # In a statement of its own: only a snapshot that is younger than the lock has all leases.
    if register.rests:
        return 0
    if register.probing:
        return 1 - dialect_of(connection).in_leases(connection, recipient)
    if register.at_once is None:
        return sys.maxsize
    return register.at_once - dialect_of(connection).in_leases(connection, recipient)
