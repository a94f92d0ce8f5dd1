"""The threads of a worker: a crew that carries out what was claimed, and rounds of what is to be done regularly."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple, Self

import structlog

from .in_hand import Held, Run, Tray
from .ports import Unavailable

_LOG = structlog.get_logger("atomos.worker")

_LONG_SECONDS = 0.02

Task = tuple[Held, list[Run]]
"""Runs of one batch."""


class _Queued(NamedTuple):
    since: float
    held: Held
    runs: deque[Run]


class Crew:
    """Threads that carry out runs, each recipient in its turn; one recipient has at most `share` of them.

    So what is slow for one recipient leaves a thread to the others. Suspects come before all others: they waited
    for a lease to run out, and a worker has one batch of them at a time.

    A thread takes a portion of the runs of a batch at a time: `portion` is given the recipient and how many are queued,
    and says how many. Behind one that takes long, idle threads take the rest. The threads keep no process from ending.
    """

    def __init__(
        self,
        threads: int,
        share: int,
        work: Callable[[Tray], None],
        portion: Callable[[str, int], int] = lambda *_: 1,
    ) -> None:
        self._share = share
        self._work = work
        self._portion = portion
        self._queues: dict[str, deque[_Queued]] = {}
        self._trays: dict[str, list[Tray]] = defaultdict(list)
        self._dismissed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._take_turns, name=f"atomos-delivery-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, held: Held, runs: Iterable[Run]) -> bool:
        """Add runs of a batch to what is to be done. False: the crew was dismissed, and will not do them."""
        with self._changed:
            if not self._dismissed:
                self._queue(held, runs, monotonic())
            return not self._dismissed

    def running(self, recipient: str) -> float:
        """Say for how many seconds the longest row of a recipient has been worked on."""
        now = monotonic()
        with self._changed:
            return now - min((tray.begun for tray in self._trays[recipient]), default=now)

    def trays(self) -> list[Tray]:
        """Give what is being worked on."""
        with self._changed:
            return [tray for several in self._trays.values() for tray in several]

    def withdraw(self, waited: float) -> list[Task]:
        """Give back what was not begun for so many seconds."""
        given_before = monotonic() - waited
        with self._changed:
            queued = [each for queue in self._queues.values() for each in queue]
            for recipient, queue in self._queues.items():
                self._queues[recipient] = deque(each for each in queue if each.since > given_before)
            trays = [tray for several in self._trays.values() for tray in several]
        back = [(each.held, list(each.runs)) for each in queued if each.since <= given_before]
        back += [(tray.held, tray.take_back()) for tray in trays if tray.since <= given_before]
        return [(held, runs) for held, runs in back if runs]

    def dismiss(self) -> list[Task]:
        """Begin nothing more; give back what was not begun."""
        with self._changed:
            self._dismissed = True
            self._changed.notify_all()
        return self.withdraw(0.0)

    def join(self, until: float) -> bool:
        """Wait for what is running, until an instant of the monotonic clock; say whether all has ended."""
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _take_turns(self) -> None:
        while (tray := self._next()) is not None:
            recipient = tray.held.batch.recipient
            try:
                self._work(tray)
            except BaseException as error:  # noqa: BLE001 - a thread fewer would be noticed by nobody
                _LOG.error("worker.failed", recipient=recipient, error=repr(error), exc_info=error)
            finally:
                with self._changed:
                    self._trays[recipient].remove(tray)

    def _next(self) -> Tray | None:
        with self._changed:
            while not self._dismissed:
                for recipient, queue in sorted(self._queues.items(), key=_has_no_suspects):
                    if queue and len(self._trays[recipient]) < self._share:
                        return self._taken(recipient, queue)
                if not self._is_shared_out():
                    self._changed.wait(_LONG_SECONDS if self._is_more() else None)
            return None

    def _taken(self, recipient: str, queue: deque[_Queued]) -> Tray:
        first = queue[0]
        queued = len(first.runs)
        runs = [first.runs.popleft() for _ in range(min(queued, self._portion(recipient, queued)))]
        if not first.runs:
            queue.popleft()
        self._trays[recipient].append(tray := Tray(first.held, runs, first.since))
        self._queues[recipient] = self._queues.pop(recipient)  # at the end: it is the others' turn
        if queue:
            self._changed.notify()
        return tray

    def _is_shared_out(self) -> bool:
        """Queue again what waits behind a row that takes long; say whether there was any."""
        long_ago = monotonic() - _LONG_SECONDS
        for trays in self._trays.values():
            for tray in trays:
                if len(trays) < self._share and tray.begun < long_ago and (runs := tray.take_back()):
                    self._queue(tray.held, runs, tray.since)
                    return True
        return False

    def _is_more(self) -> bool:
        return any(tray.has_more() for trays in self._trays.values() for tray in trays)

    def _queue(self, held: Held, runs: Iterable[Run], since: float) -> None:
        queue = self._queues.setdefault(held.batch.recipient, deque())
        (queue.appendleft if held.batch.is_suspect else queue.append)(_Queued(since, held, deque(runs)))
        self._changed.notify()


def _has_no_suspects(each: tuple[str, deque[_Queued]]) -> bool:
    _, queue = each
    return not (queue and queue[0].held.batch.is_suspect)


class Chore(NamedTuple):
    """Something that is done again and again, `seconds` after it was done last."""

    name: str
    seconds: float
    do: Callable[[], object]


class Rounds:
    """Does chores in a thread of its own, each in its time, for the time of a `with` block.

    One that fails is logged, and done again when its time comes.
    """

    def __init__(self, name: str, chores: Iterable[Chore]) -> None:
        self._due = {chore: monotonic() + chore.seconds for chore in chores}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name=name, daemon=True)

    def __enter__(self) -> Self:
        if self._due:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _go_on(self) -> None:
        while not self._over.wait(max(0.0, min(self._due.values()) - monotonic())):
            for chore, due in list(self._due.items()):
                if due <= monotonic() and not self._over.is_set():
                    self._do(chore)
                    self._due[chore] = monotonic() + chore.seconds

    def _do(self, chore: Chore) -> None:
        try:
            chore.do()
        except Exception as error:  # noqa: BLE001 - a round is never the last
            shown = None if isinstance(error, Unavailable) else error
            _LOG.error("worker.chore_failed", chore=chore.name, error=repr(error), exc_info=shown)
