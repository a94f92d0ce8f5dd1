"""Bearer tokens of an identity provider: JWTs whose signatures are checked with the keys that it publishes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ...service.errors import MissingExtra
from .rules import KeyTimes, TokenRules

if TYPE_CHECKING:
    from .authenticator import OidcAuthenticator

EXTRA = "oidc"
"""The extra that brings the libraries."""

_LIBRARIES = ("jwt", "cryptography")


def lacks_libraries() -> bool:
    """Whether the extra `oidc` is not installed."""
    return any(find_spec(each) is None for each in _LIBRARIES)


def oidc_authenticator(
    *, rules: TokenRules, times: KeyTimes, jwks_url: str | None = None
) -> OidcAuthenticator:
    """Make what accepts the tokens of one issuer; nothing is fetched yet.

    `jwks_url` is where its keys are; None asks its discovery document. Raises `MissingExtra`.
    """
    if lacks_libraries():
        raise MissingExtra(EXTRA, "oidc.issuer is set")
    # Not before, because the libraries need not be there.
    from .authenticator import OidcAuthenticator
    from .provider import Provider
    from .ring import KeyRing
    from .tokens import Tokens

    provider = Provider(rules.issuer, jwks_url, rules.algorithms, times.timeout)
    return OidcAuthenticator(Tokens(rules, KeyRing(provider, times)))
