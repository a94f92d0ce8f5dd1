"""Who asks: bearer tokens of requests, and what may be asked without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..service.authentication import Authenticator
from ..service.credentials import Unauthenticated
from ..service.envelope import Principal

ANONYMOUS = "anonymous"
"""The name of whoever shows no credentials."""

_SCHEME = "bearer "
_LONGEST_TOKEN = 8192
_INVALID = 'Bearer error="invalid_token"'


class Refused(Unauthenticated):
    """Credentials that are missing or not accepted; `challenge` is what `WWW-Authenticate` says."""

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.challenge = challenge


class Guard(NamedTuple):
    """Says who sent a request. Where credentials are `required`, who shows none may only what is public."""

    authenticators: Sequence[Authenticator] = ()
    required: bool = False

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


OPEN = Guard()
"""Nobody needs credentials, and nobody's are known: for tests, and for applications that see to it themselves."""
