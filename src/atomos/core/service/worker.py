"""The worker: claims deliveries, hands them to their recipients in threads, and notes what became of them."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import structlog

from ..domain.errors import AtomosError, DomainError
from .bus import MessageBus
from .delivery import Batch, Claimed, Deliveries, Failure, Fence, Left, Status
from .envelope import new_id
from .errors import LeaseLost, Unreadable
from .retry import Backoff

_LOG = structlog.get_logger("atomos.worker")

_UNREADABLE_SECONDS = 30.0
_CLAIM_SHARE = 10.0
_MOST_A_CLAIM = 500
_BUFFER_SECONDS = 0.25


class WorkerSettings(NamedTuple):
    """How a worker works: times in seconds. It renews its leases every third of `lease`.

    `poll` is the longest pause between two looks at the log, `threads` is how many handlers run at once.
    """

    threads: int = 4
    lease: float = 15.0
    poll: float = 0.2
    backoff: Backoff = Backoff()


class Worker:
    """Delivers until it is stopped. Any number of them, in any number of processes, share the work.

    `wake` is set by whoever commits in this process, so that the worker need not wait for its next look.
    """

    def __init__(
        self,
        bus: MessageBus,
        deliveries: Deliveries,
        wake: threading.Event,
        settings: WorkerSettings = WorkerSettings(),  # noqa: B008 - a constant
    ) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-8:]}"
        self._bus = bus
        self._deliveries = deliveries
        self._wake = wake
        self._settings = settings
        self._recipients = tuple(sorted(bus.flow.routes.recipients()))
        self._stopping = threading.Event()
        self._in_hand = _InHand()
        self._pace = _Pace(settings.threads)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Work in threads of its own until `stop`."""
        for target in (self.run, self._renew_leases):
            thread = threading.Thread(target=target, name=f"atomos-{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, patience: float = 10.0) -> None:
        """Claim nothing more, let running handlers end for `patience` seconds, and free the rest of the leases."""
        self._stopping.set()
        self._wake.set()
        given_up = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, given_up - time.monotonic()))

    def run(self) -> None:
        """Work in this thread until `stop`. An error of the database is logged, and work goes on when it is back."""
        enrolled = False
        with ThreadPoolExecutor(self._settings.threads, thread_name_prefix="atomos-delivery") as pool:
            while not self._stopping.is_set():
                self._wake.clear()
                try:
                    if not enrolled:
                        self._deliveries.enrol(self._recipients)
                        enrolled = True
                    busy = self._look(pool)
                except Exception as error:  # noqa: BLE001 - a worker outlives whatever happens to its database
                    _LOG.error("worker.failed", worker=self.id, error=_said(error))
                    busy = False
                if not busy and not self._stopping.is_set():
                    self._wake.wait(self._settings.poll)
            for held in self._in_hand.batches():
                held.abandon()

    def drain(self) -> int:
        """Deliver all that is due, in this thread; say how many deliveries ended in one way or another."""
        self._deliveries.enrol(self._recipients)
        ended = 0
        while recipients := self._deliveries.waiting(self._recipients):
            before = ended
            for recipient in recipients:
                while batch := self._deliveries.claim(recipient, _MOST_A_CLAIM, self.id):
                    ended += len(batch.claimed)
                    held = _Held(batch)
                    for run in held.runs():
                        self._carry_out(held, run)
            if ended == before:
                break
        return ended

    def _look(self, pool: ThreadPoolExecutor) -> bool:
        claimed = False
        for recipient in self._deliveries.waiting(self._recipients):
            room = self._pace.room(recipient) - self._in_hand.of(recipient)
            if room <= 0 or self._stopping.is_set() or not self._pace.may_claim(recipient):
                continue
            started = time.monotonic()
            batch = self._deliveries.claim(recipient, room, self.id)
            self._pace.claimed(recipient, time.monotonic() - started, found=batch is not None)
            if batch is not None:
                claimed = True
                held = _Held(batch)
                self._in_hand.add(held)
                for run in held.runs():
                    pool.submit(self._work, held, run)
        return claimed

    def _work(self, held: _Held, run: Sequence[Claimed]) -> None:
        started = time.monotonic()
        try:
            self._carry_out(held, run)
        except Exception as error:  # noqa: BLE001 - the lease runs out, and the rows are claimed again
            _LOG.error("worker.failed", worker=self.id, recipient=held.batch.recipient, error=_said(error))
        finally:
            self._pace.worked(held.batch.recipient, time.monotonic() - started, len(run))
            self._in_hand.remove(held, run)
            self._wake.set()

    def _carry_out(self, held: _Held, run: Sequence[Claimed]) -> None:
        done: list[Fence] = []
        for claimed in run:
            if held.abandoned or self._stopping.is_set():
                break
            failure = self._attempt(held, claimed, done)
            if failure is not None:
                self._complete(held, done)
                self._fail(held, claimed, run, failure)
                return
        self._complete(held, done, leaves=[each.fence.seq for each in run])

    def _attempt(self, held: _Held, claimed: Claimed, done: list[Fence]) -> Failure | None:
        backoff = self._settings.backoff
        if claimed.attempts >= backoff.attempts:
            return self._given_up(claimed, "every worker that had it was lost")
        try:
            if not self._bus.deliver(claimed):
                done.append(claimed.fence)
        except LeaseLost:
            held.abandon()
            _LOG.warning("delivery.fenced", **_ids(claimed))
        except Unreadable as error:
            return Failure(Status.RETRYING, str(error), _UNREADABLE_SECONDS, counts=False)
        except DomainError as error:
            return self._given_up(claimed, _said(error))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is that delivery's failure
            attempts = claimed.attempts + 1
            if attempts >= backoff.attempts:
                return self._given_up(claimed, _said(error))
            return Failure(Status.RETRYING, _said(error), backoff.pause_after(attempts))
        return None

    def _given_up(self, claimed: Claimed, error: str) -> Failure:
        parks = self._bus.flow.recipient(claimed.fence.recipient).parks
        return Failure(Status.PARKED if parks else Status.DEAD, error)

    def _complete(self, held: _Held, done: list[Fence], leaves: Sequence[int] = ()) -> None:
        with held.settling([*leaves, *(fence.seq for fence in done)]) as left:
            if done:
                missing = len(done) - self._deliveries.complete(done, left)
                if missing:
                    _LOG.warning("delivery.fenced", recipient=held.batch.recipient, count=missing)
            elif leaves:
                self._deliveries.keep(held.batch.lease, left)
        done.clear()

    def _fail(self, held: _Held, claimed: Claimed, run: Sequence[Claimed], failure: Failure) -> None:
        with held.settling([each.fence.seq for each in run]) as left:
            noted = self._deliveries.fail(claimed.fence, failure, left)
        action = f"delivery.{failure.status.value}" if noted else "delivery.fenced"
        _LOG.warning(action, error=failure.error, pause=failure.pause, **_ids(claimed))

    def _renew_leases(self) -> None:
        while not self._stopping.wait(self._settings.lease / 3):
            try:
                self._deliveries.renew(self.id)
            except Exception as error:  # noqa: BLE001 - the next renewal may do better; else the leases run out
                _LOG.error("worker.renewal_failed", worker=self.id, error=_said(error))


class _Held:
    """A batch in the hands of this worker: what is left of its lease, as its runs end one by one."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.abandoned = False
        self._left = {each.fence.seq: each.ordering_key for each in batch.claimed}
        self._lock = threading.Lock()

    def runs(self) -> list[tuple[Claimed, ...]]:
        """Sort the rows into runs that may go side by side: one for each key, one for each row without a key."""
        runs: dict[object, list[Claimed]] = defaultdict(list)
        for each in self.batch.claimed:
            runs[each.ordering_key if each.ordering_key is not None else each.fence.seq].append(each)
        return [tuple(run) for run in runs.values()]

    def settling(self, seqs: Sequence[int]) -> _Settling:
        """Take rows out of the lease: enter it around the statement that does so in the database."""
        return _Settling(self._lock, self._left, seqs)

    def abandon(self) -> None:
        """Begin nothing more of this batch."""
        self.abandoned = True


class _Settling:
    """One change of a lease at a time, so that an older state never overwrites a newer one."""

    def __init__(self, lock: threading.Lock, left: dict[int, str | None], seqs: Sequence[int]) -> None:
        self._lock = lock
        self._left = left
        self._seqs = seqs

    def __enter__(self) -> Left:
        self._lock.acquire()
        for seq in self._seqs:
            self._left.pop(seq, None)
        keys = {key for key in self._left.values() if key is not None}
        return Left(tuple(self._left), tuple(sorted(keys)))

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _InHand:
    """How many rows of each recipient this worker has in hand."""

    def __init__(self) -> None:
        self._rows: dict[_Held, int] = {}
        self._lock = threading.Lock()

    def add(self, held: _Held) -> None:
        with self._lock:
            self._rows[held] = len(held.batch.claimed)

    def remove(self, held: _Held, run: Sequence[Claimed]) -> None:
        with self._lock:
            self._rows[held] -= len(run)
            if self._rows[held] <= 0:
                del self._rows[held]

    def of(self, recipient: str) -> int:
        with self._lock:
            return sum(rows for held, rows in self._rows.items() if held.batch.recipient == recipient)

    def batches(self) -> list[_Held]:
        with self._lock:
            return list(self._rows)


class _Pace:
    """How much of a recipient to claim, and how often: what the threads can begin within a quarter of a second."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._seconds: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    def room(self, recipient: str) -> int:
        """Say how many rows are worth having in hand."""
        seconds = self._seconds.get(recipient, _BUFFER_SECONDS / 10)
        return max(1, min(_MOST_A_CLAIM, int(self._threads * _BUFFER_SECONDS / max(seconds, 1e-6))))

    def may_claim(self, recipient: str) -> bool:
        """Whether the pause after a claim that was dear and found nothing is over."""
        return time.monotonic() >= self._not_before.get(recipient, 0.0)

    def claimed(self, recipient: str, seconds: float, *, found: bool) -> None:
        """Note what a claim took."""
        self._not_before[recipient] = 0.0 if found else time.monotonic() + seconds * _CLAIM_SHARE

    def worked(self, recipient: str, seconds: float, rows: int) -> None:
        """Note what a run of rows took."""
        each = seconds / rows
        self._seconds[recipient] = 0.8 * self._seconds.get(recipient, each) + 0.2 * each


def _ids(claimed: Claimed) -> dict[str, object]:
    fence, envelope = claimed.fence, claimed.envelope
    return {"recipient": fence.recipient, "message": envelope.id, "correlation": envelope.correlation_id}


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if not isinstance(error, AtomosError) or error.args else str(error)

