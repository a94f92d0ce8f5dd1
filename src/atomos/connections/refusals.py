"""What a client is told whose request never reaches the application: the same problems as everyone else's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import structlog
from gunicorn.http import errors as gunicorn
from werkzeug import exceptions as werkzeug

from atomos.core.api.problems import KINDS, MEDIA_TYPE, TYPE, Kind, kind_of
from atomos.core.service.envelope import new_id

from .arriving import MOST_HEAD_BYTES, CutOff, TooLarge


class TooSlow(Exception):
    """A request, or an answer, took too long on its way."""


class TooMuch(Exception):
    """More is on its way to this process than it takes."""


_MALFORMED = "This is no HTTP request that can be read: {}. Nothing was done."


def _malformed(how: str) -> werkzeug.HTTPException:
    return werkzeug.BadRequest(_MALFORMED.format(how))


_EARLY = _malformed("it ends too early")

REFUSALS: Mapping[type[Exception], werkzeug.HTTPException] = {
    gunicorn.LimitRequestLine: werkzeug.RequestURITooLarge(
        "The first line of the request is too long. Shorten the path or the query string."
    ),
    gunicorn.LimitRequestHeaders: werkzeug.RequestHeaderFieldsTooLarge(
        "There are too many header fields (more than 100), or too large ones (more than 8,190 bytes in one, "
        f"or {MOST_HEAD_BYTES:,} together)."
    ),
    gunicorn.ExpectationFailed: werkzeug.ExpectationFailed("The header Expect may only say 100-continue."),
    gunicorn.InvalidRequestLine: _malformed("its first line is none"),
    gunicorn.InvalidRequestMethod: _malformed("it has no method"),
    gunicorn.InvalidHTTPVersion: _malformed("its version is not HTTP/1.0 or HTTP/1.1"),
    gunicorn.InvalidHeaderName: _malformed("the name of a header field is none"),
    gunicorn.InvalidHeader: _malformed(
        "a header field is malformed, is given twice, contradicts another, or is missing (Host)"
    ),
    gunicorn.ObsoleteFolding: _malformed("a header field goes on in the next line"),
    # RFC 9112 would have 501. But nobody outside may cause what operators are woken up for.
    gunicorn.UnsupportedTransferCoding: _malformed("Transfer-Encoding may only say chunked"),
    gunicorn.InvalidChunkSize: _malformed("a chunk has no size"),
    gunicorn.InvalidChunkExtension: _malformed("the extension of a chunk is malformed"),
    gunicorn.ChunkMissingTerminator: _malformed("a chunk does not end where it says"),
    gunicorn.NoMoreData: _EARLY,
    gunicorn.ParseException: _malformed("it is malformed"),
    CutOff: _EARLY,
    TooLarge: werkzeug.RequestEntityTooLarge("The body is larger than this service takes."),
    TooSlow: werkzeug.RequestTimeout("The request took too long to arrive. Send it faster."),
    TooMuch: werkzeug.ServiceUnavailable(
        "Too much is on its way to this service just now. Send the request again a little later."
    ),
}
"""What is told of each thing that can be wrong with a request on its way; of anything else, that it was inside."""

_log = structlog.get_logger("atomos.connections")


def refusal(error: Exception) -> Kind:
    """Say how a request that failed on its way is told."""
    found = (REFUSALS[cls] for cls in type(error).__mro__ if cls in REFUSALS)
    told: Exception | None = next(found, None)
    if told is None:
        return KINDS[Exception]
    return kind_of(told)._replace(retry_after=1.0 if isinstance(error, TooMuch) else None)


def refuse(error: Exception, client: Any, *, with_body: bool = True) -> bytes:
    """Note that a request failed on its way, and write what its sender is told; the connection is closed then.

    The answer to a HEAD is to be `with_body=False`: it says how long the body would be, and has none.
    """
    kind, correlation_id = refusal(error), new_id()
    address = client[0] if isinstance(client, tuple) else None
    if kind.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("http.failed", correlation_id=correlation_id, method="", route="", exc_info=error)
    else:
        # Not what was sent: it may be a secret, or what somebody wants to read in a log.
        _log.info(
            "http.refused", kind=kind.slug, status=kind.status, address=address, correlation_id=correlation_id
        )
    head, body = _written(kind, correlation_id)
    return head + body if with_body else head


def _written(kind: Kind, correlation_id: str) -> tuple[bytes, bytes]:
    problem = {
        "type": TYPE + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "correlation_id": correlation_id,
    }
    body = json.dumps(problem).encode()
    fields = [
        f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        f"X-Correlation-ID: {correlation_id}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    if kind.retry_after is not None:
        fields.append(f"Retry-After: {math.ceil(kind.retry_after)}")
    return "\r\n".join(fields).encode() + b"\r\n\r\n", body
