"""An identity provider for tests: real tokens with real keys, published over real HTTP on the loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from .keys import SigningKey, new_key
from .serving import Answer, Pages

__all__ = ["Answer", "IdentityProvider", "SigningKey"]

_DISCOVERY = "/.well-known/openid-configuration"
_KEYS = "/keys"


class IdentityProvider:
    """An issuer of tokens on a free port of the loopback: entered, it serves; left, it is gone. Needs the extra `oidc`.

    `path` is where it is below its host; `algorithm` is what its first key signs with; `port` is 0 for a free one.
    Its keys can be rotated and withdrawn; it can be slow, be away, and answer with anything.
    """

    def __init__(self, path: str = "/realms/shop", *, algorithm: str = "RS256", port: int = 0) -> None:
        self._path = path
        self._pages = Pages(self._answer, port)
        self.keys = [new_key(algorithm)]
        self._answers: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        self._pages.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._pages.close()

    @property
    def issuer(self) -> str:
        """What its tokens say in `iss`."""
        return f"http://127.0.0.1:{self._pages.port}{self._path}"

    @property
    def jwks_url(self) -> str:
        """Where its keys are; the discovery document says it too."""
        return self.issuer + _KEYS

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for so far, below the issuer."""
        return [path.removeprefix(self._path) for path in self._pages.asked]

    def environment(self, audience: str) -> dict[str, str]:
        """Give the variables with which a service takes its tokens."""
        return {"ATOMOS_OIDC__ISSUER": self.issuer, "ATOMOS_OIDC__AUDIENCE": audience}

    def token(
        self,
        subject: str = "ana",
        *,
        audience: str = "orders",
        scope: str = "",
        seconds: float = 300.0,
        key: SigningKey | None = None,
        headers: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Issue an access token (RFC 9068) that ends after `seconds`.

        It is signed with the newest key, or with `key`. `claims` are added or replace what there would be, one that
        is None is left out; so do `headers`.
        """
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": audience,
            "sub": subject,
            "scope": scope,
            "iat": now,
            "exp": now + int(seconds),
            **claims,
        }
        used = key or self.keys[-1]
        return used.sign({name: value for name, value in said.items() if value is not None}, headers)

    def rotate(self, algorithm: str | None = None) -> SigningKey:
        """Sign with a new key from now on; those before it stay published. None takes the algorithm that there was."""
        self.keys.append(new_key(algorithm or self.keys[-1].algorithm))
        return self.keys[-1]

    def withdraw(self, key: SigningKey) -> None:
        """Publish a key no longer."""
        self.keys.remove(key)

    def answers(self, path: str, answer: Answer | None) -> None:
        """Answer a path below the issuer with something else; None goes back to the truth."""
        self._answers.pop(path, None)
        if answer is not None:
            self._answers[path] = answer

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Let it take so long for each answer, for a while."""
        self._pages.delay = seconds
        try:
            yield
        finally:
            self._pages.delay = 0.0

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let nobody listen at its port, for a while."""
        self._pages.close()
        try:
            yield
        finally:
            self._pages.open()

    def published(self) -> dict[str, Any]:
        """Give its keys as it publishes them."""
        return {"keys": [each.public() for each in self.keys]}

    def _answer(self, path: str) -> Answer:
        below = path.removeprefix(self._path)
        if below in self._answers:
            return self._answers[below]
        pages = {_KEYS: self.published(), _DISCOVERY: {"issuer": self.issuer, "jwks_uri": self.jwks_url}}
        if below not in pages:
            return Answer(404)
        return Answer(body=json.dumps(pages[below]).encode())
