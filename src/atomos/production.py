"""What a service in production refuses to start with: one report of all reasons."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from atomos.core.adapters import limits, oidc
from atomos.core.api.endpoints import Endpoint
from atomos.core.domain import Message
from atomos.core.domain.addresses import is_loopback
from atomos.core.service.diagnostics import Diagnosed
from atomos.settings import Settings

PROFILE = "production"
"""The profile whose services are refused."""

_LEAST_BITS = 96
_ZLIB_BYTES = 8

Requires = Mapping[type[Message], str]
"""The permission that each message requires, as the routes say; `PUBLIC` is said too."""


class Unprotected(Diagnosed):
    """The service is not as it has to be in production."""

    code = "ATM058"


def refuse_unprotected(
    settings: Settings, requires: Requires, endpoints: Sequence[Endpoint], *, debug: bool
) -> None:
    """Raise `Unprotected` with every reason; only in the profile `production`."""
    if settings.profile != PROFILE:
        return
    reasons = [*_of_settings(settings, debug=debug), *_of_entrypoints(requires, endpoints)]
    if reasons:
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        raise Unprotected(f"This service does not start in production as it is:{listed}\n")


def _of_settings(settings: Settings, *, debug: bool) -> Iterator[str]:
    security, host = settings.security, settings.http.host
    if debug:
        yield "debug is on, and shows the inside of errors; serve without --dev, and unset FLASK_DEBUG."
    if not security.authentication and not is_loopback(host):
        yield f"it would listen on {host} without authentication; set security.authentication = true."
    if security.authentication and security.secret is None and settings.oidc.issuer is None:
        yield (
            "security.secret is missing, and so is oidc.issuer: for API keys, name a file with 32 random characters "
            "in ATOMOS_SECURITY__SECRET_FILE; for tokens of an identity provider, set oidc.issuer."
        )
    if settings.oidc.issuer is not None and oidc.lacks_libraries():
        yield "oidc.issuer is set, and its libraries are missing; run `pip install 'atomos-framework[oidc]'`."
    if settings.limits.storage is not None and limits.lacks_libraries():
        yield "limits.storage is set, and its library is missing; run `pip install 'atomos-framework[redis]'`."
    if everyone := [each for each in settings.http.trusted_proxies if not ip_network(each).prefixlen]:
        yield f"http.trusted_proxies has {', '.join(everyone)}, so that anyone may say who asks; name the proxies."
    if security.secret is not None and _bits(security.secret) < _LEAST_BITS:
        yield "security.secret can be guessed; take random characters, such as `openssl rand -base64 32` gives."


def _of_entrypoints(requires: Requires, endpoints: Sequence[Endpoint]) -> Iterator[str]:
    for each in endpoints:
        if each.message not in requires:
            yield (
                f"{each.method} {each.path} takes {each.message.__name__}, which anyone may send; "
                f"add a permission, or PUBLIC, to `requires` ({each.place})."
            )


def _bits(secret: str) -> float:
    """Estimate, by how often each character comes and by how well it can be compressed, whichever is less."""
    counts = Counter(secret).values()
    each = -sum(count * math.log2(count / len(secret)) for count in counts)
    return min(each, 8 * (len(zlib.compress(secret.encode(), 9)) - _ZLIB_BYTES))
