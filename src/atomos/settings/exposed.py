"""Sections `[limits]` and `[cors]`: what anyone outside may do with a service, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated

from .kinds import CountsUrl, Form, Hourly, Rate
from .showing import without_secrets

_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_ADDRESS = r"\[[0-9a-f:.]+\]"
_HOST = rf"\.?{_NAME}|{_ADDRESS}"
_ORIGIN = rf"\*|https?://({_NAME}|{_ADDRESS})(:[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Each:
    """A list whose every entry has a form."""

    form: Form

    def problem(self, value: Sequence[str]) -> str | None:
        """Say which entry has another form, or None."""
        wrong = next((each for each in value if self.form.problem(each)), None)
        return wrong and f"must be a list, each entry {self.form.said}; {wrong!r} is not"


@dataclass(frozen=True, slots=True)
class Networks:
    """A list of addresses and networks of them."""

    def problem(self, value: Sequence[str]) -> str | None:
        """Say which entry is none, or None."""
        for each in value:
            try:
                ip_network(each)
            except ValueError as error:
                return f"must be a list of addresses and networks, such as 10.0.0.0/8: {error}"
        return None


Hosts = Annotated[
    tuple[str, ...],
    Each(Form("a host's name in lower case without a port, or .NAME for all below it", _HOST)),
]
"""Names that a service is reached under."""

Proxies = Annotated[tuple[str, ...], Networks()]
"""Addresses of proxies."""

Origins = Annotated[tuple[str, ...], Each(Form("https://HOST or https://HOST:PORT, or *", _ORIGIN))]
"""Origins of web pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsSettings:
    """Section `[limits]`: how often anyone may ask; past it requests are 429 until the window ends.

    A rate is a number and a time, `600/minute`: one of second, minute, hour and day. A window begins with the first
    request in it.
    """

    principal: Rate | None = None
    """Requests of one principal. None, the default: as many as it likes."""

    address: Rate | None = None
    """Requests without accepted credentials from one address, or from one /64 of IPv6. None: as many as it likes."""

    storage: CountsUrl | None = None
    """Where is counted: `redis://...`, for all processes together; needs the extra `redis`. None, the default: in
    each process for itself."""

    def __repr__(self) -> str:
        return without_secrets(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsSettings:
    """Section `[cors]`: which web pages of other origins may send requests and read answers. Cookies are never used."""

    origins: Origins = ()
    """`https://HOST`, as browsers say it in `Origin`; `*` is every page. None of them by default: CORS is off."""

    max_age: Hourly = 600.0
    """Seconds for which a browser need not ask again what it may; zero: it asks each time."""
