"""In which order messages that NATS gives are handed on: those that another reader held come first."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from nats.aio.msg import Msg


class Lining:
    """Puts what comes into the order of the stream, and drops what came before.

    `after` is the number of the last message that was acknowledged. `until` is the newest one that another reader
    holds: what is newer waits while so many as `missing` of these have not come again.
    """

    def __init__(self, after: int = 0, until: int = 0, missing: int = 0) -> None:
        self.ready: deque[Msg] = deque()
        self._newest = after
        self._until = until
        self._missing = missing
        self._held: dict[int, Msg] = {}

    def add(self, message: Msg) -> None:
        """Take what has come."""
        number = message.metadata.sequence.stream
        if not self._missing:
            self._pass(number, message)
        elif number > self._newest:
            self._held.setdefault(number, message)
            self._release()

    def left(self, pending: int) -> None:
        """Hear how many messages the server waits for; fewer than before when some were removed from the stream."""
        if self._missing:
            self._missing = pending - sum(number > self._until for number in self._held)
            self._release()

    def take(self, most: int) -> Sequence[Msg]:
        """Take what may be handed on."""
        return [self.ready.popleft() for _ in range(min(most, len(self.ready)))]

    def _release(self) -> None:
        if sum(number <= self._until for number in self._held) >= self._missing:
            self._missing = 0
            for number in sorted(self._held):
                self._pass(number, self._held[number])
            self._held = {}

    def _pass(self, number: int, message: Msg) -> None:
        # One that is given again, because a write took longer than the server waits: it is in hand.
        if number > self._newest:
            self._newest = number
            self.ready.append(message)
