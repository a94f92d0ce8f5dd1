"""Which pages of other origins may read answers (CORS): none, unless they are named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from flask import Flask
from flask_cors import CORS

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SENT = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Prefer",
    "X-Correlation-ID",
    "traceparent",
)
_READ = (
    "Allow",
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "Retry-After",
    "WWW-Authenticate",
    "X-Correlation-ID",
)


EVERY = "*"
"""The origin that is every one."""


class Sharing(NamedTuple):
    """The `origins` whose pages may send requests and read answers; `*` is every one.

    A browser asks again what it may after `max_age` seconds.
    """

    origins: Sequence[str] = ()
    max_age: float = 600.0


NO_OTHERS = Sharing()
"""No page of another origin."""


def share(app: Flask, sharing: Sharing) -> None:
    """Tell browsers what pages of other origins may do. Cookies are nothing to Atomos, so none are let through."""
    if sharing.origins:
        CORS(
            app,
            origins=[_whole(each) for each in sharing.origins],
            methods=list(_METHODS),
            allow_headers=list(_SENT),
            expose_headers=list(_READ),
            max_age=int(sharing.max_age),
            supports_credentials=False,
            send_wildcard=True,
        )


def _whole(origin: str) -> str | re.Pattern[str]:
    # Of a text with brackets, as an IPv6 address has them, flask-cors makes a pattern of its own, without an end.
    return origin if origin == EVERY else re.compile(re.escape(origin) + r"\Z")
