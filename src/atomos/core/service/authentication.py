"""Who a token makes its bearer: API keys are looked up, and trusted for a few seconds."""

from __future__ import annotations

import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import NamedTuple, Protocol

import structlog

from .credentials import Key, Keys, Unauthenticated, digest, id_of
from .envelope import Principal
from .errors import Conflict
from .ports import Unavailable

TRUSTED_SECONDS = 4.0
"""For so long a key is not looked up again: a revoked one stops working within five seconds in every process."""

_LOG = structlog.get_logger("atomos.security")

_NOTED_SECONDS = 60.0
_MOST_KNOWN = 10_000
_REFUSED = "The credentials are not accepted: they are unknown, expired, revoked or damaged. Use others."


class Authenticator(Protocol):
    """Says who a bearer token stands for."""

    def takes(self, token: str) -> bool:
        """Whether tokens of this form are its business."""
        ...

    def principal(self, token: str) -> Principal:
        """Give the principal of a token. Raises `Unauthenticated`."""
        ...

    def close(self) -> None:
        """Write down what is still to be written down."""
        ...


class _Known(NamedTuple):
    key: Key
    principal: Principal
    until: float


class KeyAuthenticator:
    """Accepts API keys. Safe to share by threads. `secret` is the installation's own."""

    def __init__(self, keys: Keys, secret: str, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._secret = secret
        self._now = now
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._used: dict[str, datetime] = {}
        self._note_due = monotonic() + _NOTED_SECONDS
        self._lock = threading.Lock()

    def takes(self, token: str) -> bool:
        """Whether a token is an API key."""
        return id_of(token) is not None

    def principal(self, token: str) -> Principal:
        """Give the principal of a key. Raises `Unauthenticated`, and `Unavailable` when it cannot be looked up."""
        hashed = digest(token, self._secret)
        known = self._known.get(hashed)
        if known is None or monotonic() >= known.until:
            known = self._look_up(token, hashed)
        if not known.key.is_good(self._now()):
            raise Unauthenticated(_REFUSED)
        return known.principal

    def close(self) -> None:
        """Note which keys were used since the last time; what cannot be written now is lost."""
        self._note()

    def _look_up(self, token: str, hashed: str) -> _Known:
        with self._lock:
            self._known.pop(hashed, None)
        # From before the look-up: what it found may be as old as it took.
        until = monotonic() + TRUSTED_SECONDS
        key = self._keys.find(id_of(token) or "")
        if key is None or not hmac.compare_digest(hashed, key.digest):
            raise Unauthenticated(_REFUSED)
        known = _Known(key, Principal(f"key:{key.owner}", key.scopes), until)
        with self._lock:
            self._known[hashed] = known
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
            good = key.is_good(now := self._now())
            is_news = good and key.id not in self._used
            if good:
                self._used[key.id] = now
        if is_news:
            _LOG.info(
                "authentication.accepted", principal=known.principal.name, credentials="key", key=key.id
            )
        if monotonic() >= self._note_due:
            self._note()
        return known

    def _note(self) -> None:
        with self._lock:
            used, self._used = self._used, {}
            self._note_due = monotonic() + _NOTED_SECONDS
        if not used:
            return
        try:
            self._keys.used(used)
        except (Conflict, Unavailable):
            # Nobody's request fails for that: it is written down with the next ones.
            with self._lock:
                self._used = {**used, **self._used}
