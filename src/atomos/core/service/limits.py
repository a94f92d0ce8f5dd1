"""Limits of how often: so many in a window of time, for each of those who are counted."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple, Self

from ..domain.errors import AtomosError

UNITS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
"""The times that a rate may be told in, in seconds."""

_MOST_STOPPED = 10_000


class Rate(NamedTuple):
    """So many in a window of so many seconds; a window begins with the first that is counted in it."""

    amount: int
    seconds: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a rate such as `600/minute`; the time is one of `UNITS`. Raises ValueError."""
        amount, _, unit = text.partition("/")
        if not (amount.isdecimal() and int(amount) and unit in UNITS):
            raise ValueError(f"{text!r} is no rate: write a number and a time, such as 600/minute.")
        return cls(int(amount), UNITS[unit])


class TooMany(AtomosError):
    """A limit is reached. `retry_after` is in seconds; `is_first` tells the refusal that ended the window's room."""

    def __init__(self, what: str, rate: Rate, retry_after: float, *, is_first: bool) -> None:
        super().__init__(
            f"There were more than {rate.amount} {what} within {rate.seconds} s. "
            "Send the request again after the seconds in Retry-After."
        )
        self.retry_after = retry_after
        self.is_first = is_first


class Counts(ABC):
    """Counts what happens in windows of time. Safe to share by threads."""

    @abstractmethod
    def add(self, key: str, seconds: int) -> int:
        """Count one more of a key, and give how many there are in its window, which begins with its first one."""

    @abstractmethod
    def left(self, key: str) -> float:
        """Give the seconds until the window of a key ends, at least a part of one."""

    @abstractmethod
    def trouble(self) -> str | None:
        """Say why the counts are not what they should be, or None."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""


class Limit:
    """One limit: `name` tells its counts from others', `what` says in words what is counted. Safe to share by threads.

    Whoever has used up a window is refused for the rest of it without being counted, so that a flood costs next to
    nothing.
    """

    def __init__(self, name: str, what: str, rate: Rate, counts: Counts) -> None:
        self._name = name
        self._what = what
        self._rate = rate
        self._counts = counts
        self._stopped: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, who: str) -> None:
        """Count one more. Raises `TooMany` when it is one too many."""
        self.check(who)
        key = f"{self._name}/{who}"
        if self._counts.add(key, self._rate.seconds) > self._rate.amount:
            self._stop(who, self._counts.left(key))

    def check(self, who: str) -> None:
        """Raise `TooMany` while this process knows that somebody's window is used up; nothing is counted."""
        until = self._stopped.get(who)
        if until is None:
            return
        if (left := until - monotonic()) > 0:
            raise TooMany(self._what, self._rate, left, is_first=False)
        with self._lock:
            self._stopped.pop(who, None)

    def _stop(self, who: str, left: float) -> None:
        with self._lock:
            self._stopped[who] = monotonic() + left
            while len(self._stopped) > _MOST_STOPPED:
                self._stopped.popitem(last=False)
        raise TooMany(self._what, self._rate, left, is_first=True)
