"""The threads of a worker: a crew that carries out what was claimed, and a heartbeat."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple, Self

import structlog

from .in_hand import Held, Run

_LOG = structlog.get_logger("atomos.worker")

Task = tuple[Held, Run]


class _Waiting(NamedTuple):
    since: float
    task: Task


class Crew:
    """Threads that carry out runs, each recipient in its turn; one recipient has at most `share` of them.

    So what is slow for one recipient leaves a thread to the others. The threads keep no process from ending.
    """

    def __init__(self, threads: int, share: int, work: Callable[[Held, Run], None]) -> None:
        self._share = share
        self._work = work
        self._queues: dict[str, deque[_Waiting]] = {}
        self._begun: dict[str, list[float]] = defaultdict(list)
        self._dismissed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._take_turns, name=f"atomos-delivery-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, held: Held, run: Run) -> None:
        """Add a run to what is to be done."""
        with self._changed:
            self._queues.setdefault(held.batch.recipient, deque()).append(_Waiting(monotonic(), (held, run)))
            self._changed.notify()

    def running(self, recipient: str) -> float:
        """Say for how many seconds the longest run of a recipient has been worked on."""
        now = monotonic()
        with self._changed:
            return now - min(self._begun[recipient], default=now)

    def withdraw(self, waited: float) -> list[Task]:
        """Give back what was not begun for so many seconds."""
        given_before = monotonic() - waited
        with self._changed:
            late = [each for queue in self._queues.values() for each in queue if each.since <= given_before]
            for recipient, queue in list(self._queues.items()):
                self._queues[recipient] = deque(each for each in queue if each.since > given_before)
        return [each.task for each in late]

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
        while (taken := self._next()) is not None:
            (held, run), begun = taken
            try:
                self._work(held, run)
            except BaseException as error:  # noqa: BLE001 - a thread fewer would be noticed by nobody
                _LOG.error("worker.failed", recipient=held.batch.recipient, error=repr(error), exc_info=error)
            finally:
                with self._changed:
                    self._begun[held.batch.recipient].remove(begun)

    def _next(self) -> tuple[Task, float] | None:
        with self._changed:
            while not self._dismissed:
                for recipient, queue in self._queues.items():
                    if queue and len(self._begun[recipient]) < self._share:
                        return self._taken(recipient, queue)
                self._changed.wait()
            return None

    def _taken(self, recipient: str, queue: deque[_Waiting]) -> tuple[Task, float]:
        begun = monotonic()
        self._begun[recipient].append(begun)
        task = queue.popleft().task
        self._queues[recipient] = self._queues.pop(recipient)  # at the end: it is the others' turn
        return task, begun


class Heartbeat:
    """Beats every so many seconds, in a thread of its own, for the time of a `with` block."""

    def __init__(self, beat: Callable[[], None], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="atomos-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _go_on(self) -> None:
        while not self._over.wait(self._seconds):
            self._beat()
