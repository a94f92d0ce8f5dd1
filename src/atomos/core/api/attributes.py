"""The attributes of CloudEvents as schemas: as this service writes them, or as it takes them from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ID = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"
_BEGAN = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d00"
_CAUSE = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d01"
_TIME = "2026-01-31T12:30:00.000000Z"
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 500}
_UUID: Mapping[str, Any] = {"type": "string", "format": "uuid"}
_VERSION: Mapping[str, Any] = {"type": "string", "const": "1.0", "description": "Of CloudEvents."}
_MOMENT: Mapping[str, Any] = {"type": "string", "format": "date-time", "examples": [_TIME]}
_KEY = "Events that have the same are kept in order; without one it is kept in none."
_TRACED: Mapping[str, Any] = {
    "type": "string",
    "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "examples": [_TRACE],
}


def attributes_written(type_: str, source: str | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Give what is always written of an event of this type, and the schema of each attribute, by name.

    `source` is who publishes it, None where that is not known.
    """
    publisher = {"type": "string", "const": source} if source else {**_TEXT, "format": "uri-reference"}
    return ("specversion", "id", "source", "type", "time", "correlationid"), {
        "specversion": _VERSION,
        "id": {**_UUID, "description": "The message's id: a repeat has the same.", "examples": [_ID]},
        "source": {**publisher, "description": "Who publishes it."},
        "type": {
            "type": "string",
            "const": type_,
            "description": "The event's name, with its version from 2 on.",
        },
        "time": {**_MOMENT, "description": "When it was recorded, in UTC."},
        "partitionkey": {**_TEXT, "description": _KEY},
        "correlationid": {
            **_TEXT,
            "description": "The conversation that it belongs to: the id of the message that began it, or the one made "
            "of what its sender called it.",
            "examples": [_BEGAN],
        },
        "causationid": {
            **_TEXT,
            "description": "The id of the message that led to it; without one it is the first.",
            "examples": [_CAUSE],
        },
        "traceparent": {
            **_TRACED,
            "description": "The trace that it belongs to (W3C Trace Context), where there is one.",
        },
    }


def attributes_taken(type_: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Give what an event of this type must have to be taken from others, and the schema of each attribute."""
    return ("specversion", "id", "source", "type"), {
        "specversion": _VERSION,
        "id": {
            **_TEXT,
            "description": "With the source it tells the event from every other: a repeat of both is dropped.",
            "examples": [_ID],
        },
        "source": {
            **_TEXT,
            "format": "uri-reference",
            "description": "Who publishes it.",
            "examples": ["/somewhere"],
        },
        "type": {
            "type": "string",
            "const": type_,
            "description": "The event's name, with its version from 2 on; older ones are read, too.",
        },
        "time": {**_MOMENT, "description": "When it happened; nothing is made of it."},
        "partitionkey": {**_TEXT, "description": _KEY},
        "correlationid": {
            **_TEXT,
            "description": "The conversation that it belongs to, which goes on here: a UUID as it is, another text as "
            "the UUID that is made of it. Without one a new one begins.",
            "examples": [_BEGAN],
        },
        "causationid": {
            "type": "string",
            "description": "The id of the message that led to it; nothing is made of it.",
            "examples": [_CAUSE],
        },
        "traceparent": {
            "type": "string",
            "description": "The trace that it belongs to (W3C Trace Context), which goes on here; what is none is "
            "ignored.",
            "examples": [_TRACE],
        },
    }
