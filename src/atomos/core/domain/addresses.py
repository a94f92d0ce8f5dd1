"""Which addresses can be trusted: those of this machine, and those that TLS protects on the way."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that nobody else can listen."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def peer_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read the address of a peer; one of IPv4 that came by way of IPv6 is what it was. None: it is no address."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def is_protected(url: str) -> bool:
    """Whether what a URL gives cannot be changed on the way: https, or http to this machine; and no password in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if (
        not url.isascii()
        or not url.isprintable()
        or " " in url
        or not host
        or port == 0
        or "@" in parts.netloc
    ):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
