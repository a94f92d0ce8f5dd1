"""An identity provider over HTTP: its discovery document, and the keys that it publishes."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import httpx2

from ...domain.addresses import is_protected
from ...service.ports import Unavailable
from .keys import PublicKeys, usable
from .objects import read_object

_DISCOVERY = "/.well-known/openid-configuration"
_MOST_BYTES = 262_144
_HEADERS = {
    "Accept": "application/json",
    # So that what is counted is what comes: a small answer can unpack to a large one.
    "Accept-Encoding": "identity",
}


class ProviderAway(Unavailable):
    """The identity provider gives no keys."""


class Provider:
    """Asks one provider. `jwks_url` is None where its discovery document says; `timeout` is in seconds, for all."""

    def __init__(self, issuer: str, jwks_url: str | None, algorithms: Sequence[str], timeout: float) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._algorithms = algorithms
        self._timeout = timeout
        self._client = httpx2.Client(timeout=timeout, headers=_HEADERS, follow_redirects=False)

    def keys(self) -> PublicKeys:
        """Fetch the keys, those of them that can be used. Raises `ProviderAway`."""
        until = monotonic() + self._timeout
        url = self._jwks_url or self._discovered(until)
        try:
            return usable(self._get(url, until), self._algorithms)
        except ValueError as error:
            raise ProviderAway(f"{url} answered with no JSON that is a set of keys.") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _discovered(self, until: float) -> str:
        url = self._issuer.removesuffix("/") + _DISCOVERY
        try:
            said = self._get(url, until)
        except ValueError as error:
            raise ProviderAway(f"{url} answered with no JSON object.") from error
        if said.get("issuer") != self._issuer:
            raise ProviderAway(f"{url} is of another issuer than oidc.issuer, or writes it in another way.")
        found = said.get("jwks_uri")
        if not isinstance(found, str) or not is_protected(found):
            raise ProviderAway(f"{url} names no jwks_uri that is https.")
        return found

    def _get(self, url: str, until: float) -> dict[str, Any]:
        try:
            with self._client.stream("GET", url) as answer:
                if answer.status_code != httpx2.codes.OK:
                    raise ProviderAway(f"{url} answered with {answer.status_code}; 200 was expected.")
                return read_object(_body(answer, url, until))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ProviderAway(f"{url} gave no answer ({type(error).__name__}).") from error


def _body(answer: httpx2.Response, url: str, until: float) -> bytes:
    body = bytearray()
    for part in answer.iter_raw():
        body += part
        if len(body) > _MOST_BYTES:
            raise ProviderAway(f"{url} answered with more than {_MOST_BYTES} bytes.")
        if monotonic() > until:
            raise ProviderAway(f"{url} took too long.")
    return bytes(body)
