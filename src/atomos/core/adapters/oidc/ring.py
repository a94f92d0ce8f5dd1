"""The keys in hand: fetched when they are needed, seldom, once at a time, and kept while nobody answers."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple, Protocol

import structlog
from jwt import PyJWK

from ...service.ports import Unavailable
from .keys import PublicKeys
from .provider import ProviderAway
from .rules import KeyTimes

_LOG = structlog.get_logger("atomos.security")

_MOST_UNKNOWN = 1000
_STUCK_SECONDS = 60.0
"""After so long a fetch that has not ended is left to itself."""


class Publisher(Protocol):
    """Where the keys come from."""

    def keys(self) -> PublicKeys:
        """Fetch them. Raises `Unavailable`."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class _Held(NamedTuple):
    keys: PublicKeys
    since: float


class _Fetch(NamedTuple):
    began: float
    ended: threading.Event


class KeyRing:
    """Gives keys by their ids. Safe to share by threads; a fetch runs in a thread of its own.

    From half of `refresh` on the keys are fetched in the background. Past it nobody is believed until the provider
    was asked; when it does not answer, the keys that are there are good for `outage`. Made-up ids make it be asked
    once in `pause`, and only who comes when it was well is kept waiting.
    """

    def __init__(self, provider: Publisher, times: KeyTimes) -> None:
        self._provider = provider
        self._times = times
        self._held = _Held({}, -math.inf)
        self._fetch: _Fetch | None = None
        self._trouble: str | None = None
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, id_: str) -> Mapping[str, PyJWK] | None:
        """Give a key, by the algorithms that it is for; None where the provider has none of this id.

        Raises `Unavailable` where that cannot be told.
        """
        now, held = monotonic(), self._held
        found, age = held.keys.get(id_), now - held.since
        if found is None and self._unknown.get(id_, -math.inf) > now:
            return None
        if found is None or age >= self._times.refresh:
            return self._found_by_asking(id_, now)
        if age >= self._times.refresh / 2:
            self._ask(now)
        return found

    def trouble(self) -> str | None:
        """Say that the keys cannot be fetched, or that there are none; None where all is well. It names no host."""
        if self._trouble is not None:
            return "The keys of the identity provider cannot be fetched; the log says why."
        is_empty = self._held.since > -math.inf and not self._held.keys
        return "The identity provider has no key that oidc.algorithms can use." if is_empty else None

    def close(self) -> None:
        """Close the connections of the provider."""
        self._provider.close()

    def _found_by_asking(self, id_: str, now: float) -> Mapping[str, PyJWK] | None:
        fetch = self._ask(now)
        is_mine = fetch is not None and fetch.began >= now
        if fetch is not None and (self._trouble is None or (is_mine and id_ not in self._held.keys)):
            self._wait(fetch)
        held, trouble = self._held, self._trouble
        if (found := held.keys.get(id_)) is not None and now - held.since < self._times.outage:
            return found
        if trouble is not None:
            raise Unavailable(trouble, retry_after=self._rest(now))
        if is_mine:
            self._note_unknown(id_, now)
        return None

    def _ask(self, now: float) -> _Fetch | None:
        """Begin a fetch, or give the one that runs; None where the provider was asked a moment ago."""
        with self._lock:
            last = self._fetch
            if last is not None and not last.ended.is_set() and now - last.began < _STUCK_SECONDS:
                return last
            if last is not None and now - last.began < self._times.pause:
                return None
            fetch = self._fetch = _Fetch(now, threading.Event())
        threading.Thread(target=self._run, args=(fetch,), name="atomos-oidc", daemon=True).start()
        return fetch

    def _run(self, fetch: _Fetch) -> None:
        try:
            keys = self._provider.keys()
        except ProviderAway as error:
            self._failed(fetch, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, there are no keys, and somebody waits
            self._failed(fetch, f"The keys could not be fetched ({type(error).__name__}).", error)
        else:
            self._succeeded(fetch, keys)
        finally:
            fetch.ended.set()

    def _succeeded(self, fetch: _Fetch, keys: PublicKeys) -> None:
        with self._lock:
            if self._fetch is not fetch:
                return
            changed = keys.keys() != self._held.keys.keys()
            self._held, self._trouble = _Held(keys, fetch.began), None
        if changed:
            _LOG.info("identity.keys_changed", keys=sorted(keys))

    def _failed(self, fetch: _Fetch, trouble: str, error: Exception | None = None) -> None:
        with self._lock:
            if self._fetch is not fetch:
                return
            self._trouble = trouble
        _LOG.warning("identity.unavailable", reason=trouble, exc_info=error)

    def _wait(self, fetch: _Fetch) -> None:
        if fetch.ended.wait(self._times.timeout):
            return
        with self._lock:
            if self._fetch is fetch and not fetch.ended.is_set():
                self._trouble = f"The identity provider gave no answer within {self._times.timeout:g} s."

    def _rest(self, now: float) -> float:
        fetch = self._fetch
        return max(1.0, self._times.pause - (now - fetch.began)) if fetch is not None else 1.0

    def _note_unknown(self, id_: str, now: float) -> None:
        with self._lock:
            self._unknown[id_] = now + self._times.unknown
            self._unknown.move_to_end(id_)
            while len(self._unknown) > _MOST_UNKNOWN:
                self._unknown.popitem(last=False)
