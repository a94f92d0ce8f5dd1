"""The load: one number after the other is sent, each until it was accepted, so that what was sent is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from atomos.core.domain import AtomosError

if TYPE_CHECKING:
    from atomos.core.service import MessageBus

Drive = Callable[["MessageBus", int], None]
"""Sends what belongs to a number. After an error it is called with the same number again: it gives its messages ids."""

_AGAIN_SECONDS = 0.05


class Load(threading.Thread):
    """Drives numbers in a thread of its own, with `pause` seconds between two, until they end or it is ended.

    `told` holds those that were accepted. A number that is refused for more than `patience` seconds ends it, and
    `end` raises that error.
    """

    def __init__(
        self,
        drive: Drive,
        bus: MessageBus,
        numbers: Iterable[int],
        pause: float = 0.0,
        patience: float = 120.0,
    ) -> None:
        super().__init__(name="atomos-faults-load", daemon=True)
        self.told: list[int] = []
        self._drive = drive
        self._bus = bus
        self._numbers = numbers
        self._pause = pause
        self._patience = patience
        self._ended = threading.Event()
        self._error: AtomosError | None = None

    def run(self) -> None:
        """Drive."""
        for number in self._numbers:
            if self._ended.is_set() or not self._is_accepted(number):
                return
            self.told.append(number)
            self._ended.wait(self._pause)

    def end(self) -> list[int]:
        """Send nothing more; give what was accepted. The number in hand is seen through."""
        self._ended.set()
        return self.wait()

    def wait(self) -> list[int]:
        """Wait until all numbers are sent; give them."""
        self.join(self._patience + 30)
        if self._error is not None:
            raise self._error
        return self.told

    def _is_accepted(self, number: int) -> bool:
        given_up = monotonic() + self._patience
        while True:
            try:
                self._drive(self._bus, number)
            except AtomosError as error:
                if monotonic() > given_up:
                    self._error = error
                    return False
                threading.Event().wait(_AGAIN_SECONDS)
            else:
                return True
