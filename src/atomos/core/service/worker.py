"""The worker: claims deliveries, lets its threads hand them to their recipients, and keeps their leases."""

from __future__ import annotations

import atexit
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack, suppress
from time import monotonic

import structlog

from .bus import MessageBus
from .claiming import Claimers, Claims
from .delivery import Deliveries, Waiting
from .envelope import new_id
from .failures import said
from .handover import Handover, Usual
from .in_hand import InHand, Tray
from .messaging import Broker
from .pace import MOST_A_CLAIM, Pace, Unread
from .ports import Unavailable
from .probing import NO_DOUBT, Doubts
from .reading import ReadingSettings
from .registration import Registration, Workers
from .returns import Returns
from .threads import Chore, Crew, Rounds
from .topics import Topics
from .waking import Wake
from .watching import Stuck, Watch
from .worker_settings import WorkerSettings

_LOG = structlog.get_logger("atomos.worker")

_LONGEST_PAUSE = 1.0
_SEEN_SECONDS = 5.0


class Worker:
    """Delivers until it is stopped. Any number of them, in any number of processes, share the work.

    `wake` is told by whoever commits, so that the worker need not wait for its next look. `workers` is where it
    registers, None for nowhere. `chores` are done now and then, in one thread. `broker` gives what topics are published
    to and read from, as `reading` says; None: none are.
    """

    def __init__(
        self,
        bus: MessageBus,
        deliveries: Deliveries,
        wake: Wake,
        settings: WorkerSettings = WorkerSettings(),  # noqa: B008 - a constant
        workers: Workers | None = None,
        chores: Iterable[Chore] = (),
        broker: Callable[[], Broker] | None = None,
        reading: ReadingSettings = ReadingSettings(),  # noqa: B008 - a constant
    ) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-8:]}"
        self._bus = bus
        self._deliveries = deliveries
        self._wake = wake
        self._settings = settings
        self._chores = tuple(chores)
        self._routes = bus.flow.routes.recipients()
        self._recipients = tuple(sorted(self._routes))
        self._registration = Registration(workers, self.id, self._recipients)
        # Where there are others, no recipient takes the last thread.
        self._share = max(1, settings.threads - 1) if len(self._recipients) > 1 else settings.threads
        self._topics = Topics(bus, deliveries, self.id, broker, reading)
        self._pace = Pace(self._share)
        self._in_hand = InHand()
        self._unread = Unread()
        self._claims = Claims(
            self.id, settings.lease, deliveries, self._in_hand, self._pace, self._unread, wake
        )
        self._doubts = Doubts(settings.doubt, deliveries)
        self._stopping = threading.Event()
        self._given_up = float("inf")
        self._thread: threading.Thread | None = None
        self._stuck: tuple[Stuck, ...] = ()
        self._returns = Returns(self._handover(0.0, self._doubts), self._claims)
        self._look_due = 0.0
        self._resting: set[str] = set()

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

    def stuck(self) -> tuple[Stuck, ...]:
        """Say which handlers run past their time limit, as of its last look, a second ago at most."""
        return self._stuck

    def run(self) -> None:
        """Work until `stop`, called by another thread. An error of the database is logged and survived."""
        crew = Crew(self._settings.threads, self._share, self._work, self._topics.portion(self._pace))
        claims = min(self._settings.claims, max(1, len(self._recipients)))
        claimers = Claimers(claims, lambda each: self._claim_for(crew, each), self._wake)
        with ExitStack() as rounds:
            rounds.enter_context(self._wake.listening())
            for name, chores in self._rounds(crew).items():
                rounds.enter_context(Rounds(f"atomos-{name}", chores))
            self._topics.start_reading()
            self._look_again_and_again(crew, claimers)
            claimers.end()
            self._in_hand.abandon()
            self._returns.give(crew.dismiss())
            claimers.join(self._given_up)
            self._topics.stop_reading(self._given_up)
            if not crew.join(self._given_up):
                _LOG.warning("worker.left_running", worker=self.id)
        self._registration.end()

    def drain(self) -> int:
        """Deliver all that is due, in this thread; say how many deliveries ended in one way or another.

        No handler is limited in time, and nothing is in doubt.
        """
        self._enrol()
        handover = self._handover(0.0, Doubts(NO_DOUBT, self._deliveries))
        ended = 0
        with Rounds("atomos-heartbeat", [Chore("renew", self._settings.lease / 3, self._renew)]):
            while found := self._drained_once(handover):
                ended += found
        return ended

    def _drained_once(self, handover: Handover) -> int:
        found = sum(self._drained(each, handover) for each in self._deliveries.waiting(self._recipients))
        return found or self._topics.read_all()

    def _enrol(self) -> None:
        most = {name: row.policy.at_once for name, row in self._routes.items()}
        self._deliveries.enrol(self._recipients, {name: n for name, n in most.items() if n is not None})
        self._bus.arrange()

    def _handover(self, patience: float, doubts: Doubts) -> Handover:
        usual = Usual(self._settings.backoff, self._settings.quickly)
        return Handover(
            self._bus, self._deliveries, usual, self._unread, doubts, patience, self._topics.publishing
        )

    def _look_again_and_again(self, crew: Crew, claimers: Claimers) -> None:
        enrolled, woken, rests, errors = False, False, False, 0
        while not self._stopping.is_set():
            told = self._wake.clear()
            try:
                if not enrolled:
                    self._enrol()
                    self._register()
                    enrolled = True
                pause, rests = self._look(crew, claimers, woken, told)
                errors = 0
            except Exception as error:  # noqa: BLE001 - a worker outlives whatever happens to its database
                errors += 1
                pause, rests = min(_LONGEST_PAUSE, self._settings.poll * 2.0 ** min(errors, 20)), False
                shown = None if isinstance(error, Unavailable) else error
                _LOG.error("worker.failed", worker=self.id, error=said(error), exc_info=shown)
            # Whoever had to rest when this worker was woken is looked at again after that rest.
            woken = not self._stopping.is_set() and (self._wake.wait(pause) or rests)

    def _look(self, crew: Crew, claimers: Claimers, woken: bool, told: Collection[str]) -> tuple[float, bool]:
        """Have claimed what there is room for.

        Give the seconds until the next look, if nobody wakes this worker, and whether it is for one that rests now.
        `told` is whom something was committed for, as in `Wake.clear`: they are claimed without a look at the log,
        which is for all, and due every `poll` seconds.
        """
        pause, wanted = self._settings.poll, []
        is_told = bool(told) and monotonic() < self._look_due
        told, self._resting = {*told, *self._resting}, set()  # who had to rest was told of before
        for recipient in filter(told.__contains__, self._recipients) if is_told else self._recipients:
            rest = self._pace.rest(recipient)
            if rest and woken:  # what it was woken for may be this one's
                pause = min(pause, rest)
                self._resting.add(recipient)
            elif not rest and not claimers.is_busy(recipient, woken=woken) and self._room(crew, recipient):
                wanted.append(recipient)
        found: Iterable[Waiting] = (Waiting(each, overdue=False) for each in wanted)
        if not is_told:
            self._look_due = monotonic() + self._settings.poll
            found = self._deliveries.waiting(wanted) if wanted else ()
        for each in found:
            claimers.ask(each)
        return min(pause, max(0.0, self._look_due - monotonic())), pause < self._settings.poll

    def _room(self, crew: Crew, recipient: str) -> int:
        if self._unread.is_full(recipient):
            return 0
        in_hand = self._in_hand.of(recipient)
        others = self._in_hand.beside(recipient)
        room = self._pace.room(recipient, in_hand, crew.running(recipient), others)
        return min(room, max(0, 1 - in_hand)) if self._doubts.is_in_doubt(recipient) else room

    def _claim_for(self, crew: Crew, waiting: Waiting) -> bool:
        """Claim, give what was found to the crew, and say whether it was anything.

        An error is logged, and this recipient rests.
        """
        recipient = waiting.recipient
        try:
            if waiting.overdue:
                self._deliveries.tidy(recipient)
            room = self._room(crew, recipient)
            held = self._claims.claim(recipient, room) if room and not self._stopping.is_set() else None
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are claimed meanwhile
            self._pace.failed(recipient)
            _LOG.error("worker.claim_failed", worker=self.id, recipient=recipient, error=said(error))
            return False
        if held is not None and not crew.give(held, held.runs()):
            self._returns.give([(held, held.runs())])
        return held is not None

    def _work(self, tray: Tray) -> None:
        recipient, held, started = tray.held.batch.recipient, tray.held, monotonic()
        handover = self._handover(self._settings.lease, self._doubts)
        try:
            try:
                handover.carry_out(tray)
            finally:
                self._pace.worked(recipient, monotonic() - started, tray.taken)
            handover.write_down(held)
        finally:
            self._claims.ended(held, tray.taken)
            if not_begun := tray.take_back():  # it broke off, because of a row that could not be noted
                self._returns.give([(held, not_begun)])
            in_hand, others = self._in_hand.of(recipient), self._in_hand.beside(recipient)
            if self._pace.room(recipient, in_hand, others=others):
                self._wake.set([recipient])

    def _drained(self, waiting: Waiting, handover: Handover) -> int:
        if waiting.overdue:
            self._deliveries.tidy(waiting.recipient)
        ended = 0
        while held := self._claims.claim(waiting.recipient, MOST_A_CLAIM):
            try:
                ended += handover.carry_out(Tray(held, held.runs(), monotonic()))
                handover.write_down(held)
            except BaseException:
                with suppress(Exception):
                    handover.write_down(held)
                    handover.free(held, held.batch.claimed)
                raise
            finally:
                self._claims.ended(held, len(held.batch.claimed))
        return ended

    def _rounds(self, crew: Crew) -> dict[str, list[Chore]]:
        third, usual = self._settings.lease / 3, self._settings.limit
        handover = self._handover(0.0, self._doubts)
        watch = Watch(handover, lambda each: self._routes[each].policy.limit_or(usual))
        return {
            "renewal": [Chore("renew", third, self._renew)],  # it waits for no other chore
            "care": [
                # Whatever keeps these threads busy, others may have one for what still waits here.
                Chore("withdraw", third, lambda: self._returns.give(crew.withdraw(third))),
                Chore("watch", min(1.0, third), lambda: self._look_after(watch, crew)),
                Chore("register", min(_SEEN_SECONDS, third), self._register),
            ],
            "chores": [
                # The register may have come from a backup, or the schedules from another build.
                Chore("enrol", third, self._enrol),
                Chore("vacuum", 2.0, self._deliveries.vacuum),
                *self._registration.chores(),
                *self._chores,
            ],
        }

    def _look_after(self, watch: Watch, crew: Crew) -> None:
        before, self._stuck = self._stuck, tuple(watch.look(crew.trays()))
        if len(before) != len(self._stuck):
            self._register()

    def _register(self) -> None:
        self._registration.say(self._stuck)

    def _renew(self) -> None:
        until = monotonic() + self._settings.lease
        leases = [*self._in_hand.leases(), *self._topics.leases()]
        try:
            found = self._deliveries.renew(leases) if leases else ()
        except Exception as error:  # noqa: BLE001 - the next renewal may do better; else the leases run out
            _LOG.error("worker.renewal_failed", worker=self.id, error=said(error))
            return
        self._topics.renewed(leases, found)
        for batch in self._in_hand.renewed(leases, found, until):
            _LOG.warning("worker.lease_lost", worker=self.id, recipient=batch.recipient, lease=batch.lease)
