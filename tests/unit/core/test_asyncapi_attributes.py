"""AsyncAPI: the schemas of messages say what is written, and what is taken from others, no more and no less."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from atomos.core.adapters.codec import Codec
from atomos.core.adapters.messaging.cloud_events import CloudEvents, Mode
from atomos.core.api import asyncapi
from atomos.core.api.asyncapi import Wire
from atomos.core.domain import Event
from atomos.core.service import ForeignMessage, NotUnderstood, Routes, WireMessage, by, join, translated
from atomos.core.service.delivery import Claimed

from .test_cloud_events import claimed


class Counted(Event, name="stock.counted", version=2):
    """So many there are."""

    sku: str
    pieces: int = 0


class Emptied(Event, name="stock.emptied"):
    """There are none."""


class Returned(Event, name="stock.returned"):
    """It came back, as others say and as we say."""

    sku: str


def read_by_hand(message: ForeignMessage) -> Emptied:
    return Emptied()


WRITES = {Counted: by("sku", "stock.counted"), Emptied: "stock.emptied", Returned: "stock.returned"}
TAKES = {
    "shop.counts": Counted,
    "shop.returns": [Emptied, Returned],
    "erp": translated(read_by_hand, identified_by="number", ordered_by="sku"),
    "crm": translated(read_by_hand, identified_by="number", ordered_by="number"),
    "raw": translated(read_by_hand),
}


def form(mode: Mode = "structured") -> CloudEvents:
    joined = join(stock=[Routes(subscribes=TAKES)])
    return CloudEvents(Codec(joined.messages()), joined.subscriptions(), "/stock", mode)


def document(mode: Mode = "structured", **routes: Any) -> dict[str, Any]:
    joined = join(stock=[Routes(**routes)])
    return asyncapi.document(joined, title="Stock", version="1", wire=Wire(None, mode, source=form().source))


def errors(document: dict[str, Any], schema: Any, instance: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    checks = Draft202012Validator(whole, format_checker=FormatChecker())
    return [error.message for error in checks.iter_errors(instance)]


def attributes_in(message: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = message.get("headers", message["payload"])["properties"]
    return {name.removeprefix("ce-"): each for name, each in found.items()}


@pytest.mark.parametrize("event", [Counted(sku="CHAIR", pieces=3), Emptied()])
def test_what_is_written_as_one_document_is_what_the_document_says(event: Event[Any]) -> None:
    said = document(publishes=WRITES)
    message = said["components"]["messages"][
        "stock.counted.v2" if event.wire_version == 2 else "stock.emptied"
    ]
    wire = form().write(claimed(event))
    assert wire.content_type == message["contentType"]
    assert errors(said, message["payload"], json.loads(wire.body)) == []


def test_what_is_written_with_headers_is_what_the_document_says() -> None:
    said = document("binary", publishes=WRITES)
    message = said["components"]["messages"]["stock.counted.v2"]
    wire = form("binary").write(claimed(Counted(sku="CHAIR")))
    assert wire.content_type == message["contentType"]
    assert errors(said, message["headers"], dict(wire.headers)) == []
    assert errors(said, message["payload"], json.loads(wire.body)) == []


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_what_is_always_written_is_needed_and_nothing_else(mode: Mode) -> None:
    message = document(mode, publishes=WRITES)["components"]["messages"]["stock.counted.v2"]
    first = claimed(Counted(sku="CHAIR"), None)
    least = form(mode).write(
        Claimed(
            first.fence,
            None,
            0,
            first.envelope._replace(causation_id=None, traceparent=None, ordering_key=None),
            first.message,
        )
    )
    names = least.headers if mode == "binary" else json.loads(least.body)
    assert sorted(message.get("headers", message["payload"])["required"]) == sorted(names)


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_type_and_publisher_are_constant_where_they_are_known(mode: Mode) -> None:
    messages = document(mode, publishes=WRITES, subscribes=TAKES)["components"]["messages"]
    ours = document(mode, publishes=WRITES)["components"]["messages"]
    assert attributes_in(ours["stock.counted.v2"])["source"]["const"] == "/stock"
    assert attributes_in(ours["stock.counted.v2"])["type"]["const"] == "stock.counted.v2"
    # Others publish these as well.
    assert "const" not in attributes_in(messages["stock.returned"])["source"]
    assert attributes_in(messages["stock.returned"])["type"]["const"] == "stock.returned"


def test_every_attribute_that_is_written_is_told_as_it_is_written() -> None:
    attributes = attributes_in(document(publishes=WRITES)["components"]["messages"]["stock.counted.v2"])
    told = {name: each for name, each in attributes.items() if name not in ("data", "datacontenttype")}
    assert set(told) == set(json.loads(form().write(claimed(Counted(sku="A"))).body)) - {
        "data",
        "datacontenttype",
    }
    assert [name for name, each in told.items() if not each.get("description")] == []
    assert told["id"]["format"] == "uuid"
    assert told["time"]["format"] == "date-time"
    assert told["traceparent"]["pattern"].startswith("^00-")


@pytest.mark.parametrize(
    ("type_", "topic", "data"),
    [("stock.counted.v2", "shop.counts", {"sku": "CHAIR"}), ("stock.emptied", "shop.returns", None)],
)
def test_what_has_only_what_is_needed_is_taken_and_what_lacks_one_of_it_is_not(
    type_: str, topic: str, data: Any
) -> None:
    said = document(subscribes=TAKES)
    payload = said["components"]["messages"][type_]["payload"]
    least = {"specversion": "1.0", "id": "1", "source": "/shop", "type": type_, "data": data}
    least = {name: least[name] for name in payload["required"]}
    assert errors(said, payload, least) == []
    taken = form().read(topic, wire(least))
    assert taken is not None and taken.id == "1"
    for name in least:
        less = {each: value for each, value in least.items() if each != name}
        assert errors(said, payload, less) != []
        with pytest.raises(NotUnderstood):
            form().read(topic, wire(less))


@pytest.mark.parametrize("name", ["id", "source", "partitionkey", "correlationid"])
@pytest.mark.parametrize("length", [500, 501])
def test_an_attribute_may_be_as_long_as_the_document_says(name: str, length: int) -> None:
    said = document(subscribes=TAKES)
    event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "stock.emptied", name: "x" * length}
    is_valid = errors(said, said["components"]["messages"]["stock.emptied"]["payload"], event) == []
    assert is_valid == (length == 500)
    if is_valid:
        form().read("shop.returns", wire(event))
    else:
        with pytest.raises(NotUnderstood):
            form().read("shop.returns", wire(event))


def test_of_what_is_translated_the_members_that_tell_it_apart_and_order_it_are_needed() -> None:
    messages = document(subscribes=TAKES)["components"]["messages"]
    payload = messages["erp.foreign"]["payload"]
    assert (payload["type"], payload["required"]) == ("object", ["number", "sku"])
    assert "repeat" in payload["properties"]["number"]["description"]
    assert "order" in payload["properties"]["sku"]["description"]
    both = messages["crm.foreign"]["payload"]
    assert both["required"] == ["number"]
    assert "repeat" in both["properties"]["number"]["description"]
    assert "order" in both["properties"]["number"]["description"]
    assert set(messages["raw.foreign"]["payload"]) == {"description"}


@pytest.mark.parametrize(
    "body",
    [
        {"number": 7, "sku": "CHAIR", "more": []},
        {"number": "7" * 501, "sku": "CHAIR"},
        {"sku": "CHAIR"},
        {"number": None, "sku": "CHAIR"},
        [],
    ],
)
def test_what_is_translated_is_taken_where_the_document_allows_it(body: Any) -> None:
    said = document(subscribes=TAKES)
    is_valid = errors(said, said["components"]["messages"]["erp.foreign"]["payload"], body) == []
    message = WireMessage(json.dumps(body).encode(), "application/json")
    if is_valid:
        assert form().read("erp", message) is not None
    else:
        with pytest.raises(NotUnderstood):
            form().read("erp", message)


def wire(event: dict[str, Any]) -> WireMessage:
    return WireMessage(json.dumps(event).encode(), "application/cloudevents+json")
