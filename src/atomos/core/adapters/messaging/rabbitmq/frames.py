"""The frames of AMQP 0-9-1 that publish a message, written for a batch at once: one call for a batch is most of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct

from ....service.messaging import WireMessage
from .wire import KEY

_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_FRAME = Struct(">BHI")
_PUBLISH = Struct(">HHH")
_CONTENT = Struct(">HHQH")
_LONG = Struct(">cI")
_BASIC, _BASIC_PUBLISH = 60, 40
_MANDATORY = b"\x01"
_PERSISTENT = b"\x02"
_CONTENT_TYPE, _HEADERS, _DELIVERY_MODE, _MESSAGE_ID = 1 << 15, 1 << 13, 1 << 12, 1 << 7
_AROUND = 8
_SHORT = 255


class Frames:
    """Writes messages of one topic: persistent, and to be given back where no queue takes them.

    `channel` is its number, `largest` the most bytes of a frame.
    """

    def __init__(self, channel: int, largest: int, exchange: str, topic: str) -> None:
        self._channel = channel
        self._room = largest - _AROUND
        method = _PUBLISH.pack(_BASIC, _BASIC_PUBLISH, 0) + _short(exchange) + _short(topic) + _MANDATORY
        self._method = self._frame(_METHOD, method)

    def written(self, message: WireMessage) -> bytes:
        """Write one message. Raises `ValueError` where something in front of its body is too long."""
        header = self._header(message)
        if len(header) > self._room:
            raise ValueError(f"its headers take {len(header)} bytes, and there is room for {self._room}")
        return b"".join([self._method, self._frame(_HEADER, header), *self._bodies(message.body)])

    def _header(self, message: WireMessage) -> bytes:
        flags = _DELIVERY_MODE
        content_type = headers = message_id = b""
        if message.content_type is not None:
            flags, content_type = flags | _CONTENT_TYPE, _short(message.content_type)
        if message.headers or message.key is not None:
            flags, headers = flags | _HEADERS, _table(message.headers, message.key)
        if message.id is not None:
            flags, message_id = flags | _MESSAGE_ID, _short(message.id)
        begin = _CONTENT.pack(_BASIC, 0, len(message.body), flags)
        return b"".join((begin, content_type, headers, _PERSISTENT, message_id))

    def _bodies(self, body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), self._room):
            yield self._frame(_BODY, body[start : start + self._room])

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return b"".join((_FRAME.pack(kind, self._channel, len(payload)), payload, _END))


def _short(text: str) -> bytes:
    written = text.encode("utf-8", "surrogatepass")
    if len(written) > _SHORT:
        raise ValueError(f"{text[:40]!r} and so on is longer than {_SHORT} bytes")
    return bytes((len(written),)) + written


def _table(headers: Mapping[str, str], key: str | None) -> bytes:
    parts = []
    for name, value in (*headers.items(), *([] if key is None else [(KEY, key)])):
        written = value.encode("utf-8", "surrogatepass")
        parts += [_short(name), _LONG.pack(b"S", len(written)), written]
    table = b"".join(parts)
    return len(table).to_bytes(4, "big") + table
