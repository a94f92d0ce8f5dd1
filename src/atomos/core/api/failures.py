"""Which failures an operation can have, and how a document tells each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

from .components import CONTENT_HEADERS, CORRELATION, EXAMPLE_ID, headers, reference
from .placing import Placed
from .problems import KINDS, MEDIA_TYPE, TYPE, Kind

Rule = Callable[[Placed], bool]
"""Whether an operation can fail in some way."""


def _always(_: Placed) -> bool:
    return True


def _emits(placed: Placed) -> bool:
    return placed.endpoint.emits


def _has_body(placed: Placed) -> bool:
    return placed.endpoint.has_body


FAILURES: Mapping[int, Rule] = {
    400: _always,  # headers, the query string
    401: _always,  # credentials that are not accepted are refused where none are needed, too
    403: lambda placed: bool(placed.permission),
    404: lambda placed: bool(placed.endpoint.variables),
    406: _always,
    408: _always,  # as 414, 417 and 431 it is the server's, before anything of ours is asked
    409: _emits,
    412: _always,  # of an answer without a version, `If-Match` can only be wrong
    413: _always,  # whatever announces a body that is too large is refused before anyone looks where it goes
    414: _always,
    415: _has_body,
    417: _always,
    422: _always,
    429: _always,  # a document may be made where limits are off
    431: _always,
    500: _always,
    503: _always,
}
"""The one table of failures; what an author says with `raises` comes besides."""

_HEADERS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

_SAID: Mapping[int, str] = {
    400: "The header X-Correlation-ID has to be one UUID.",
    406: "The answer is application/json, which the header Accept rules out.",
    413: "The data value transmitted exceeds the capacity limit.",
    415: "The body has to be JSON, sent with Content-Type: application/json.",
}
_ERRORS = {"errors": [{"pointer": "/quantity", "detail": "must be at least 1, is 0"}]}


def failures(placed: Placed) -> dict[str, dict[str, str]]:
    """Give the failures of an operation by status, each a reference to what all share."""
    raised = _raised(placed)
    statuses = {status for status, can in FAILURES.items() if can(placed)} | raised.keys()
    return {str(status): _shared(status, raised.get(status, [])) for status in sorted(statuses)}


def responses() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every failure that operations refer to, with its name."""
    for status in sorted({*FAILURES, *(kind.status for kind in KINDS.values())}):
        yield _name(status), _response(status)


def failure(status: int) -> dict[str, str]:
    """Refer to a failure."""
    return reference("responses", _name(status))


def _raised(placed: Placed) -> dict[int, list[str]]:
    raised: dict[int, list[str]] = {}
    for error in placed.endpoint.raises:
        kind = next(KINDS[cls] for cls in error.__mro__ if cls in KINDS)
        raised.setdefault(kind.status, []).append(
            (error.__doc__ or error.__name__).strip().partition("\n")[0]
        )
    return raised


def _shared(status: int, sentences: list[str]) -> dict[str, str]:
    return {**failure(status), **({"description": " ".join(sentences)} if sentences else {})}


def _name(status: int) -> str:
    # Werkzeug's phrases and not Python's, which are others from one version to the next.
    return re.sub("[^A-Za-z]", "", HTTP_STATUS_CODES[status].title())


def _response(status: int) -> dict[str, Any]:
    names = (CORRELATION, *CONTENT_HEADERS, *_HEADERS.get(status, ()))
    schema = reference("schemas", "Problem")
    return {
        "description": HTTP_STATUS_CODES[status],
        "headers": headers(*names),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": dict(_examples(status))}},
    }


def _examples(status: int) -> Iterator[tuple[str, Any]]:
    kinds = [kind for kind in KINDS.values() if kind.status == status] or [_of_http(status)]
    for kind in kinds:
        yield kind.slug, {"summary": kind.title, "value": _example(kind)}


def _of_http(status: int) -> Kind:
    phrase = HTTP_STATUS_CODES[status]
    return Kind("-".join(re.findall("[a-z]+", phrase.lower())), status, phrase, _SAID.get(status))


def _example(kind: Kind) -> dict[str, Any]:
    return {
        "type": TYPE + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail or kind.title,
        "instance": "/",
        "correlation_id": EXAMPLE_ID,
        **(_ERRORS if kind.slug == "invalid" else {}),
    }
