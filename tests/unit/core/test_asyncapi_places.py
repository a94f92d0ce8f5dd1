"""AsyncAPI: where a topic is on each broker, by the names that its adapter uses, and by the published bindings."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from atomos.core.adapters.messaging.describing import places_at
from atomos.core.adapters.messaging.nats import NatsBroker
from atomos.core.adapters.messaging.rabbitmq import RabbitBroker
from atomos.core.adapters.messaging.redis_streams import RedisBroker
from atomos.core.api import asyncapi
from atomos.core.api.asyncapi import Wire
from atomos.core.service.messaging import Broker, Subscription, Topology

from .published import validator_of
from .test_asyncapi import ROUTES

RABBITMQ = "amqp://ana:hidden@mq.example/shop%2Feu"
REDIS, NATS = "redis://:hidden@redis.example/1", "nats://ana:hidden@n1.example,n2.example"
URLS = (RABBITMQ, REDIS, NATS)
TOPOLOGY = Topology(("shop.shipped",), (Subscription("bank.payments", "shop"),))
FOREIGN = Path(__file__).parents[3] / "docs/how-to/foreign-clients.md"


def written(
    url: str | None, mode: Any = "structured", *, served: bool = False, **said: Any
) -> dict[str, Any]:
    place = places_at(url, **{"service": "shop", "mode": mode, "host": not served, **said})
    wire = Wire(None if served else url, mode, place)
    return asyncapi.document(ROUTES, title="Shop", version="1", wire=wire)


def broker_at(url: str, prefix: str) -> Broker:
    if url == RABBITMQ:
        return RabbitBroker(url, exchange=prefix)
    return RedisBroker(url, prefix=prefix) if url == REDIS else NatsBroker(url, prefix=prefix)


@pytest.mark.services
@pytest.mark.parametrize("prefix", ["atomos", ""])
@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("url", [None, *URLS, "sqlite:///b.db"])
def test_with_a_broker_it_is_valid_by_the_published_schema_and_its_bindings(
    url: str | None, mode: Any, served: bool, prefix: str
) -> None:
    document = written(url, mode, served=served, prefix=prefix)
    assert [error.message for error in validator_of("asyncapi").iter_errors(document)] == []


def test_on_rabbitmq_a_topic_is_a_routing_key_of_the_exchange_and_is_read_from_a_queue() -> None:
    document = written(RABBITMQ)
    channel = document["channels"]["bank.payments"]
    assert channel["address"] == "bank.payments"
    exchange = {"name": "atomos", "type": "topic", "durable": True, "autoDelete": False, "vhost": "shop/eu"}
    assert channel["bindings"] == {
        "amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}
    }
    received = document["operations"]["receive.bank.payments"]
    assert received["bindings"]["amqp"] == {"deliveryMode": 2, "mandatory": True, "bindingVersion": "0.3.0"}
    assert received["x-queue"]["name"] == "atomos.shop.bank.payments"
    sent = document["operations"]["send.shop.shipped"]
    assert sent["bindings"]["amqp"] == {"deliveryMode": 2, "ack": True, "bindingVersion": "0.3.0"}
    assert "x-queue" not in sent


def test_in_redis_a_topic_is_a_stream_with_the_prefix_and_is_read_by_a_group() -> None:
    document = written(REDIS)
    channel = document["channels"]["bank.payments"]
    assert (channel["address"], channel["bindings"]) == ("atomos:bank.payments", {"redis": {}})
    assert channel["x-stream"] == "atomos:bank.payments"
    assert document["operations"]["receive.bank.payments"]["x-consumer-group"] == "shop"
    assert "h:ce-" not in channel["description"]
    assert "h:ce-" in written(REDIS, "binary")["channels"]["bank.payments"]["description"]


def test_in_nats_a_topic_is_a_subject_with_the_prefix_and_is_read_by_consumers_of_its_stream() -> None:
    document = written(NATS)
    channel = document["channels"]["bank.payments"]
    assert (channel["address"], channel["x-stream"]) == ("atomos.bank.payments", "atomos_bank_payments")
    received = document["operations"]["receive.bank.payments"]
    assert received["bindings"] == {"nats": {"bindingVersion": "0.1.0"}}
    assert received["x-consumer"] == "shop+N"
    declared = written(NATS, declare=False)["operations"]["receive.bank.payments"]
    assert declared["x-consumer"] == "shop"


def test_a_database_is_for_services_with_atomos_only() -> None:
    channel = written(None)["channels"]["bank.payments"]
    assert channel["address"] == "bank.payments"
    assert "with Atomos only" in channel["description"]
    assert "bindings" not in channel


@pytest.mark.parametrize("prefix", ["atomos", "shop.eu", ""])
@pytest.mark.parametrize("url", URLS)
def test_every_name_is_one_that_the_adapter_says_it_declares(url: str, prefix: str) -> None:
    document = written(url, prefix=prefix)
    channel, received = document["channels"]["bank.payments"], document["operations"]["receive.bank.payments"]
    exchange = channel["bindings"].get("amqp", {}).get("exchange", {}).get("name")
    names = [
        channel["address"],
        exchange,
        channel.get("x-stream"),
        received.get("x-queue", {}).get("name"),
        received.get("x-consumer-group"),
        received.get("x-consumer", "").replace("+N", "+1"),
    ]
    with closing(broker_at(url, prefix)) as broker:
        said = " ".join(broker.explain(TOPOLOGY))
    assert [name for name in names if name and name not in said] == []


@pytest.mark.parametrize("url", URLS)
def test_what_is_served_tells_how_a_topic_is_found_and_not_where_the_broker_is(url: str) -> None:
    served, printed = written(url, served=True), written(url)
    assert {name: each["address"] for name, each in served["channels"].items()} == {
        name: each["address"] for name, each in printed["channels"].items()
    }
    assert "servers" in printed
    text = json.dumps(served)
    assert [each for each in ("hidden", "shop/eu", ".example", "servers") if each in text] == []
    assert "hidden" not in json.dumps(printed)


@pytest.mark.parametrize("url", ["amqp://u:secret/1@mq", "amqp://u:secret?1@mq/x", "amqp://u:secret#1@mq/x"])
def test_a_password_that_ends_a_host_is_not_taken_for_a_virtual_host(url: str) -> None:
    document = written(url)
    assert "secret" not in json.dumps(document)
    assert "vhost" not in document["channels"]["bank.payments"]["bindings"]["amqp"]["exchange"]


@pytest.mark.parametrize("url", ["amqp://mq", "amqp://mq/", "amqp://mq/%2F"])
def test_without_a_virtual_host_it_is_the_first_one(url: str) -> None:
    exchange = written(url)["channels"]["bank.payments"]["bindings"]["amqp"]["exchange"]
    assert exchange["vhost"] == "/"


def test_the_clients_of_the_page_use_the_addresses_that_the_document_has() -> None:
    page = FOREIGN.read_text("utf-8")
    for topic in ("stock.batch-received", "allocation.went-out-of-stock"):
        on_redis, on_nats = (places_at(url, service="allocation")(topic) for url in (REDIS, NATS))
        assert f" {on_redis.address} " in page
        assert f'"{on_nats.address}"' in page
    assert f'name="{on_nats.channel["x-stream"]}"' in page
    exchange = places_at(RABBITMQ, service="allocation")(topic).channel["bindings"]["amqp"]["exchange"]
    assert f'"{exchange["name"]}", "{topic}"' in page


def test_the_document_needs_no_library_of_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("amqp", "kombu", "nats", "redis"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [each for each in sys.modules if each.startswith("atomos.core.adapters.messaging")]:
        monkeypatch.delitem(sys.modules, name)
    from atomos.core.adapters.messaging.describing import places_at as fresh

    assert [fresh(url, service="shop")("t").address for url in URLS] == ["t", "atomos:t", "atomos.t"]
