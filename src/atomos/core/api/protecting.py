"""Headers that keep browsers from doing more with an answer than reading it."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Request, Response

ALWAYS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer has, unless its view says something else."""

TLS_ONLY = ("Strict-Transport-Security", "max-age=63072000")
"""What an answer over TLS has besides: for two years only TLS."""

_KEPT = "private, no-cache"
_NOT_KEPT = "no-store"


def protect(request: Request, response: Response) -> None:
    """Add the headers; an answer without a tag is for nobody to keep, one with it is asked for again each time."""
    headers = response.headers
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)
    if "Cache-Control" not in headers:
        headers["Cache-Control"] = _KEPT if "ETag" in headers else _NOT_KEPT
    if request.environ["wsgi.url_scheme"] == "https":
        headers.setdefault(*TLS_ONLY)
