"""What stands before every request: which hosts are answered, and how often anyone may ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from typing import NamedTuple

from flask import Flask, request
from werkzeug.exceptions import SecurityError
from werkzeug.sansio.utils import host_is_trusted

from ..domain.addresses import peer_address
from ..service.limits import Limit
from ..service.ports import Unavailable
from .emitting import principal
from .security import Refused
from .sharing import NO_OTHERS, Sharing

PROBES = frozenset(("atomos.live", "atomos.ready"))
"""The endpoints that are answered under any name and counted for nobody: what looks after processes asks them."""

_NETWORK_BITS = 64
_ANYWHERE = (
    "The header Host names none of the hosts that this service is reached at. "
    "Send the request to one of those, or add this one to http.allowed_hosts."
)


class Exposure(NamedTuple):
    """How a service is exposed.

    `hosts` are the names in `Host` that are answered, `.example.org` with all below it; none: any. `by_principal`
    counts requests with accepted credentials, `by_address` all others; None: as many as they like. `sharing` says
    which other origins' pages may read answers.
    """

    hosts: Sequence[str] = ()
    by_principal: Limit | None = None
    by_address: Limit | None = None
    sharing: Sharing = NO_OTHERS


INSIDE = Exposure()
"""Answers to any name, as often as anyone asks, and to no page of another origin."""


def admit_by(app: Flask, exposure: Exposure, is_ours: Callable[[], bool]) -> None:
    """Have an application look at each request that `is_ours` before its view does.

    A request to another host is 400, and one too many is 429.
    """
    hosts, limited = list(exposure.hosts), exposure.by_principal or exposure.by_address
    if not hosts and not limited:
        return

    @app.before_request
    def admit() -> None:
        if request.endpoint in PROBES or not is_ours():
            return
        if hosts and not host_is_trusted(request.environ.get("HTTP_HOST"), hosts):
            raise SecurityError(_ANYWHERE)
        if limited and not _is_preflight():
            _count(exposure)


def _is_preflight() -> bool:
    # It is the browser's own, which comes before each request that a page may send.
    return request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.environ


def _count(exposure: Exposure) -> None:
    if "HTTP_AUTHORIZATION" in request.environ:
        try:
            who = principal().name
        except (Refused, Unavailable):
            pass  # told by whoever needs to know who asks; here it is an address that asks
        else:
            if exposure.by_principal is not None:
                exposure.by_principal.add(who)
            return
    if exposure.by_address is not None:
        exposure.by_address.add(_counted_as(request.remote_addr or ""))


@lru_cache(maxsize=4096)
def _counted_as(address: str) -> str:
    # One customer of a provider has a whole network of IPv6 addresses to choose from.
    known = peer_address(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((int(known), _NETWORK_BITS), strict=False))
    return address if known is None else str(known)
