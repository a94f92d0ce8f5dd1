"""Messages as they come from RabbitMQ: properties, headers and a body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import amqp

from ....service.messaging import NO_HEADERS, WireMessage

KEY = "atomos-key"
"""The header that carries a message's key."""

_OF_THE_SERVER = frozenset({"x-delivery-count", "x-acquired-count"})


def incoming(message: amqp.Message) -> WireMessage:
    """Read a message, whoever wrote it: what is no text in its headers becomes one, or is left out."""
    said = message.properties
    headers = _texts(said.get("application_headers") or {})
    key = headers.pop(KEY, None)
    body = message.body
    return WireMessage(
        body if isinstance(body, bytes) else str(body).encode(),
        said.get("content_type"),
        headers or NO_HEADERS,
        said.get("message_id"),
        key,
    )


def _texts(headers: Mapping[Any, Any]) -> dict[str, str]:
    texts = ((str(name).lower(), _text(value)) for name, value in headers.items())
    return {name: text for name, text in texts if text is not None and name not in _OF_THE_SERVER}


def _text(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case bytes():
            return value.decode("utf-8", "replace")
        case datetime():
            return f"{value.isoformat()}Z"
        case None | dict() | list():
            return None
        case _:
            return str(value)
