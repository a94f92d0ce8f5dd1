"""Answers are compressed for who asks for it (`Accept-Encoding: gzip`), where it is worth it."""

from __future__ import annotations

import gzip

from flask import Request, Response

SUFFIX = '-gzip"'
"""How the tag of a compressed answer ends: other bytes have another strong tag (RFC 9110)."""

_WORTH_BYTES = 1024
_LEVEL = 5


def compress(request: Request, response: Response) -> Response:
    """Compress an answer of a kilobyte and more, if its reader takes that."""
    if response.direct_passthrough or response.is_streamed or "Content-Encoding" in response.headers:
        return response
    body = response.get_data()
    if len(body) < _WORTH_BYTES:
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] <= 0:
        return response
    response.set_data(gzip.compress(body, _LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    if tag := response.headers.get("ETag"):
        response.headers["ETag"] = tag.removesuffix('"') + SUFFIX
    return response
