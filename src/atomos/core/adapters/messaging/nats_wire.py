"""Messages as NATS carries them: headers, and texts that a header would not keep."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

from ...service.messaging import WireMessage

CONTENT_TYPE, KEY, ID = "content-type", "atomos-key", "Nats-Msg-Id"
QUOTED = "atomos-quoted"
"""The header that names those whose texts are percent-encoded, because NATS would have changed them."""

_FRAME = len("NATS/1.0\r\n\r\n")
_LINE = len(": \r\n")
_OWN = "nats-"


def headers_of(message: WireMessage) -> dict[str, str]:
    """Give the headers of a message: its own as they are, and `content-type`, `atomos-key` and `Nats-Msg-Id`."""
    named = {CONTENT_TYPE: message.content_type, KEY: message.key, ID: message.id}
    headers = {**message.headers, **{name: text for name, text in named.items() if text is not None}}
    if odd := [name for name, text in headers.items() if not _survives(text)]:
        headers |= {name: quote(headers[name], safe="") for name in odd}
        headers[QUOTED] = ",".join(odd)
    return headers


def size_of(body: bytes, headers: Mapping[str, str]) -> int:
    """Give the bytes that the server counts for a message."""
    lines = sum(len(name.encode()) + len(text.encode()) + _LINE for name, text in headers.items())
    return len(body) + (_FRAME + lines if headers else 0)


def message_of(body: bytes, headers: Mapping[str, str] | None) -> WireMessage:
    """Read a message; what the server added is left out."""
    texts = {str(name).lower(): text for name, text in (headers or {}).items()}
    for name in texts.pop(QUOTED, "").lower().split(","):
        if name in texts:
            texts[name] = unquote(texts[name])
    content_type, key, message_id = (texts.pop(each.lower(), None) for each in (CONTENT_TYPE, KEY, ID))
    own = {name: text for name, text in texts.items() if not name.startswith(_OWN)}
    return WireMessage(body, content_type, own, message_id, key)


def _survives(text: str) -> bool:
    """Whether a header keeps it: blanks at its ends are lost, and a line break ends it."""
    return text.isprintable() and text == text.strip()
