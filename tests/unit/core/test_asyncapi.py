"""AsyncAPI: the document of topics, from the declarations of messages and routes, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from flask import Blueprint, Flask

from atomos.core.api import asyncapi
from atomos.core.api.asyncapi import Wire
from atomos.core.api.topics_page import add_topics, render
from atomos.core.domain import AtLeast, Event, Example, Length, ValueObject
from atomos.core.service import ForeignMessage, Routes, by, join, optional, translated

from .published import validator_of
from .test_cloud_events import Counted, claimed, form


class Item(ValueObject):
    sku: Annotated[str, Length(1, 20)]


class Shipped(Event, name="shop.shipped", version=3):
    """Something left the house.

    It is on its way to <the customer>.
    """

    order: Annotated[str, Length(1, 10), Example("order-1")]
    items: tuple[Item, ...]
    boxes: Annotated[int, AtLeast(1)] = 1


class Paid(Event, name="shop.paid"):
    """Somebody paid."""

    order: str


def read_erp(message: ForeignMessage) -> Paid:
    return Paid(order=message.json()["order"])


ROUTES = join(
    shop=[
        Routes(
            publishes={Shipped: optional(by("order", "shop.shipped"))},
            subscribes={"bank.payments": Paid, "erp.payments": translated(read_erp)},
            requires={Paid: "payments:write"},
        )
    ]
)


def written(wire: Wire = Wire()) -> dict[str, Any]:  # noqa: B008
    return asyncapi.document(ROUTES, title="Shop", version="1.2", description="Sells.", wire=wire)


@pytest.mark.services
@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("url", [None, "amqp://u:p@host:5673/shop", "redis://host/0", "nats://host:4222"])
def test_the_document_is_valid_by_the_published_schema(mode: Any, url: str | None) -> None:
    assert [error.message for error in validator_of("asyncapi").iter_errors(written(Wire(url, mode)))] == []


@pytest.mark.services
def test_what_is_written_is_valid_by_the_published_schema_of_cloud_events() -> None:
    document = json.loads(form().write(claimed(Counted(sku="CHAIR", pieces=3))).body)
    assert [error.message for error in validator_of("cloudevents").iter_errors(document)] == []


def test_each_topic_is_a_channel_with_what_is_sent_and_received() -> None:
    document = written()
    assert list(document["channels"]) == ["shop.shipped", "bank.payments", "erp.payments"]
    actions = {name: each["action"] for name, each in document["operations"].items()}
    assert actions == {
        "send.shop.shipped": "send",
        "receive.bank.payments": "receive",
        "receive.erp.payments": "receive",
    }
    assert "`order`" in document["operations"]["send.shop.shipped"]["description"]
    assert "payments:write" in document["operations"]["receive.bank.payments"]["description"]


def test_a_message_is_a_cloud_event_whose_data_are_the_fields() -> None:
    document = written()
    message = document["components"]["messages"]["shop.shipped.v3"]
    assert (message["title"], message["summary"]) == ("Shipped", "Something left the house.")
    assert message["payload"]["properties"]["type"]["const"] == "shop.shipped.v3"
    assert message["payload"]["properties"]["data"] == {"$ref": "#/components/schemas/Shipped"}
    schema = document["components"]["schemas"]["Shipped"]
    assert set(schema["required"]) == {"order", "items"}
    assert schema["properties"]["order"]["maxLength"] == 10
    assert schema["properties"]["boxes"]["minimum"] == 1
    assert set(document["components"]["schemas"]) == {"Shipped", "ItemInput", "Paid"}


def test_in_binary_mode_the_attributes_are_headers() -> None:
    message = written(Wire(None, "binary"))["components"]["messages"]["shop.paid"]
    assert message["payload"] == {"$ref": "#/components/schemas/Paid"}
    assert message["headers"]["required"] == ["ce-specversion", "ce-id", "ce-source", "ce-type"]


def test_the_servers_place_is_told_without_credentials() -> None:
    document = written(Wire("amqp://user:secret@broker.example.org:5673/shop"))
    assert document["servers"] == {
        "broker": {"host": "broker.example.org:5673", "pathname": "/shop", "protocol": "amqp"}
    }
    assert "secret" not in json.dumps(document)
    assert "servers" not in written(Wire("postgresql://u:p@host/db"))


def test_the_page_shows_every_operation_and_field_and_escapes_what_is_said() -> None:
    page = render(written())
    assert "Publishes to shop.shipped." in page
    assert "at most 10 characters" in page
    assert "&#34;order-1&#34;" in page
    assert "<the customer>" not in page


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask("test")
    blueprint = Blueprint("topics", __name__)
    add_topics(blueprint, json.dumps(written()))
    app.register_blueprint(blueprint)
    yield app


def test_the_document_and_the_page_are_served_and_the_page_may_load_nothing_from_elsewhere(
    app: Flask,
) -> None:
    http = app.test_client()
    assert http.get("/asyncapi.json").json == written()
    page = http.get("/docs/topics")
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "<script" not in page.text
    assert http.get("/docs/topics.css").status_code == 200


def test_without_a_page_there_is_only_the_document() -> None:
    app = Flask("test")
    blueprint = Blueprint("topics", __name__)
    add_topics(blueprint, json.dumps(written()), page=False)
    app.register_blueprint(blueprint)
    assert app.test_client().get("/docs/topics").status_code == 404


def test_a_message_has_the_schema_that_http_has_for_it() -> None:
    from apispec import APISpec

    from atomos.core.api.openapi import VERSION, Described, named
    from atomos.core.api.schemas import Shapes

    spec = APISpec("x", "1", VERSION, plugins=[Described(schema_name_resolver=named)])
    spec.components.schema("Shipped", schema=Shapes().message(Shipped))
    over_http = spec.to_dict()["components"]["schemas"]["Shipped"]
    over_topics = written()["components"]["schemas"]["Shipped"]
    assert over_topics == {name: said for name, said in over_http.items() if name != "additionalProperties"}
