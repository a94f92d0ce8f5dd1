"""What a service refuses to start with, most of it in production only: one report of all reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from atomos.core.adapters import limits, oidc
from atomos.core.api.endpoints import Endpoint
from atomos.core.domain import Message
from atomos.core.domain.addresses import is_loopback
from atomos.core.service.diagnostics import Diagnosed
from atomos.secrecy import can_be_guessed
from atomos.settings import Settings

PROFILE = "production"
"""The profile whose services are refused for every reason."""

Requires = Mapping[type[Message], str]
"""The permission that each message requires, as the routes say; `PUBLIC` is said too."""


class Unprotected(Diagnosed):
    """The service is open to others as it may not be."""

    code = "ATM058"


def refuse_unprotected(
    settings: Settings, requires: Requires, endpoints: Sequence[Endpoint], *, debug: bool
) -> None:
    """Raise `Unprotected` with every reason; in other profiles than `production`, only where others could reach it."""
    reasons = list(_of_the_network(settings))
    if settings.profile == PROFILE:
        reasons += [*_of_settings(settings, debug=debug), *_of_entrypoints(requires, endpoints)]
    if reasons:
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        raise Unprotected(f"This service does not start in {settings.profile} as it is:{listed}\n")


def _of_the_network(settings: Settings) -> Iterator[str]:
    if not settings.security.authentication and not is_loopback(host := settings.http.host):
        yield f"it would listen on {host} without authentication; set security.authentication = true."


def _of_settings(settings: Settings, *, debug: bool) -> Iterator[str]:
    security = settings.security
    if debug:
        yield "debug is on, and shows the inside of errors; serve without --dev, and unset FLASK_DEBUG."
    if security.authentication and security.secret is None and settings.oidc.issuer is None:
        yield (
            "security.secret is missing, and so is oidc.issuer: for API keys, name a file with 32 random characters "
            "in ATOMOS_SECURITY__SECRET_FILE; for tokens of an identity provider, set oidc.issuer."
        )
    if settings.oidc.issuer is not None and oidc.lacks_libraries():
        yield "oidc.issuer is set, and its libraries are missing; run `pip install 'atomos-framework[oidc]'`."
    if settings.limits.storage is not None and limits.lacks_libraries():
        yield "limits.storage is set, and its library is missing; run `pip install 'atomos-framework[redis]'`."
    if settings.http.trusted_proxies and not security.authentication:
        yield (
            "http.trusted_proxies are set, so that others reach it, and it has no authentication; "
            "set security.authentication = true."
        )
    if _is_everyone(settings.http.trusted_proxies):
        yield "http.trusted_proxies are all addresses, so that anyone may say who asks; name the proxies."
    if security.secret is not None and can_be_guessed(security.secret):
        yield "security.secret can be guessed; take random characters, such as `openssl rand -base64 32` gives."


def _is_everyone(proxies: Sequence[str]) -> bool:
    known = [ip_network(each) for each in proxies]
    four = collapse_addresses(each for each in known if isinstance(each, IPv4Network))
    six = collapse_addresses(each for each in known if isinstance(each, IPv6Network))
    return any(not each.prefixlen for each in four) or any(not each.prefixlen for each in six)


def _of_entrypoints(requires: Requires, endpoints: Sequence[Endpoint]) -> Iterator[str]:
    for each in endpoints:
        if each.message not in requires:
            yield (
                f"{each.method} {each.path} takes {each.message.__name__}, which anyone may send; "
                f"add a permission, or PUBLIC, to `requires` ({each.place})."
            )
