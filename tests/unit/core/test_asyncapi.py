"""AsyncAPI: the document of topics, from the declarations of messages and routes, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from flask import Blueprint, Flask

from atomos.core.api import asyncapi
from atomos.core.api.asyncapi import Wire
from atomos.core.api.openapi import as_text
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


class Weighed(Event, name="shop.weighed"):
    """Its field is none that a request could have."""

    weights: dict[str, int]


def read_erp(message: ForeignMessage) -> Paid:
    return Paid(order=message.json()["order"])


ROUTES = join(
    shop=[
        Routes(
            publishes={Shipped: optional(by("order", "shop.shipped"))},
            subscribes={
                "bank.payments": Paid,
                "erp.payments": translated(read_erp, identified_by="payment", ordered_by="order"),
            },
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
    assert list(document["channels"]) == ["bank.payments", "erp.payments", "shop.shipped"]
    actions = {name: each["action"] for name, each in document["operations"].items()}
    assert actions == {
        "send.shop.shipped": "send",
        "receive.bank.payments": "receive",
        "receive.erp.payments": "receive",
    }
    assert "`order`" in document["operations"]["send.shop.shipped"]["description"]
    assert "payments:write" in document["operations"]["receive.bank.payments"]["description"]


def test_the_text_is_the_same_in_whichever_order_the_tables_have_it() -> None:
    publishes: Any = {Shipped: "shop.shipped", Paid: "shop.paid", Weighed: "shop.shipped"}
    subscribes: Any = {"z.paid": [Paid, Weighed], "a.paid": Paid, "m.paid": translated(read_erp)}
    turned = {
        name: tuple(reversed(each)) if isinstance(each, list) else each
        for name, each in reversed(subscribes.items())
    }
    one = join(shop=[Routes(publishes=publishes, subscribes=subscribes)])
    other = join(shop=[Routes(subscribes=turned), Routes(publishes=dict(reversed(publishes.items())))])
    texts = [as_text(asyncapi.document(each, title="Shop", version="1")) for each in (one, other)]
    assert texts[0] == texts[1]
    document = json.loads(texts[0])
    components = document["components"]
    for named in (
        document["channels"],
        document["operations"],
        components["messages"],
        components["schemas"],
    ):
        assert list(named) == sorted(named)
    for channel in document["channels"].values():
        assert list(channel["messages"]) == sorted(channel["messages"])


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


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("nats://u:secret@n1:4222,nats://u:secret@n2:4222", ["n1:4222", "n2:4222"]),
        ("nats://u:secret@n1:4222,n2", ["n1:4222", "n2"]),
        ("amqp://u:secret@[::1]:5672/shop", ["[::1]:5672"]),
        ("amqp://u:sec,secret@mq/shop?password=secret", ["mq"]),
    ],
)
def test_every_server_of_a_cluster_is_told_without_credentials(url: str, hosts: list[str]) -> None:
    document = written(Wire(url))
    assert [each["host"] for each in document["servers"].values()] == hosts
    assert "secret" not in json.dumps(document)


@pytest.mark.parametrize("url", ["amqp://u:secret/1@mq", "redis://:secret?1@kept", "nats://u:secret#1@n1"])
def test_a_password_that_ends_a_host_is_not_taken_for_one(url: str) -> None:
    assert "servers" not in written(Wire(url))


def test_events_of_one_name_in_two_contexts_have_each_their_schema() -> None:
    class Other(Event, name="other.paid"):
        cheque: int

    Other.__name__ = "Paid"
    routes = join(shop=[Routes(publishes={Paid: "shop.paid", Other: "other.paid"})])
    document = asyncapi.document(routes, title="Shop", version="1")
    data = [each["payload"]["properties"]["data"] for each in document["components"]["messages"].values()]
    fields = [document["components"]["schemas"][each["$ref"].rpartition("/")[2]] for each in data]
    assert [list(each["properties"]) for each in fields] == [["cheque"], ["order"]]


def test_an_event_that_http_has_no_form_for_is_told_without_its_fields() -> None:
    routes = join(shop=[Routes(publishes={Weighed: "shop.weighed"})])
    document = asyncapi.document(routes, title="Shop", version="1")
    schema = document["components"]["schemas"]["Weighed"]
    assert schema["type"] == "object"
    assert "field weights: dict has no form in JSON" in schema["description"]
    assert "Weighed" in render(document)


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
