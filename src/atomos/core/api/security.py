"""Who asks: bearer tokens of requests, and what may be asked without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..service.authentication import Authenticator
from ..service.credentials import PREFIX, Unauthenticated
from ..service.envelope import Principal

ANONYMOUS = "anonymous"
"""The name of whoever shows no credentials."""

API_KEY: Mapping[str, str] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": f"{PREFIX}...",
    "description": "An API key, made with `atomos keys create`.",
}
"""How API keys are told in a document."""

_DISCOVERY = "/.well-known/openid-configuration"
_SCHEME = "bearer "
_LONGEST_TOKEN = 8192
_INVALID = 'Bearer error="invalid_token"'


class Refused(Unauthenticated):
    """Credentials that are missing or not accepted; `challenge` is what `WWW-Authenticate` says."""

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.challenge = challenge


class Guard(NamedTuple):
    """Says who sent a request. Where credentials are `required`, who shows none may only what is public.

    `schemes` says in documents which credentials are accepted: security schemes of OpenAPI, by name. `salt` keeps
    others from working out the ids of messages whose senders have no name of their own; empty: they can.
    """

    authenticators: Sequence[Authenticator] = ()
    required: bool = False
    schemes: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    salt: str = ""

    @property
    def knows_anyone(self) -> bool:
        """Whether there can be anybody who may do less than everything."""
        return self.required or bool(self.authenticators)

    def principal(self, environ: Mapping[str, Any]) -> Principal:
        """Give the principal of a request. Raises `Refused`, and `Unavailable`."""
        given = environ.get("HTTP_AUTHORIZATION")
        if given is None:
            return Principal(ANONYMOUS, frozenset() if self.required else None)
        token = given[len(_SCHEME) :].strip()
        if given[: len(_SCHEME)].lower() != _SCHEME or not token or len(token) > _LONGEST_TOKEN:
            raise Refused("The header Authorization has to be `Bearer` and one token.", _INVALID)
        for each in self.authenticators:
            if each.takes(token):
                try:
                    return each.principal(token)
                except Unauthenticated as error:
                    raise Refused(str(error), _INVALID) from error
        raise Refused("The token is of no kind that is accepted here.", _INVALID)


def token_of(issuer: str, *, discovers: bool) -> Mapping[str, str]:
    """Tell in a document whose tokens are accepted; `discovers` is whether the issuer's own document says the rest."""
    described = f"An access token (JWT) of {issuer}."
    if not discovers:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": described}
    url = issuer.removesuffix("/") + _DISCOVERY
    return {"type": "openIdConnect", "openIdConnectUrl": url, "description": described}


OPEN = Guard()
"""Nobody needs credentials, and nobody's are known: for tests, and for applications that see to it themselves."""
