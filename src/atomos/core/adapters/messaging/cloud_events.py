"""CloudEvents 1.0: how events travel between services, as one JSON document or with attributes in headers.

The attributes are those of https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md, with its
extensions for partitioning (`partitionkey`), distributed tracing (`traceparent`), and `correlationid` and
`causationid`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, unquote

import msgspec

from ...domain.errors import AtomosError
from ...domain.messages import Event
from ...service.cloud_events import name_of, type_of
from ...service.delivery import Claimed
from ...service.errors import Unreadable
from ...service.messaging import WireMessage
from ...service.receiving import Arrived, WireForm
from ...service.routes import Route
from ...service.tracing import read_traceparent
from ...service.translating import ForeignMessage, NotUnderstood, Translation
from ..codec import Codec

Mode = Literal["structured", "binary"]
"""One JSON document, or data with attributes in headers."""

JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
PREFIX = "ce-"
"""What stands before an attribute's name in a header."""

_PREFIXES = (PREFIX, "ce_", "cloudevents:", "cloudevents_")
_JSON_TYPE = re.compile(r"(application|text)/([a-z0-9.-]+\+)?json(\s*;.*)?", re.IGNORECASE)
# As JSON writes it; behind an even number of backslashes it is a text that says so.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_LONGEST = 500
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


class _Attributes(msgspec.Struct, omit_defaults=True):
    """What Atomos writes and reads of an event's attributes; others are left alone."""

    id: str
    source: str
    type: str
    specversion: str
    time: datetime | None = None
    datacontenttype: str | None = None
    partitionkey: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None


class _Document(_Attributes, omit_defaults=True):
    """An event as one JSON document."""

    data: msgspec.Raw = msgspec.Raw()
    data_base64: str | None = None


_ENCODER = msgspec.json.Encoder()
_DOCUMENTS = msgspec.json.Decoder(_Document)


class CloudEvents(WireForm):
    """Writes deliveries as CloudEvents of a `source`, and reads them, and what a translation understands.

    `mode` is `structured` (one JSON document) or `binary` (data, with the attributes in headers). `quoted`: values of
    headers are percent-encoded, as the binding of NATS wants it.
    """

    def __init__(
        self,
        codec: Codec,
        subscriptions: Mapping[str, tuple[Route, ...]],
        source: str,
        mode: Mode = "structured",
        *,
        quoted: bool = False,
    ) -> None:
        self._codec = codec
        self.source = source
        self._is_binary = mode == "binary"
        self._quoted = quoted
        self._events: dict[str, dict[str, type[Event[Any]]]] = {}
        self._translations: dict[str, Translation] = {}
        for topic, rows in subscriptions.items():
            named = self._events.setdefault(topic, {})
            for row in rows:
                if isinstance(row.target, Translation):
                    self._translations[topic] = row.target
                else:
                    named[row.target.wire_name] = row.target

    def write(self, claimed: Claimed) -> WireMessage:
        """Write a delivery's event."""
        envelope, message = claimed.envelope, claimed.message
        if message is None:
            raise TypeError("what cannot be read cannot be written")
        payload = self._codec.encode(message).encode()
        said: dict[str, Any] = {
            "id": envelope.id,
            "source": self.source,
            "type": type_of(message.wire_name, message.wire_version),
            "specversion": "1.0",
            "time": envelope.sent_at,
            "partitionkey": claimed.ordering_key,
            "correlationid": envelope.correlation_id,
            "causationid": envelope.causation_id,
            "traceparent": envelope.traceparent,
        }
        if self._is_binary:
            headers = {f"{PREFIX}{name}": self._header(value) for name, value in said.items() if value}
            return WireMessage(payload, JSON, headers, envelope.id, claimed.ordering_key)
        document = _Document(**said, datacontenttype=JSON, data=msgspec.Raw(payload))
        return WireMessage(_ENCODER.encode(document), STRUCTURED, {}, envelope.id, claimed.ordering_key)

    def read(self, topic: str, message: WireMessage) -> Arrived | None:
        """Read what came from a topic; None: its translation says that nobody has to hear of it."""
        found = self._attributes(message)
        if found is None:
            return self._translated(topic, message, None)
        attributes, data = found
        _check(attributes)
        name, version = name_of(attributes.type)
        event = self._events.get(topic, {}).get(name)
        if event is None:
            return self._translated(topic, message, attributes)
        if version > event.wire_version:
            raise NotUnderstood(
                f"type is {attributes.type!r}, and this build has version {event.wire_version} of {name}."
            )
        return self._arrived(attributes, self._event(name, version, attributes, data))

    def _attributes(self, message: WireMessage) -> tuple[_Attributes, bytes] | None:
        """Take a CloudEvent apart; None where it is none."""
        kind = (message.content_type or "").lower()
        if kind.startswith("application/cloudevents-batch"):
            raise NotUnderstood("It is a batch of CloudEvents; expected one event in a message.")
        if kind.startswith("application/cloudevents"):
            return _document(message.body)
        if headers := dict(_ce(message.headers)):
            if self._quoted:
                headers = {name: unquote(value) for name, value in headers.items()}
            if message.content_type is not None:
                headers.setdefault("datacontenttype", message.content_type)
            return _converted(headers), message.body
        # Whoever writes by hand, such as with redis-cli, says no content type.
        return _document(message.body) if not kind and b'"specversion"' in message.body else None

    def _event(self, name: str, version: int, attributes: _Attributes, data: bytes) -> Event[Any]:
        if attributes.datacontenttype is not None and not _JSON_TYPE.fullmatch(attributes.datacontenttype):
            raise NotUnderstood(f"datacontenttype is {attributes.datacontenttype!r}; expected {JSON}.")
        try:
            text = (data or b"{}").decode()
            event = self._codec.decode(name, version, text)
        except (AtomosError, ValueError) as error:
            # Not its remedy, which is about what this application has stored.
            wrong = error.detail if isinstance(error, Unreadable) else str(error)
            raise NotUnderstood(f"The data of {attributes.type} {attributes.id}: {wrong}") from error
        assert isinstance(event, Event)  # noqa: S101 - the boot check has seen to it
        return event

    def _translated(self, topic: str, message: WireMessage, attributes: _Attributes | None) -> Arrived | None:
        translation = self._translations.get(topic)
        known = ", ".join(self._events.get(topic, {})) or "no event"
        if translation is None and attributes is None:
            raise NotUnderstood(f"It is no CloudEvent, and {topic} has no translation for anything else.")
        if translation is None:
            assert attributes is not None  # noqa: S101 - see above
            raise NotUnderstood(f"type is {attributes.type!r}; {topic} brings {known}.")
        foreign = ForeignMessage(topic, message.body, message.content_type, message.headers)
        event = translation.function(foreign)
        if event is None:
            return None
        if attributes is not None and translation.identified_by is None:
            return self._arrived(attributes, event)
        key = _short("key", translation.member(foreign, translation.ordered_by))
        id_ = translation.member(foreign, translation.identified_by) or message.id
        self._storable(event)
        return Arrived(event, f"translated:{topic}", _short("id", id_), key)

    def _arrived(self, said: _Attributes, event: Event[Any]) -> Arrived:
        self._storable(event)
        trace = read_traceparent(said.traceparent) if said.traceparent else None
        return Arrived(event, said.source, said.id, said.partitionkey, said.correlationid, trace)

    def _storable(self, event: Event[Any]) -> None:
        if _NUL.search(self._codec.encode(event)):
            raise NotUnderstood("A text in it has the character NUL, which no database takes.")

    def _header(self, value: str | datetime) -> str:
        text = _rfc_3339(value) if isinstance(value, datetime) else value
        return quote(text, safe=_PLAIN) if self._quoted else text


def _ce(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        for prefix in _PREFIXES:
            if name.lower().startswith(prefix):
                yield name[len(prefix) :].lower(), value


def _document(body: bytes) -> tuple[_Attributes, bytes]:
    try:
        document = _DOCUMENTS.decode(body)
        data = bytes(document.data)
        if document.data_base64 is not None:
            data = msgspec.convert(document.data_base64, bytes)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise NotUnderstood(f"It is no CloudEvent in JSON: {error}.") from error
    return document, data


def _converted(headers: Mapping[str, str]) -> _Attributes:
    try:
        return msgspec.convert(headers, _Attributes, strict=False)
    except msgspec.ValidationError as error:
        raise NotUnderstood(f"Its headers are no attributes of a CloudEvent: {error}.") from error


def _check(said: _Attributes) -> None:
    if said.specversion != "1.0":
        raise NotUnderstood(f"specversion is {said.specversion!r}; expected '1.0'.")
    for name in ("id", "source", "type"):
        if not getattr(said, name):
            raise NotUnderstood(f"{name} is empty; it tells a CloudEvent from others.")
    for name in ("id", "source", "type", "partitionkey", "correlationid"):
        _short(name, getattr(said, name))


def _short(name: str, text: str | None) -> str | None:
    if text is not None and (len(text) > _LONGEST or "\0" in text):
        raise NotUnderstood(f"{name} is longer than {_LONGEST} characters, or has the character NUL in it.")
    return text


def _rfc_3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
