"""Messages as RabbitMQ carries them: properties, headers and a body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import amqp

from ....service.messaging import NO_HEADERS, WireMessage

KEY = "atomos-key"
"""The header that carries a message's key."""

_PERSISTENT = 2
_OF_THE_SERVER = frozenset({"x-delivery-count", "x-acquired-count"})


def outgoing(message: WireMessage) -> amqp.Message:
    """Write a message, to be kept on the disk."""
    said: dict[str, Any] = {"body": message.body, "delivery_mode": _PERSISTENT}
    headers = dict(message.headers)
    if message.key is not None:
        headers[KEY] = message.key
    if headers:
        said["application_headers"] = headers
    if message.content_type is not None:
        said["content_type"] = message.content_type
    if message.id is not None:
        said["message_id"] = message.id
    return amqp.Message(**said)


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


def size_of_headers(message: WireMessage) -> int:
    """Say how many bytes the headers take: they have to fit into one frame."""
    texts = [*message.headers, *message.headers.values(), message.key or ""]
    # Nine stand around a name and its value.
    return sum(len(each.encode("utf-8", "surrogatepass")) + 9 for each in texts)


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
