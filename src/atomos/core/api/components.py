"""What every OpenAPI document of Atomos shares: problems, headers, parameters, and how events are followed."""

from __future__ import annotations

from ..service.following import Progress
from .problems import KINDS, TYPE

FAILURES = (400, 401, 403, 404, 406, 422, 500, 503)
BODY_FAILURES = (413, 415)
EVENT_FAILURES = (409,)
VERSION_FAILURES = (412,)
_FOLLOW_FAILURES = {
    401: "Unauthorized",
    404: "NotFound",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}

TEXT = {"type": "string"}
_KINDS = f"{TYPE} and {', '.join(kind.slug for kind in KINDS.values())}, or the name of the HTTP status."
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "correlation_id"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "description": _KINDS,
        },
        "title": {**TEXT, "description": "The kind of problem, in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {**TEXT, "description": "What was wrong this time."},
        "instance": {
            "type": "string",
            "format": "uri-reference",
            "description": "The path that was asked for.",
        },
        "correlation_id": {
            "type": "string",
            "format": "uuid",
            "description": "The log knows the request by it.",
        },
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
_UUID = {"type": "string", "format": "uuid"}
CORRELATION = "X-Correlation-ID"
KEY = "Idempotency-Key"
MATCH, NONE_MATCH = "If-Match", "If-None-Match"
PREFER = "Prefer"
_TAGS = {**TEXT, "pattern": r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'}
PARAMETERS = {
    CORRELATION: {
        "description": "The conversation that the request belongs to; one is made where it is absent.",
        "schema": _UUID,
    },
    KEY: {
        "description": "A repeat with the same key gets the answer that the first request got.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!#-+\--~][!-+\--~]*$"},
    },
    PREFER: {
        "description": "With `respond-async` the event is stored, and its sender looks later what came of it.",
        "schema": {**TEXT, "enum": ["respond-async"]},
    },
    MATCH: {
        "description": "Tags of the versions that the request is meant for; with any other it is refused.",
        "schema": _TAGS,
        "example": '"7"',
    },
    NONE_MATCH: {
        "description": "Tags of what the sender has; it is not sent again.",
        "schema": _TAGS,
        "example": '"7"',
    },
}
HEADERS = {
    "Correlation": {"description": "The conversation that the request belongs to.", "schema": _UUID},
    "Location": {
        "description": "Where what was created can be read.",
        "schema": {**TEXT, "format": "uri-reference"},
    },
    "Next": {
        "description": 'Where the next page is, as rel="next"; absent on the last one.',
        "schema": TEXT,
    },
    "Tag": {
        "description": "The tag of the version that was answered, for `If-Match` and `If-None-Match`.",
        "schema": TEXT,
    },
    "Retry": {"description": "So many seconds later.", "schema": {"type": "integer", "minimum": 1}},
}


PROGRESS = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": _UUID,
        "state": {**TEXT, "enum": [each.value for each in Progress]},
        "result": {"description": "When it is done: what would have been answered at once."},
        "problem": {
            "description": "When it failed: why, as it would have been told at once.",
            "type": "object",
        },
    },
}
_LOOK_AGAIN = {name: {"$ref": f"#/components/headers/{of}"} for name, of in (("Retry-After", "Retry"),)}
ACCEPTED = {
    "description": "Stored, and handled later",
    "headers": {
        CORRELATION: {"$ref": "#/components/headers/Correlation"},
        "Location": {"description": "Where its progress is.", "schema": {**TEXT, "format": "uri-reference"}},
        "Preference-Applied": {"schema": {**TEXT, "const": "respond-async"}},
        **_LOOK_AGAIN,
    },
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Progress"}}},
}
FOLLOW = {
    "operationId": "atomos.show_message",
    "tags": ["messages"],
    "summary": "Say how far an event has come that its sender does not wait for.",
    "parameters": [{"name": "message_id", "in": "path", "required": True, "schema": _UUID}, CORRELATION],
    "responses": {
        "200": {
            "description": "OK",
            "headers": {CORRELATION: {"$ref": "#/components/headers/Correlation"}, **_LOOK_AGAIN},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Progress"}}},
        },
        **{
            str(status): {"$ref": f"#/components/responses/{name}"}
            for status, name in _FOLLOW_FAILURES.items()
        },
    },
}
