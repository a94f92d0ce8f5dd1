"""The handover: gives deliveries to their recipient, one after the other, and notes what became of each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import structlog

from ..domain.errors import AtomosError, Contradiction, DomainError, NotFound, RuleBroken
from .bus import MessageBus
from .delivery import Claimed, Deliveries, Failure, Rows, Status
from .errors import Conflict, LeaseLost, TooLong, Unreadable
from .failures import is_the_users, said
from .in_hand import Ended, Held, Run, Tray
from .pace import Unread
from .ports import Unavailable
from .probing import Doubts
from .publishing import Publishing
from .retry import Backoff, NotYet

_LOG = structlog.get_logger("atomos.worker")

_GATHER_SECONDS = 0.25
_AGAIN_SECONDS = 0.2
_QUICK_SECONDS = 0.1
_AWAY_SECONDS = 1.0
_FIRST_QUICK_PAUSE = 0.01
_DOMAIN_ERRORS = (NotFound, Contradiction, RuleBroken, DomainError)

T = TypeVar("T")


class WorkerLost(AtomosError):
    """Every worker that had this delivery alone was lost: killed, or stalled for longer than its lease."""


class Usual(NamedTuple):
    """What counts where a route says nothing: see `Policy`."""

    backoff: Backoff
    quickly: int


class Handover:
    """Carries out runs. `patience` is for how many seconds it tries to note what became of a row.

    What was done is done, and would be done again: a database that is away for a moment is waited for.
    """

    def __init__(
        self,
        bus: MessageBus,
        deliveries: Deliveries,
        usual: Usual,
        unread: Unread,
        doubts: Doubts,
        patience: float,
        publishing: Publishing | None = None,
    ) -> None:
        self._bus = bus
        self._deliveries = deliveries
        self._usual = usual
        self._unread = unread
        self._doubts = doubts
        self._patience = patience
        self._publishing = publishing

    def carry_out(self, tray: Tray) -> int:
        """Hand rows over while the lease is good; say how many ended in one way or another.

        The first of a run that fails is the last: the rest of its key leaves the lease with it.
        """
        if self._publishing is not None and self._publishing.takes(tray.held.batch.recipient):
            return self._publishing.carry_out(tray, self)
        ended = 0
        while (run := tray.next()) is not None:
            ended += self._carry_out_run(tray, run)
        tray.row = None
        tray.note()
        return ended

    def write_down(self, held: Held) -> None:
        """Complete what ended, and let it leave the lease: one thread for all, and in few statements."""
        while ended := held.take_turn():
            try:
                self._complete(held, ended)
            finally:
                held.end_turn()

    def free(self, held: Held, rows: Sequence[Claimed]) -> None:
        """Give rows back that were not begun; others may claim them at once."""
        if not held.is_lost:
            with held.leaving(rows) as left:
                self._deliveries.keep(held.batch.lease, left)

    def give_up(self, tray: Tray, row: Claimed, error: TooLong) -> bool:
        """Let a delivery fail whose handler is still running; say whether it was still held.

        What the handler does later does not count: its delivery is in the lease no more. Raises what the database
        says; then nothing has changed.
        """
        held, run = tray.held, tray.run
        if row not in run:
            return False  # it came to its end just now
        rest = run[run.index(row) :]
        failure = self._judge(held, row, error)
        with held.leaving(rest) as left:
            noted = self._deliveries.fail(row.fence, failure, left)
        held.forsake(rest)
        return noted

    def _carry_out_run(self, tray: Tray, run: Run) -> int:
        held, ended = tray.held, 0
        for place, claimed in enumerate(run):
            # What is done of suspects is no suspect any more: it does not go alone because of the one that kills.
            if held.batch.is_suspect or time.monotonic() - tray.noted > _GATHER_SECONDS:
                tray.row = None  # it is the database that takes this time, and no handler
                tray.note()
                self.write_down(held)
            if not held.may_begin or held.is_forsaken(claimed):
                tray.leaving.extend(run[place:])
                break
            tray.begin(claimed)
            try:
                completed = self._hand_over(claimed, alone=held.batch.is_alone)
            except BaseException as error:  # whatever it is, it is this delivery's, except Ctrl-C
                if is_the_users(error):
                    raise
                if ended:
                    self._doubts.alive(held.batch)
                return ended + self._went_wrong(tray, run[place:], error)
            if held.is_forsaken(claimed):
                _LOG.warning("delivery.fenced", **_ids(claimed))
                break
            ended += 1
            (tray.leaving if completed else tray.done).append(claimed)
        if ended:
            self._doubts.alive(held.batch)
        return ended

    def _hand_over(self, claimed: Claimed, *, alone: bool) -> bool:
        if alone and claimed.attempts and claimed.attempts >= self._most_attempts(claimed):
            raise WorkerLost
        try:
            return self._bus.deliver(claimed)
        except (Conflict, Unavailable) as error:
            return self._again_quickly(claimed, error)

    def _again_quickly(self, claimed: Claimed, error: Exception) -> bool:
        """Try again in place what is likely to be brief; what comes of the last try is what came of it."""
        policy = self._bus.flow.recipient(claimed.fence.recipient).policy
        left = self._usual.quickly if policy.quickly is None else policy.quickly
        over, pause = time.monotonic() + _QUICK_SECONDS, _FIRST_QUICK_PAUSE
        while left and not isinstance(error, NotYet) and time.monotonic() < over:
            time.sleep(random.uniform(0.5, 1.5) * pause)  # noqa: S311
            try:
                return self._bus.deliver(claimed)
            except (Conflict, Unavailable) as again:
                error = again
            left, pause = left - 1, pause * 2
        raise error

    def _most_attempts(self, claimed: Claimed) -> int:
        policy = self._bus.flow.recipient(claimed.fence.recipient).policy
        return policy.most_attempts(self._usual.backoff)

    def _went_wrong(self, tray: Tray, rest: Run, error: BaseException) -> int:
        claimed, held = rest[0], tray.held
        if held.is_forsaken(claimed):
            _LOG.warning("delivery.fenced", error=said(error), **_ids(claimed))
            return 0
        if isinstance(error, (LeaseLost, Unreadable)):
            tray.leaving.extend(rest)
            if isinstance(error, LeaseLost):
                held.abandon()
                _LOG.warning("delivery.fenced", **_ids(claimed))
            else:
                self.leave_unread(claimed, str(error))
            return 0
        # Only from here on: what went before is completed by whoever writes down just now, and held until then.
        tray.note()
        self.write_down(held)
        return self.fail(held, rest, error)

    def _complete(self, held: Held, ended: Ended) -> None:
        fences, rows = [each.fence for each in ended.done], [*ended.done, *ended.leaving]
        if not fences:
            self._settle(held, rows, lambda left: self._deliveries.keep(held.batch.lease, left))
        else:
            kept = self._settle(held, rows, lambda left: self._deliveries.complete(fences, left))
            if kept is not None and kept < len(fences):
                held.abandon()
                _LOG.warning("delivery.fenced", recipient=held.batch.recipient, count=len(fences) - kept)

    def leave_unread(self, claimed: Claimed, why: str | None) -> None:
        """Leave a row for a build that can read it; this one looks again in a while."""
        self._unread.add(claimed)
        _LOG.warning("delivery.unreadable", error=why, **_ids(claimed))

    def went_well(self, held: Held) -> None:
        """Note that something of a batch was done: its recipient is there."""
        self._doubts.alive(held.batch)

    def fail(self, held: Held, rest: Run, error: BaseException, *, counts: bool = True) -> int:
        """Note that the first of these rows failed; the others leave the lease with it. Give how many ended.

        `counts` is false when it was not the row that failed: then it only waits for its next try.
        """
        claimed = rest[0]
        failure = self._judge(held, claimed, error)
        if not counts:
            pause = failure.pause or _AWAY_SECONDS
            failure = failure._replace(status=Status.RETRYING, pause=pause, counts=False)
        noted = self._settle(held, rest, lambda left: self._deliveries.fail(claimed.fence, failure, left))
        if not noted:
            held.abandon()
        _tell(claimed, failure, error, noted=bool(noted))
        return int(bool(noted))

    def _settle(self, held: Held, rows: Sequence[Claimed], change: Callable[[Rows], T]) -> T | None:
        """Change the lease in the database; None when it is lost already.

        Raises what the database said last.
        """
        given_up = time.monotonic() + self._patience
        with held.changing():
            while not held.is_lost:
                try:
                    with held.leaving(rows) as left:
                        return change(left)
                except Exception as error:
                    if time.monotonic() >= given_up:
                        held.lose()
                        raise
                    _LOG.warning("worker.waiting", recipient=held.batch.recipient, error=said(error))
                time.sleep(_AGAIN_SECONDS)
        return None

    def _judge(self, held: Held, claimed: Claimed, error: BaseException) -> Failure:
        recipient = claimed.fence.recipient
        if isinstance(error, NotYet):
            self._doubts.alive(held.batch)
            return Failure(Status.RETRYING, None, error.retry_after, counts=False)
        route, attempts = self._bus.flow.recipient(recipient), claimed.attempts + 1
        over = Status.PARKED if route.parks else Status.DEAD
        if isinstance(error, WorkerLost):
            return Failure(over, said(error), counts=False)
        backoff = route.policy.backoff_for(error, self._usual.backoff)
        if backoff is None:
            self._doubts.alive(held.batch)
            return Failure(over, said(error), kind=_kind_of(error))
        is_last = attempts >= backoff.attempts
        if self._doubts.failed(held.batch):
            held.abandon()
        elif is_last:
            return Failure(over, said(error))
        # Nothing is given up while it is the recipient that fails, and not this delivery.
        return Failure(Status.RETRYING, said(error), backoff.pause_after(attempts), counts=not is_last)


def _kind_of(error: BaseException) -> str | None:
    return next((cls.__name__ for cls in type(error).__mro__ if cls in _DOMAIN_ERRORS), None)


def _tell(claimed: Claimed, failure: Failure, error: BaseException, *, noted: bool) -> None:
    if noted and failure.error is None:
        _LOG.info("delivery.not_yet", pause=failure.pause, **_ids(claimed))
        return
    action = f"delivery.{failure.status.value}" if noted else "delivery.fenced"
    shown = None if isinstance(error, AtomosError) else error
    _LOG.warning(action, error=said(error), pause=failure.pause, exc_info=shown, **_ids(claimed))


def _ids(claimed: Claimed) -> dict[str, object]:
    fence, envelope = claimed.fence, claimed.envelope
    return {"recipient": fence.recipient, "message": envelope.id, "correlation": envelope.correlation_id}
