"""Who the bearer of an identity provider's token is; a token that was checked is trusted for a minute."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import sha256
from time import monotonic, time
from typing import NamedTuple

import structlog

from ...service.envelope import Principal
from .tokens import Checked, Rejected, Tokens

TRUSTED_SECONDS = 60.0
"""For so long a token is not checked again, though never past its end."""

_LOG = structlog.get_logger("atomos.security")
_MOST_KNOWN = 10_000


class _Known(NamedTuple):
    principal: Principal
    until: float


class OidcAuthenticator:
    """Accepts the tokens of one issuer. Safe to share by threads."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def takes(self, token: str) -> bool:
        """Whether a token may be a signed JWT."""
        return token.count(".") == 2

    def principal(self, token: str) -> Principal:
        """Give the principal of a token: `oidc:<issuer>#<sub>`, with the permissions that the token lists.

        Raises `Unauthenticated`, and `Unavailable` where its key cannot be fetched.
        """
        hashed = sha256(token.encode()).digest()
        known = self._known.get(hashed)
        if known is None or monotonic() >= known.until:
            known = self._check(token, hashed)
        return known.principal

    def trouble(self) -> str | None:
        """Say that the provider's keys cannot be fetched, or that there are none; None where all is well."""
        return self._tokens.ring.trouble()

    def close(self) -> None:
        """Close the connections of the provider."""
        self._tokens.ring.close()

    def _check(self, token: str, hashed: bytes) -> _Known:
        try:
            checked = self._tokens.check(token)
        except Rejected as error:
            _LOG.info("authentication.rejected", credentials="oidc", reason=error.reason)
            raise
        principal = Principal(checked.principal, checked.scopes)
        known = _Known(principal, monotonic() + _trusted(checked))
        with self._lock:
            self._known[hashed] = known
            self._known.move_to_end(hashed)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        _LOG.info("authentication.accepted", principal=principal.name, credentials="oidc", key=checked.key)
        return known


def _trusted(checked: Checked) -> float:
    return min(TRUSTED_SECONDS, checked.ends - time())
