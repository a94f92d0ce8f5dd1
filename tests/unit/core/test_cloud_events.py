"""CloudEvents: what is written is read by the SDK of CloudEvents, and what that writes is read here, in both modes."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import http, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from atomos.core.adapters.codec import Codec
from atomos.core.adapters.messaging.cloud_events import CloudEvents, Mode
from atomos.core.domain import Event
from atomos.core.service import ForeignMessage, NotUnderstood, Routes, WireMessage, join, translated
from atomos.core.service.cloud_events import name_of, type_of
from atomos.core.service.delivery import Claimed, Fence
from atomos.core.service.envelope import Envelope

ID = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"
OTHER = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4f"
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
AT = datetime(2026, 11, 28, 12, 0, 0, 5, UTC)


class Counted(Event, name="stock.counted", version=2):
    sku: str
    pieces: int = 0


class Empty(Event, name="stock.emptied"):
    """It has no fields."""


def read_by_hand(message: ForeignMessage) -> Counted:
    return Counted(sku=message.headers["sku"], pieces=len(message.body))


JOINED = join(stock=[Routes(subscribes={"stock": [Counted, Empty], "by-hand": translated(read_by_hand)})])


def form(mode: Mode = "structured", *, quoted: bool = False) -> CloudEvents:
    codec = Codec(JOINED.messages())
    return CloudEvents(codec, JOINED.subscriptions(), "/stock", mode, quoted=quoted)


def claimed(message: Event[Any], key: str | None = "CHAIR") -> Claimed:
    envelope = Envelope(ID, OTHER, OTHER, AT, key, "ana", TRACE)
    return Claimed(Fence(1, "topic:stock", 1), key, 0, envelope, message)


ATTRIBUTES = {
    "specversion": "1.0",
    "id": ID,
    "source": "/stock",
    "type": "stock.counted.v2",
    "time": AT,
    "datacontenttype": "application/json",
    "partitionkey": "CHAIR",
    "correlationid": OTHER,
    "causationid": OTHER,
    "traceparent": TRACE,
}


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_sdk_reads_what_is_written(mode: Mode) -> None:
    message = form(mode).write(claimed(Counted(sku="CHAIR", pieces=3)))
    sent = rabbitmq.RabbitMQMessage(dict(message.headers), message.content_type, message.body)

    event = rabbitmq.from_rabbitmq_event(sent)

    assert event.get_attributes() == ATTRIBUTES
    assert event.get_data() == {"sku": "CHAIR", "pieces": 3}


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_what_the_sdk_writes_is_read(mode: Mode) -> None:
    event = CloudEvent(dict(ATTRIBUTES), {"sku": "LAMP", "pieces": 7})
    to = rabbitmq.to_structured_event if mode == "structured" else rabbitmq.to_binary_event
    sent = to(event)

    arrived = form().read("stock", WireMessage(sent.body, sent.content_type, sent.headers))

    assert arrived is not None
    assert arrived.event == Counted(sku="LAMP", pieces=7)
    assert (arrived.source, arrived.id, arrived.key) == ("/stock", ID, "CHAIR")
    assert (arrived.correlation, arrived.traceparent) == (OTHER, TRACE)


def test_headers_that_are_percent_encoded_are_read_where_they_are() -> None:
    event = CloudEvent({**ATTRIBUTES, "partitionkey": "Grüße 100 %"}, {"sku": "LAMP"})
    sent = http.to_binary_event(event)
    headers = {name.lower(): value for name, value in sent.headers.items()}
    content_type = headers.pop("content-type")

    arrived = form(quoted=True).read("stock", WireMessage(sent.body, content_type, headers))

    assert arrived is not None and arrived.key == "Grüße 100 %"


@given(st.text(min_size=1, max_size=80).filter(lambda text: "\0" not in text))
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_any_key_comes_back_as_it_was(mode: Mode, quoted: bool, key: str) -> None:
    written = form(mode, quoted=quoted).write(claimed(Counted(sku="x"), key))

    arrived = form(quoted=quoted).read("stock", written)

    assert arrived is not None and arrived.key == key


@pytest.mark.parametrize("prefix", ["ce-", "ce_", "cloudEvents:", "cloudEvents_"])
def test_attributes_are_read_with_the_prefix_of_every_binding(prefix: str) -> None:
    said = {"specversion": "1.0", "id": "1", "source": "/x", "type": "stock.counted.v2"}
    headers = {f"{prefix}{name}": value for name, value in said.items()}

    arrived = form().read("stock", WireMessage(b'{"sku": "LAMP"}', "application/json", headers))

    assert arrived is not None and arrived.event == Counted(sku="LAMP")


def test_data_in_base64_are_read() -> None:
    said = {"specversion": "1.0", "id": "1", "source": "/x", "type": "stock.counted.v2"}
    body = json.dumps({**said, "data_base64": b64encode(b'{"sku": "LAMP"}').decode()}).encode()

    arrived = form().read("stock", WireMessage(body, "application/cloudevents+json; charset=utf-8"))

    assert arrived is not None and arrived.event == Counted(sku="LAMP")


def test_an_event_without_fields_needs_no_data() -> None:
    body = b'{"specversion": "1.0", "id": "1", "source": "/x", "type": "stock.emptied"}'

    arrived = form().read("stock", WireMessage(body))

    assert arrived is not None and arrived.event == Empty()


def test_who_writes_by_hand_need_not_say_that_it_is_a_cloud_event() -> None:
    body = JSONFormat().write(CloudEvent(dict(ATTRIBUTES), {"sku": "LAMP"}))

    assert form().read("stock", WireMessage(body)) is not None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x"}, "type"),
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "x"}, "stock.counted"),
        (
            {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "", "ce-type": "stock.emptied"},
            "source is empty",
        ),
        (
            {
                "ce-specversion": "1.0",
                "ce-id": "1",
                "ce-source": "/x",
                "ce-type": "stock.emptied",
                "ce-time": "?",
            },
            "time",
        ),
    ],
)
def test_headers_that_are_no_cloud_event_are_refused_with_the_reason(
    headers: dict[str, str], reason: str
) -> None:
    with pytest.raises(NotUnderstood, match=reason):
        form().read("stock", WireMessage(b"{}", "application/json", headers))


def test_a_translation_gets_what_is_no_cloud_event_and_the_id_that_the_broker_knows() -> None:
    arrived = form().read("by-hand", WireMessage(b"1234", "text/plain", {"sku": "LAMP"}, "m-1"))

    assert arrived is not None
    assert arrived.event == Counted(sku="LAMP", pieces=4)
    assert (arrived.source, arrived.id, arrived.key) == ("translated:by-hand", "m-1", None)


def test_a_translation_gets_cloud_events_of_types_that_nobody_declared_with_their_own_ids() -> None:
    body = JSONFormat().write(CloudEvent({**ATTRIBUTES, "type": "other"}, {}))

    arrived = form().read("by-hand", WireMessage(body, "application/cloudevents+json", {"sku": "LAMP"}))

    assert arrived is not None and (arrived.source, arrived.id) == ("/stock", ID)


@given(st.from_regex(r"[a-z]+(\.[a-z-]+)*", fullmatch=True), st.integers(1, 99_999))
def test_a_type_says_the_name_and_the_version(name: str, version: int) -> None:
    assert name_of(type_of(name, version)) == (name, version)


def test_what_cannot_be_read_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="cannot be read"):
        form().write(claimed(Counted(sku="x"))._replace(message=None))
