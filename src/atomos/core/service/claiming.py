"""Claiming: threads that claim for several recipients side by side, for each one claim at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

from .delivery import Waiting


class Claimers:
    """Threads that claim what is waiting, so that a claim that takes long, or fails, holds up no other recipient.

    There are `threads` of them, and each needs a connection of the log's. `claim` must not raise.
    """

    def __init__(self, threads: int, claim: Callable[[Waiting], None]) -> None:
        self._claim = claim
        self._asked: SimpleQueue[Waiting | None] = SimpleQueue()
        self._busy: set[str] = set()
        self._threads = [
            threading.Thread(target=self._go_on, name=f"atomos-claim-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, waiting: Waiting) -> None:
        """Have a recipient claimed, once a thread is free; only the thread that looks asks."""
        self._busy.add(waiting.recipient)
        self._asked.put(waiting)

    def is_busy(self, recipient: str) -> bool:
        """Whether a claim of it is asked for or under way."""
        return recipient in self._busy

    def end(self) -> None:
        """Begin no claim any more, once those that were asked for have ended."""
        for _ in self._threads:
            self._asked.put(None)

    def join(self, until: float) -> None:
        """Wait for the threads, until an instant of the monotonic clock."""
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))

    def _go_on(self) -> None:
        while (waiting := self._asked.get()) is not None:
            try:
                self._claim(waiting)
            finally:
                self._busy.discard(waiting.recipient)
