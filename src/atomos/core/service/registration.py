"""Registration: each worker says that it lives, whom it delivers to, what it can read, and what is stuck in it."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from .threads import Chore
from .watching import Stuck

_FORGET_SECONDS = 600.0


class Present(NamedTuple):
    """What a worker says of itself: its id, where it runs, its recipients, and what is stuck, in words."""

    id: str
    host: str
    pid: int
    recipients: tuple[str, ...]
    stuck: tuple[str, ...] = ()


class Workers(ABC):
    """The register of workers, by the database's clock; it adds this build's version, and what that can read."""

    @abstractmethod
    def seen(self, worker: Present) -> None:
        """Note that a worker lives, and what it says of itself."""

    @abstractmethod
    def gone(self, worker: str) -> None:
        """Remove a worker that has stopped."""

    @abstractmethod
    def forget(self, seconds: float) -> int:
        """Remove workers that were not seen for so long; say how many."""


class Registration:
    """One worker's row in the register; with no register there is none."""

    def __init__(self, workers: Workers | None, worker: str, recipients: tuple[str, ...]) -> None:
        self._workers = workers
        self._present = Present(worker, socket.gethostname(), os.getpid(), recipients)

    def say(self, stuck: Iterable[Stuck]) -> None:
        """Note that the worker lives, and what is stuck in it."""
        if self._workers is not None:
            words = tuple(f"{each.recipient} {each.message}" for each in stuck)
            self._workers.seen(self._present._replace(stuck=words))

    def end(self) -> None:
        """Remove the row. Where that fails, others forget it."""
        if self._workers is not None:
            with suppress(Exception):
                self._workers.gone(self._present.id)

    def chores(self) -> list[Chore]:
        """Give what is to be done for the others: to forget who was not seen for ten minutes."""
        if self._workers is None:
            return []
        workers = self._workers
        return [Chore("forget", _FORGET_SECONDS / 10, lambda: workers.forget(_FORGET_SECONDS))]
