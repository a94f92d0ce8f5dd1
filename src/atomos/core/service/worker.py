"""The worker: claims deliveries, lets its threads hand them to their recipients, and keeps their leases."""

from __future__ import annotations

import atexit
import os
import socket
import threading
from collections import defaultdict
from contextlib import suppress
from itertools import chain
from time import monotonic
from typing import NamedTuple

import structlog

from .bus import MessageBus
from .delivery import Deliveries, Waiting
from .envelope import new_id
from .handover import Handover, said
from .in_hand import Held, InHand, Run
from .pace import MOST_A_CLAIM, Pace, Unread
from .retry import Backoff
from .threads import Crew, Heartbeat, Task

_LOG = structlog.get_logger("atomos.worker")

_LONGEST_PAUSE = 2.0
_GATHER_SECONDS = 0.05


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
        # Where there are others, no recipient takes the last thread.
        self._share = max(1, settings.threads - 1) if len(self._recipients) > 1 else settings.threads
        self._pace = Pace(self._share)
        self._in_hand = InHand()
        self._unread = Unread()
        self._stopping = threading.Event()
        self._given_up = float("inf")
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Work in threads of its own until `stop`, or until the process ends."""
        self._thread = threading.Thread(target=self.run, name="atomos-worker", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self, patience: float = 10.0) -> None:
        """Begin nothing more, free what was not begun, let running handlers end for `patience` seconds."""
        atexit.unregister(self.stop)
        self._given_up = monotonic() + patience
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience + 1)

    def run(self) -> None:
        """Work until `stop`, called by another thread. An error of the database is logged and survived."""
        crew = Crew(self._settings.threads, self._share, self._work)
        with Heartbeat(lambda: self._beat(crew), self._settings.lease / 3):
            self._look_again_and_again(crew)
            self._in_hand.abandon()
            self._free(crew.dismiss(), crew)
            if not crew.join(self._given_up):
                _LOG.warning("worker.left_running", worker=self.id)

    def drain(self) -> int:
        """Deliver all that is due, in this thread; say how many deliveries ended in one way or another."""
        self._deliveries.enrol(self._recipients)
        handover = self._handover(patience=0.0)
        ended = 0
        with Heartbeat(self._renew, self._settings.lease / 3):
            while found := sum(
                self._drained(each, handover) for each in self._deliveries.waiting(self._recipients)
            ):
                ended += found
        return ended

    def _handover(self, patience: float) -> Handover:
        return Handover(self._bus, self._deliveries, self._settings.backoff, self._unread, patience)

    def _look_again_and_again(self, crew: Crew) -> None:
        enrolled, woken, errors = False, False, 0
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                if not enrolled:
                    self._deliveries.enrol(self._recipients)
                    enrolled = True
                pause = self._look(crew, woken)
                errors = 0
            except Exception as error:  # noqa: BLE001 - a worker outlives whatever happens to its database
                errors += 1
                pause = min(_LONGEST_PAUSE, self._settings.poll * 2**errors)
                _LOG.error("worker.failed", worker=self.id, error=said(error), exc_info=error)
            # Whoever had to rest when this worker was woken is looked at again after that rest.
            woken = not self._stopping.is_set() and (self._wake.wait(pause) or pause < self._settings.poll)

    def _look(self, crew: Crew, woken: bool) -> float:
        """Claim what there is room for; give the seconds until the next look, if nobody wakes this worker."""
        pause = self._settings.poll
        wanted = {}
        for recipient in self._recipients:
            room = self._pace.room(recipient, self._in_hand.of(recipient), crew.running(recipient))
            rest = self._pace.rest(recipient)
            if rest and woken:  # what it was woken for may be this one's
                pause = min(pause, rest)
            elif room and not rest and not self._unread.is_full(recipient):
                wanted[recipient] = room
        for each in self._deliveries.waiting(tuple(wanted)) if wanted else ():
            if self._stopping.is_set():
                break
            if each.overdue:
                self._deliveries.tidy(each.recipient)
            if held := self._claim(each.recipient, wanted[each.recipient]):
                pause = 0.0
                for run in held.runs():
                    crew.give(held, run)
        return pause

    def _claim(self, recipient: str, room: int) -> Held | None:
        until = monotonic() + self._settings.lease
        batch = self._deliveries.claim(recipient, room, self.id, self._unread.of(recipient))
        self._pace.claimed(recipient, batch.seconds)
        if not batch.claimed:
            return None
        held = Held(batch, until)
        self._in_hand.add(held)
        return held

    def _work(self, held: Held, run: Run) -> None:
        recipient = held.batch.recipient
        started = monotonic()
        try:
            handover = self._handover(self._settings.lease)
            handover.carry_out(held, run)
            handover.write_down(held)
        finally:
            self._pace.worked(recipient, monotonic() - started, len(run))
            self._in_hand.end(held, run)
            if self._pace.room(recipient, self._in_hand.of(recipient)):
                self._wake.set()

    def _drained(self, waiting: Waiting, handover: Handover) -> int:
        if waiting.overdue:
            self._deliveries.tidy(waiting.recipient)
        ended = 0
        while held := self._claim(waiting.recipient, MOST_A_CLAIM):
            try:
                ended += self._carry_out_in_turn(held, handover)
                handover.write_down(held)
            except BaseException:
                with suppress(Exception):
                    handover.write_down(held)
                    handover.free(held, held.batch.claimed)
                raise
            finally:
                self._in_hand.end(held, held.batch.claimed)
        return ended

    def _carry_out_in_turn(self, held: Held, handover: Handover) -> int:
        ended, written = 0, monotonic()
        for run in held.runs():
            ended += handover.carry_out(held, run)
            if monotonic() - written > _GATHER_SECONDS:
                handover.write_down(held)
                written = monotonic()
        return ended

    def _free(self, not_begun: list[Task], crew: Crew) -> None:
        runs: dict[Held, list[Run]] = defaultdict(list)
        for held, run in not_begun:
            runs[held].append(run)
        handover = self._handover(patience=0.0)
        for held, several in runs.items():
            rows = tuple(chain.from_iterable(several))
            try:
                handover.free(held, rows)
                self._in_hand.end(held, rows)
            except Exception as error:  # noqa: BLE001 - then they stay; after a stop, until the lease runs out
                _LOG.error("worker.failed", worker=self.id, recipient=held.batch.recipient, error=said(error))
                for run in several:
                    crew.give(held, run)

    def _beat(self, crew: Crew) -> None:
        self._renew()
        # Whatever keeps these threads busy, others may have one for what still waits here.
        self._free(crew.withdraw(self._settings.lease / 3), crew)

    def _renew(self) -> None:
        until = monotonic() + self._settings.lease
        leases = self._in_hand.leases()
        if not leases:
            return
        try:
            found = self._deliveries.renew(leases)
        except Exception as error:  # noqa: BLE001 - the next renewal may do better; else the leases run out
            _LOG.error("worker.renewal_failed", worker=self.id, error=said(error))
            return
        for batch in self._in_hand.renewed(leases, found, until):
            _LOG.warning("worker.lease_lost", worker=self.id, recipient=batch.recipient, lease=batch.lease)
