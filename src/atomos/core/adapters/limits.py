"""Where limits count: in the process, or in a Redis that all processes share; without it each counts for itself."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from importlib.util import find_spec
from time import monotonic, time
from typing import TYPE_CHECKING, TypeVar

import structlog

from ..service.errors import MissingExtra
from ..service.limits import Counts

if TYPE_CHECKING:
    from limits.storage import RedisStorage

T = TypeVar("T")

EXTRA = "redis"
"""The extra that brings the libraries."""

AWAY_SECONDS = 5.0
"""So long a Redis that did not answer is not asked again by requests."""

_MOST_KEYS = 100_000
_ANSWER_SECONDS = 0.25
_LEAST_SECONDS = 0.001
_PREFIX = "atomos"

_log = structlog.get_logger()


class _Window:
    __slots__ = ("count", "ends")

    def __init__(self, ends: float) -> None:
        self.count = 0
        self.ends = ends


class ProcessCounts(Counts):
    """Counts in this process alone; of more than 100,000 keys at once the oldest begin anew."""

    def __init__(self) -> None:
        # By their length: then windows end in the order in which they began, and what is over is in front.
        self._windows: dict[int, OrderedDict[str, _Window]] = {}
        self._lock = threading.Lock()

    def add(self, key: str, seconds: int) -> int:
        """Count one more of a key, and give how many there are in its window."""
        now = monotonic()
        with self._lock:
            windows = self._windows.setdefault(seconds, OrderedDict())
            window = windows.get(key)
            if window is None or window.ends <= now:
                window = self._begin(windows, key, now, seconds)
            window.count += 1
            return window.count

    def left(self, key: str) -> float:
        """Give the seconds until the window of a key ends."""
        with self._lock:
            found = [windows[key].ends for windows in self._windows.values() if key in windows]
        return max(_LEAST_SECONDS, *(ends - monotonic() for ends in found)) if found else _LEAST_SECONDS

    def trouble(self) -> str | None:
        """Say nothing: what is in this process is there."""
        return None

    def close(self) -> None:
        """Let go of nothing."""

    def _begin(self, windows: OrderedDict[str, _Window], key: str, now: float, seconds: int) -> _Window:
        windows.pop(key, None)
        while windows and (len(windows) >= _MOST_KEYS or next(iter(windows.values())).ends <= now):
            windows.popitem(last=False)
        windows[key] = window = _Window(now + seconds)
        return window


class RedisCounts(Counts):
    """Counts in Redis, for all processes together; while it does not answer, in this process.

    A request waits for it for a quarter of a second at most, and then nobody for five seconds.
    """

    def __init__(self, url: str) -> None:
        self._redis = _storage(url)
        self._meanwhile = ProcessCounts()
        self._ask_at = 0.0
        self._is_away = False
        self._lock = threading.Lock()

    def add(self, key: str, seconds: int) -> int:
        """Count one more of a key, and give how many there are in its window."""
        return self._asked(lambda: self._redis.incr(key, seconds), lambda: self._meanwhile.add(key, seconds))

    def left(self, key: str) -> float:
        """Give the seconds until the window of a key ends."""
        return self._asked(
            lambda: max(_LEAST_SECONDS, self._redis.get_expiry(key) - time()),
            lambda: self._meanwhile.left(key),
        )

    def trouble(self) -> str | None:
        """Say that Redis does not answer, or None. It is asked."""
        # What it says itself goes to the log: it may name hosts.
        self._asked(self._redis.storage.ping, lambda: None, at_once=True)
        return "Redis does not answer: each process counts for itself." if self._is_away else None

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.storage.connection_pool.disconnect()

    def _asked(self, ask: Callable[[], T], otherwise: Callable[[], T], *, at_once: bool = False) -> T:
        if self._is_away and not at_once and not self._is_due():
            return otherwise()
        try:
            answer = ask()
        except self._redis.base_exceptions as error:
            self._note(error)
            return otherwise()
        self._note(None)
        return answer

    def _is_due(self) -> bool:
        # One request finds out, and the others do not wait for it.
        with self._lock:
            if (now := monotonic()) < self._ask_at:
                return False
            self._ask_at = now + AWAY_SECONDS
            return True

    def _note(self, error: Exception | None) -> None:
        if error is None and not self._is_away:
            return
        with self._lock:
            is_news, self._is_away = self._is_away != (error is not None), error is not None
            self._ask_at = monotonic() + AWAY_SECONDS
        if is_news and error is not None:
            _log.error("limits.storage_away", exc_info=error)
        elif is_news:
            _log.warning("limits.storage_back")


def lacks_libraries() -> bool:
    """Whether the extra `redis` is not installed."""
    return find_spec("redis") is None


def counts_at(url: str | None) -> Counts:
    """Give the counts that a URL names, `redis://...`; None counts in this process. Raises `MissingExtra`."""
    if url is None:
        return ProcessCounts()
    if lacks_libraries():
        raise MissingExtra(EXTRA, "limits.storage is set")
    return RedisCounts(url)


def _storage(url: str) -> RedisStorage:
    from limits.storage import RedisStorage
    from redis import ConnectionPool
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # A second try at once, because a connection that rested may have been closed meanwhile.
    patience = {"socket_timeout": _ANSWER_SECONDS, "socket_connect_timeout": _ANSWER_SECONDS}
    pool = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 1), **patience)
    return RedisStorage(url, connection_pool=pool, key_prefix=_PREFIX)
