"""Errors as problems: RFC 9457 documents, from one table of kinds of error."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

import structlog
from flask import Response, current_app, got_request_exception, request
from werkzeug.exceptions import HTTPException

from ..domain.errors import AtomosError, Contradiction, DomainError, InvalidMessage, NotFound, RuleBroken
from ..service.concealing import concealed
from ..service.credentials import Unauthenticated
from ..service.errors import Conflict, InFlight, NotPermitted, Outdated, Reused
from ..service.limits import TooMany
from ..service.ports import Unavailable
from .emitting import correlation_id, known_name
from .security import Refused

MEDIA_TYPE = "application/problem+json"
"""What a problem calls itself."""

TYPE = "urn:atomos:problem:"
"""What every problem's `type` begins with; the kind's slug follows, or that of the HTTP status."""


class Kind(NamedTuple):
    """How one kind of error is told: `detail` is the sentence, None where the error speaks for itself.

    `retry_after` is in seconds, None where trying again does not help; an error's own comes first.
    """

    slug: str
    status: int
    title: str
    detail: str | None = None
    retry_after: float | None = None


KINDS: Mapping[type[Exception], Kind] = {
    NotFound: Kind("not-found", 404, "Not Found"),
    Contradiction: Kind("contradiction", 409, "Contradicts what is recorded"),
    RuleBroken: Kind("rule-broken", 422, "A rule does not allow it"),
    DomainError: Kind("refused", 422, "Refused"),
    InvalidMessage: Kind(
        "invalid",
        422,
        "Not as it should be",
        "Something in the request is not as it should be: `errors` says what.",
    ),
    Unauthenticated: Kind("unauthenticated", 401, "Credentials needed"),
    NotPermitted: Kind("not-permitted", 403, "Not permitted"),
    Conflict: Kind(
        "conflict",
        409,
        "Conflict",
        "Others changed the same thing each time. Send the request again.",
        1.0,
    ),
    InFlight: Kind(
        "in-flight",
        409,
        "Still in progress",
        "A request with this Idempotency-Key is still in progress. Send it again a little later.",
        1.0,
    ),
    Outdated: Kind(
        "outdated",
        412,
        "Another version",
        "What is to be changed has another version than the header If-Match names. "
        "Read it again, and send the change with the version that was read.",
    ),
    Reused: Kind(
        "reused",
        422,
        "Idempotency-Key used before",
        "A request with this Idempotency-Key was carried out before, with another content. "
        "Repeat it unchanged, or use a new key.",
    ),
    TooMany: Kind("too-many-requests", 429, "Too Many Requests", retry_after=1.0),
    Unavailable: Kind(
        "unavailable",
        503,
        "Not available just now",
        "Something that is needed is not there just now. Send the request again a little later.",
        1.0,
    ),
    Exception: Kind(
        "internal",
        500,
        "Internal error",
        "Something went wrong inside. The log has it under the correlation id.",
    ),
}
"""The one table of kinds of error; an error is told as the first of its classes that is here."""

_REFUSED_LEVELS = {401: logging.WARNING, 403: logging.WARNING, 429: logging.WARNING}
"""How loudly it is said that a request was refused, by status; any other is `INFO`."""

_MOST_ERRORS = 100
"""So many fields of one request are told what is wrong with them; whoever mends those is told of the others."""

_log = structlog.get_logger()


def kind_of(error: Exception) -> Kind:
    """Say how an error is told."""
    if isinstance(error, HTTPException) and error.code not in (None, HTTPStatus.INTERNAL_SERVER_ERROR):
        slug = "-".join(re.findall("[a-z]+", error.name.lower()))
        inside = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
        return Kind(slug, error.code, error.name, KINDS[Exception].detail if inside else error.description)
    return next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)


def problem(kind: Kind, detail: str | None = None, headers: Any = (), **more: Any) -> Response:
    """Make a problem of this request; `more` are extension members."""
    members = {
        "type": TYPE + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": detail or kind.detail or kind.title,
        "instance": quote(request.path),
        "correlation_id": correlation_id(),
        **more,
    }
    # The standard library's, because it writes any text, also one that UTF-8 cannot.
    return Response(json.dumps(members), kind.status, list(headers), content_type=MEDIA_TYPE)


def answer_with_problem(error: Exception) -> Any:
    """Answer a request that failed: the error handler of Flask for everything."""
    if isinstance(error, HTTPException) and (error.response is not None or not _is_failure(error)):
        return error
    kind = kind_of(error)
    if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _report(kind, error)
    elif getattr(error, "is_first", True):
        _note_refusal(kind)
    return problem(kind, _said(kind, error), _headers(kind, error), **_members(kind, error))


def _is_failure(error: HTTPException) -> bool:
    return error.code is None or error.code >= HTTPStatus.BAD_REQUEST


def _report(kind: Kind, error: Exception) -> None:
    inner = getattr(error, "original_exception", None) or error
    if kind.status == HTTPStatus.INTERNAL_SERVER_ERROR and inner is error:
        # Flask does this for errors that nobody handles; debuggers and error trackers rely on it.
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
        if app.debug:
            raise error
    action = "http.failed" if kind.slug == "internal" else f"http.{kind.slug}"
    # The rule and not the path, which may name people.
    _log.error(
        action,
        correlation_id=correlation_id(),
        method=request.method,
        route=str(request.url_rule or ""),
        exc_info=inner,
    )


def _note_refusal(kind: Kind) -> None:
    # Neither what was sent nor the path: both may name people, or be what somebody wants to read in a log.
    _log.log(
        _REFUSED_LEVELS.get(kind.status, logging.INFO),
        "http.refused",
        kind=kind.slug,
        status=kind.status,
        method=request.method,
        route=str(request.url_rule or ""),
        principal=known_name(),
        address=request.remote_addr,
        correlation_id=correlation_id(),
    )


def _said(kind: Kind, error: Exception) -> str | None:
    if kind.detail is not None:
        return kind.detail
    code = getattr(error, "code", None)
    return concealed(str(error).removeprefix(f"{code}: "), error)


def _headers(kind: Kind, error: Exception) -> list[tuple[str, str]]:
    headers = []
    if isinstance(error, HTTPException) and _is_told(kind):
        headers = [(name, value) for name, value in error.get_headers() if name.lower() != "content-type"]
    if isinstance(error, Refused):
        headers.append(("WWW-Authenticate", error.challenge))
    if kind.retry_after is not None:
        seconds = getattr(error, "retry_after", kind.retry_after)
        headers.append(("Retry-After", str(max(1, math.ceil(seconds)))))
    return headers


def _members(kind: Kind, error: Exception) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if isinstance(error, AtomosError) and error.code and _is_told(kind):
        members["code"] = error.code
    if isinstance(error, InvalidMessage):
        members["errors"] = [
            {"pointer": each.pointer, "detail": concealed(each.detail, error)}
            for each in error.problems[:_MOST_ERRORS]
        ]
    return members


def _is_told(kind: Kind) -> bool:
    return kind.slug != "internal"
