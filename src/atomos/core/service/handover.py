"""The handover: gives deliveries to their recipient, one after the other, and notes what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from ..domain.errors import AtomosError, DomainError
from .bus import MessageBus
from .delivery import Claimed, Deliveries, Failure, Rows, Status
from .errors import LeaseLost, Unreadable
from .in_hand import Ended, Held, Run
from .pace import Unread
from .retry import Backoff

_LOG = structlog.get_logger("atomos.worker")

_GATHER_SECONDS = 0.25
_AGAIN_SECONDS = 0.2
_LONGEST_ERROR = 1000

T = TypeVar("T")


class WorkerLost(AtomosError):
    """Every worker that had this delivery alone was lost: killed, or stalled for longer than its lease."""


class Handover:
    """Carries out runs. `patience` is for how many seconds it tries to note what became of a row.

    What was done is done, and would be done again: a database that is away for a moment is waited for.
    """

    def __init__(
        self, bus: MessageBus, deliveries: Deliveries, backoff: Backoff, unread: Unread, patience: float
    ) -> None:
        self._bus = bus
        self._deliveries = deliveries
        self._backoff = backoff
        self._unread = unread
        self._patience = patience

    def carry_out(self, held: Held, run: Run) -> int:
        """Hand rows over while the lease is good; say how many ended in one way or another.

        The first that fails is the last: the rest of its key leaves the lease with it.
        """
        ended, written = 0, time.monotonic()
        for place, claimed in enumerate(run):
            if not held.may_begin:
                break
            try:
                completed = self._hand_over(claimed)
            except LeaseLost:
                held.abandon()
                _LOG.warning("delivery.fenced", **_ids(claimed))
                break
            except Unreadable as error:
                self._unread.add(claimed)
                _LOG.warning("delivery.unreadable", error=str(error), **_ids(claimed))
                break
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is this delivery's
                held.end(leaving=run[:place])
                self.write_down(held)
                return ended + self._fail(held, run[place:], error)
            ended += 1
            held.end(done=() if completed else (claimed,))
            if time.monotonic() - written > _GATHER_SECONDS:
                self.write_down(held)
                written = time.monotonic()
        held.end(leaving=run)
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

    def _hand_over(self, claimed: Claimed) -> bool:
        if claimed.attempts >= self._backoff.attempts:
            raise WorkerLost
        return self._bus.deliver(claimed)

    def _complete(self, held: Held, ended: Ended) -> None:
        fences, rows = [each.fence for each in ended.done], [*ended.done, *ended.leaving]
        if not fences:
            self._settle(held, rows, lambda left: self._deliveries.keep(held.batch.lease, left))
            return
        kept = self._settle(held, rows, lambda left: self._deliveries.complete(fences, left))
        if kept is not None and kept < len(fences):
            held.abandon()
            _LOG.warning("delivery.fenced", recipient=held.batch.recipient, count=len(fences) - kept)

    def _fail(self, held: Held, rest: Run, error: BaseException) -> int:
        # Only from here on: what went before is completed by whoever writes down just now, and held until then.
        claimed = rest[0]
        failure = self._judge(claimed, error)
        noted = self._settle(held, rest, lambda left: self._deliveries.fail(claimed.fence, failure, left))
        if not noted:
            held.abandon()
        action = f"delivery.{failure.status.value}" if noted else "delivery.fenced"
        shown = None if isinstance(error, AtomosError) else error
        _LOG.warning(action, error=failure.error, pause=failure.pause, exc_info=shown, **_ids(claimed))
        return int(bool(noted))

    def _judge(self, claimed: Claimed, error: BaseException) -> Failure:
        attempts = claimed.attempts + 1
        if attempts < self._backoff.attempts and not isinstance(error, DomainError):
            return Failure(Status.RETRYING, said(error), self._backoff.pause_after(attempts))
        parks = self._bus.flow.recipient(claimed.fence.recipient).parks
        tried = not isinstance(error, WorkerLost)
        return Failure(Status.PARKED if parks else Status.DEAD, said(error), counts=tried)

    def _settle(self, held: Held, rows: Sequence[Claimed], change: Callable[[Rows], T]) -> T | None:
        """Change the lease in the database; None when it is lost already.

        Raises what the database said last.
        """
        given_up = time.monotonic() + self._patience
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


def said(error: BaseException) -> str:
    """Give an error in one line that every database can store: its class, and what it says."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error that cannot even say what it is
        text = "(it cannot be shown)"
    line = " ".join(text.split())[:_LONGEST_ERROR].replace("\0", "\\0")
    return f"{type(error).__name__}: {line}".encode(errors="backslashreplace").decode()


def _ids(claimed: Claimed) -> dict[str, object]:
    fence, envelope = claimed.fence, claimed.envelope
    return {"recipient": fence.recipient, "message": envelope.id, "correlation": envelope.correlation_id}
