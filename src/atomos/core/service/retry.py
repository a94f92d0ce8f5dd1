"""When to try again: a command that met a conflict, and a delivery that failed or has to wait."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from ..domain.errors import DomainError
from .ports import Unavailable

MOST_ATTEMPTS = 1000
"""More tries than this are no policy but a mistake."""

_MOST_QUICK = 10
_LONGEST_SECONDS = 7 * 86_400.0


class NotYet(Unavailable):
    """What this delivery needs is not there yet: it waits, holds its key, and no attempt is counted.

    `after` is how long, in seconds or as a timedelta, more than zero. Raised by a reaction, a trigger or a command
    that the worker delivers; whoever emits or asks directly gets it as an error, and may try again then.
    """

    def __init__(self, after: float | timedelta) -> None:
        seconds = after.total_seconds() if isinstance(after, timedelta) else float(after)
        if not 0 < seconds < math.inf:
            raise ValueError(f"NotYet(after={after!r}): expected more than zero seconds, or a timedelta.")
        super().__init__(f"Not yet: try again in {seconds:g} s.", retry_after=seconds)


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

    def flaws(self) -> Iterator[str]:
        """Say what is wrong with it."""
        if not _is_count(self.attempts, MOST_ATTEMPTS):
            yield f"attempts={self.attempts!r}; expected a whole number from 1 to {MOST_ATTEMPTS}"
        for name, seconds in (("first", self.first), ("cap", self.cap)):
            if not _is_time(seconds):
                yield f"{name}={seconds!r}; expected seconds, more than zero and at most {_LONGEST_SECONDS:g}"
        if _is_time(self.first) and _is_time(self.cap) and self.first > self.cap:
            yield f"first={self.first!r} is longer than cap={self.cap!r}"


class ErrorRule(NamedTuple):
    """What becomes of a delivery that failed with an error of this kind; `backoff` None gives it up at once."""

    kind: Any
    backoff: Backoff | None


class Policy(NamedTuple):
    """What a route says about the deliveries to its recipient; None leaves it to the worker's settings.

    Of `rules` the first whose kind fits an error counts. `quickly` is how often a conflict, or something that is
    unavailable, is tried again in place before it counts as a failure. `at_once` is how many may be in hand in the
    whole installation. `limit` is how many seconds a handler may take, zero for any time. `in_step` is for topics: of
    each key one message is on its way at a time; `optional`: a message that nobody subscribed to is dropped.
    """

    rules: tuple[ErrorRule, ...] = ()
    quickly: int | None = None
    at_once: int | None = None
    limit: float | None = None
    in_step: bool = False
    optional: bool = False

    def backoff_for(self, error: BaseException, usual: Backoff) -> Backoff | None:
        """Say how a delivery is tried again after an error; None for not at all. Domain errors are final."""
        for rule in self.rules:
            if isinstance(error, rule.kind):
                return rule.backoff
        return None if isinstance(error, DomainError) else usual

    def limit_or(self, usual: float) -> float:
        """Say how many seconds a handler may take, zero for any time."""
        return usual if self.limit is None else self.limit

    def most_attempts(self, usual: Backoff) -> int:
        """Say how many tries the most patient rule allows."""
        rules = [rule.backoff for rule in self.rules if rule.backoff is not None]
        return max(each.attempts for each in (usual, *rules))

    def flaws(self) -> Iterator[str]:
        """Say what is wrong with it."""
        for rule in self.rules:
            kinds = rule.kind if isinstance(rule.kind, tuple) else (rule.kind,)
            if not kinds or not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
                yield f"on={rule.kind!r}; expected a class of errors, or a tuple of them"
            if rule.backoff is not None:
                yield from _backoff_flaws(rule.backoff)
        if self.quickly is not None and self.quickly != 0 and not _is_count(self.quickly, _MOST_QUICK):
            yield f"quickly({self.quickly!r}, ...); expected a whole number from 0 to {_MOST_QUICK}"
        if self.at_once is not None and not _is_count(self.at_once, 1_000_000):
            yield f"at_once({self.at_once!r}, ...); expected a whole number of at least 1"
        if self.limit is not None and self.limit != 0 and not _is_time(self.limit):
            yield f"within({self.limit!r}, ...); expected seconds, or zero for any time"


NO_POLICY = Policy()
"""A route says nothing: the worker's settings count."""


def _backoff_flaws(backoff: Any) -> Iterator[str]:
    if isinstance(backoff, Backoff):
        yield from (f"Backoff: {flaw}" for flaw in backoff.flaws())
    else:
        yield f"retries({backoff!r}, ...); expected a Backoff"


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _LONGEST_SECONDS
