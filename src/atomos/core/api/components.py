"""What every OpenAPI document of Atomos shares: problems, headers, parameters, and how events are followed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..service.following import OPERATOR, Progress
from .later import ENDPOINT
from .problems import KINDS, TYPE

CORRELATION = "X-Correlation-ID"
TRACE = "traceparent"
KEY = "Idempotency-Key"
MATCH, NONE_MATCH = "If-Match", "If-None-Match"
PREFER = "Prefer"

CONTENT_HEADERS = ("Vary", "Content-Encoding")
"""What responses with a body may have besides."""

EXAMPLE_ID = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"
"""The id of every example."""

Definitions = Mapping[str, Mapping[str, Any]]


def reference(section: str, name: str) -> dict[str, str]:
    """Refer to a component."""
    return {"$ref": f"#/components/{section}/{name}"}


def headers(*names: str) -> dict[str, dict[str, str]]:
    """Refer to headers of a response."""
    return {name: reference("headers", name) for name in names}


TEXT = {"type": "string"}
_UUID = {"type": "string", "format": "uuid"}
_WHERE = {**TEXT, "format": "uri-reference"}
_TAGS = {**TEXT, "pattern": r'^\s*(\*|(W/)?"[!#-~]*"(\s*,\s*(W/)?"[!#-~]*")*)\s*$'}
_BARE_KEY = "[!#-+.-~-][!-+.-~-]{0,254}"
_QUOTED_KEY = r'"([!#-\[\]-~]|\\["\\]){1,255}"'

PARAMETERS: Definitions = {
    CORRELATION: {
        "description": "The conversation that the request belongs to; one is made where it is absent.",
        "schema": _UUID,
    },
    TRACE: {
        "description": "The trace that the request belongs to (W3C Trace Context). What is no trace is ignored.",
        "schema": TEXT,
    },
    KEY: {
        "description": "A repeat with the same key gets the answer that the first request got.",
        "schema": {**TEXT, "maxLength": 512, "pattern": f"^({_BARE_KEY}|{_QUOTED_KEY})$"},
    },
    PREFER: {
        "description": "With `respond-async` the event is stored, and its sender looks later what came of it. "
        "Other preferences are ignored.",
        "schema": TEXT,
    },
    MATCH: {
        "description": "Tags of the versions that the request is meant for; with any other it is refused.",
        "schema": _TAGS,
    },
    NONE_MATCH: {
        "description": "Tags of what the sender has; it is not sent again.",
        "schema": _TAGS,
    },
}
"""The headers of requests."""

HEADERS: Definitions = {
    CORRELATION: {
        "description": "The conversation that the request belongs to.",
        "required": True,
        "schema": _UUID,
    },
    "Location": {
        "description": "Where what was created can be read, or how far an event has come.",
        "required": True,
        "schema": _WHERE,
    },
    "Link": {
        "description": 'Where the next page is, as rel="next"; absent on the last one.',
        "schema": {**TEXT, "pattern": '^<.+>; rel="next"$'},
    },
    "ETag": {
        "description": "The tag of the version that was answered, for `If-Match` and `If-None-Match`.",
        "schema": {**TEXT, "pattern": '^"[!#-~]+"$'},
    },
    "Retry-After": {
        "description": "After so many seconds it is worth to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "Which credentials are taken.", "required": True, "schema": TEXT},
    "Preference-Applied": {
        "description": "Which preference was followed.",
        "required": True,
        "schema": {**TEXT, "const": "respond-async"},
    },
    "Vary": {"description": "Which headers the answer depends on.", "schema": TEXT},
    "Content-Encoding": {
        "description": "A kilobyte and more is compressed for who asks for it with `Accept-Encoding: gzip`.",
        "schema": {**TEXT, "const": "gzip"},
    },
}
"""The headers of responses."""

_KINDS = f"{TYPE} and {', '.join(kind.slug for kind in KINDS.values())}, or the name of the HTTP status."
_KIND_OF_PROBLEM = {
    "type": {**TEXT, "format": "uri", "description": _KINDS},
    "title": {**TEXT, "description": "The kind of problem, in words."},
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "detail": {**TEXT, "description": "What was wrong this time."},
}
_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": [*_KIND_OF_PROBLEM, "correlation_id"],
    "properties": {
        **_KIND_OF_PROBLEM,
        "instance": {**_WHERE, "description": "The path that was asked for, if it could be read."},
        "correlation_id": {**_UUID, "description": "The log knows the request by it."},
        "code": {**TEXT, "description": "The diagnostic's code, such as ATM042, where there is one."},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {**TEXT, "format": "json-pointer"}, "detail": TEXT},
            },
        },
    },
}
_PROGRESS = {
    "type": "object",
    "description": "How far an event has come that its sender does not wait for.",
    "required": ["id", "state"],
    "properties": {
        "id": _UUID,
        "state": {**TEXT, "enum": [each.value for each in Progress]},
        "result": {"description": "When it is done: what would have been answered at once."},
        "problem": {
            "description": "When it failed: why, as it would have been told at once.",
            "type": "object",
            "required": [*_KIND_OF_PROBLEM],
            "properties": _KIND_OF_PROBLEM,
        },
    },
}

SCHEMAS: Definitions = {"Problem": _PROBLEM, "Progress": _PROGRESS}
"""The schemas that no message declares."""

_PROGRESS_CONTENT = {"application/json": {"schema": reference("schemas", "Progress")}}

ACCEPTED = {
    "description": "Stored, and handled later",
    "headers": headers(CORRELATION, "Location", "Preference-Applied", "Retry-After"),
    "content": _PROGRESS_CONTENT,
    "links": {
        "progress": {
            "operationId": ENDPOINT,
            "parameters": {"message_id": "$response.body#/id"},
            "description": "How far it has come.",
        }
    },
}
"""The response to who does not wait."""

FOLLOW_PATH = "/messages/{message_id}"
FOLLOW_FAILURES = (400, 401, 404, 408, 413, 414, 417, 429, 431, 500, 503)
FOLLOW_TAG = {
    "name": "messages",
    "description": "How far events have come that their senders do not wait for.",
}
FOLLOW: Mapping[str, Any] = {
    "operationId": ENDPOINT,
    "tags": [FOLLOW_TAG["name"]],
    "summary": "Say how far an event has come that its sender does not wait for.",
    "description": f"Whoever sent it may know, and who has `{OPERATOR}`; for all others there is no such message.",
    "parameters": [{"name": "message_id", "in": "path", "required": True, "schema": _UUID}, CORRELATION],
    "responses": {
        "200": {
            "description": "OK",
            "headers": headers(CORRELATION, *CONTENT_HEADERS, "Retry-After"),
            "content": _PROGRESS_CONTENT,
        }
    },
}
"""The operation that shows how far an event has come; its failures come besides."""
