"""Section `[oidc]`: whose bearer tokens are accepted, and what is checked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ..core.domain import Length
from ..core.domain.addresses import is_protected
from .kinds import Between, Seconds, Text

SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""The algorithms that a token may be signed with: whoever can check such a signature cannot make one."""


@dataclass(frozen=True, slots=True)
class Signatures:
    """A list of algorithms that are signatures, at least one."""

    def problem(self, value: Sequence[str]) -> str | None:
        """Say which algorithm is refused, and why; or None."""
        if not value:
            return f"must name at least one of {', '.join(SIGNATURES)}"
        for each in value:
            if each not in SIGNATURES:
                return f"must name only {', '.join(SIGNATURES)}; {each!r} {_flaw(each)}"
        return None


@dataclass(frozen=True, slots=True)
class Protected:
    """A URL whose answers nobody can change on the way. An issuer's has neither query nor fragment."""

    plain: bool = False

    def problem(self, value: str) -> str | None:
        """Say what is wanted, or None."""
        if not is_protected(value):
            return "must be https://HOST/..., or http:// on the loopback, without a password"
        if "#" in value or (self.plain and "?" in value):
            return f"must have no {'query and no ' if self.plain else ''}fragment"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """Section `[oidc]`: whose bearer tokens are accepted, and what is checked of them. Needs the extra `oidc`."""

    issuer: Annotated[str, Protected(plain=True)] | None = None
    """The identity provider, letter by letter as its tokens say it in `iss`. None, the default: no tokens."""

    audience: Text | None = None
    """What tokens for this service have in `aud`. None: only where there is no issuer."""

    jwks_url: Annotated[str, Protected()] | None = None
    """Where the provider's public keys are. None, the default: where its discovery document says."""

    algorithms: Annotated[tuple[str, ...], Signatures()] = ("RS256", "ES256")
    """What tokens may be signed with."""

    types: Annotated[tuple[str, ...], Length(1)] = ("at+jwt",)
    """What tokens may have as `typ`. `at+jwt`, the default, is that of access tokens (RFC 9068); `JWT` takes those
    of providers that do not say it, and tokens without a type."""

    principal_claim: Text = "sub"
    """The claim that names whoever holds a token."""

    scopes_claim: Text = "scope"
    """The claim that has the permissions: a list, or one text with spaces between them."""

    leeway: Annotated[float, Between(0, 300)] = 30.0
    """Seconds that the provider's clock may differ from this one."""

    refresh: Seconds = 300.0
    """Seconds after which keys are fetched anew; one that the provider has withdrawn is not accepted for longer,
    but for a minute in which a token that was checked is trusted."""

    pause: Seconds = 10.0
    """Seconds between two times that the provider is asked, whatever tokens say."""

    unknown: Seconds = 60.0
    """Seconds for which the provider is not asked again for a key that it does not have."""

    outage: Seconds = 86_400.0
    """Seconds for which keys are still good when the provider cannot be reached."""

    timeout: Seconds = 3.0
    """Seconds that the provider may take for its answer, and a request waits for it at most."""

    def __post_init__(self) -> None:
        """Refuse an issuer without audience, or the other way round, and times out of order; raises ValueError."""
        if self.issuer is not None and self.audience is None:
            raise ValueError("issuer needs an audience: without it, tokens for any other service would do")
        if self.issuer is None and (self.audience is not None or self.jwks_url is not None):
            raise ValueError("audience and jwks_url need an issuer")
        if not self.pause <= self.refresh <= self.outage:
            raise ValueError("pause must not be longer than refresh, nor refresh than outage")


def _flaw(algorithm: str) -> str:
    if algorithm.upper().startswith("HS"):
        return "is no signature: whoever can check it can make it"
    if algorithm.lower() == "none":
        return "is no signature at all"
    return "is not known"
