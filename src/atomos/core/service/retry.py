"""When to try again: a command that met a conflict, and a delivery that failed."""

from __future__ import annotations

import random
from typing import NamedTuple


class ConflictRetry(NamedTuple):
    """How a command that met a `Conflict` is tried again: at once, with a growing, jittered pause.

    `attempts` is the number of tries in all, `pause` the longest first pause in seconds (doubled each time),
    `patience` the seconds after which no further try begins.
    """

    attempts: int = 5
    pause: float = 0.005
    patience: float = 5.0

    def is_over(self, tries: int, seconds: float) -> bool:
        """Whether no further try begins after so many, and so many seconds since the first began."""
        return tries >= self.attempts or seconds >= self.patience

    def pause_before(self, attempt: int) -> float:
        """Give the seconds to wait before try number `attempt` (the second is 2)."""
        return random.uniform(0, self.pause * 2 ** (attempt - 2))  # noqa: S311


class Backoff(NamedTuple):
    """How a failed delivery is tried again: `attempts` tries in all (at least 1).

    The pause before the next is `first` seconds, doubled each time up to `cap`, and spread by a tenth.
    """

    attempts: int = 10
    first: float = 1.0
    cap: float = 300.0

    def pause_after(self, attempts: int) -> float:
        """Give the seconds to wait after this many tries that ended."""
        pause = min(self.cap, self.first * 2.0 ** min(attempts - 1, 63))
        return pause * random.uniform(0.9, 1.1)  # noqa: S311
