"""Who really asks, where proxies stand in front: what they say counts, and what others say does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from ..domain.addresses import peer_address

_SCHEMES = frozenset(("http", "https"))


class BehindProxies:
    """A WSGI application that is reached through proxies, which are trusted by their `networks`.

    Of a request that comes from one of them, the last address in `X-Forwarded-For` that is not another one is the
    client's, and the last scheme in `X-Forwarded-Proto` is how the client asked. From anyone else they are nothing.
    Neither `Forwarded` nor `X-Forwarded-Host`, `-Port` and `-Prefix` are read: no answer depends on them.
    """

    def __init__(self, app: Any, networks: Sequence[str]) -> None:
        """`networks` are addresses or networks: `10.0.0.7`, `10.0.0.0/8`. Raises ValueError."""
        known = [ip_network(each) for each in networks]
        self._app = app

        @lru_cache(maxsize=4096)
        def is_proxy(address: str) -> bool:
            found = peer_address(address)
            return found is not None and any(found in network for network in known)

        self._is_proxy = is_proxy

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a request."""
        peer = environ.get("REMOTE_ADDR", "")
        if self._is_proxy(peer):
            environ["REMOTE_ADDR"] = self._client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in _SCHEMES:
                environ["wsgi.url_scheme"] = scheme
        served: Iterable[bytes] = self._app(environ, start_response)
        return served

    def _client(self, peer: str, forwarded: str) -> str:
        # From the right: everyone adds who asked it, and what is further to the left anyone may have made up.
        for said in reversed(forwarded.split(",")):
            address = _address(said.strip())
            if address is None:
                return peer
            peer = address
            if not self._is_proxy(address):
                return peer
        return peer


def _address(said: str) -> str | None:
    host = said
    if said.startswith("["):
        host = said[1:].partition("]")[0]
    elif said.count(":") == 1:
        host = said.partition(":")[0]
    found = peer_address(host)
    return None if found is None else str(found)
