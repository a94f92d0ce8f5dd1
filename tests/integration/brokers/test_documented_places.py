"""Clients that know a topic's place from the AsyncAPI document alone: what they publish is read, and they read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pika
import pytest
import redis
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from atomos.core.adapters.messaging.describing import places_at
from atomos.core.adapters.messaging.nats import NatsBroker
from atomos.core.adapters.messaging.redis_streams import RedisBroker
from atomos.core.service.messaging import Broker, Subscription, TopicPlace, Topology, WireMessage
from atomos.testing.conformance.broker import connecting

from .nats_streams import on_nats, remove_streams
from .rabbit_leftovers import Passing

pytestmark = pytest.mark.services

RABBITMQ = os.environ.get("ATOMOS_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
REDIS = os.environ.get("ATOMOS_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
NATS = os.environ.get("ATOMOS_TEST_NATS_URL", "nats://127.0.0.1:4222")

READS = Subscription("stock.batch-received", "allocation")
TOPOLOGY = Topology((), (READS,))
BODY, JSON = b'{"sku": "CHAIR"}', "application/json"


def place_at(url: str, prefix: str) -> TopicPlace:
    return places_at(url, service=READS.service, prefix=prefix)(READS.topic)


def taken(broker: Broker) -> WireMessage:
    consumer = broker.consume(READS)
    (first,) = consumer.receive(1, 10.0)
    consumer.acknowledge([first])
    consumer.close()
    return first.message


@pytest.fixture
def passing() -> Iterator[Passing]:
    passing = Passing(RABBITMQ)
    yield passing
    passing.remove()


def test_on_rabbitmq_by_the_exchange_the_routing_key_and_the_queue(passing: Passing) -> None:
    place = place_at(RABBITMQ, passing.exchange)
    exchange = place.channel["bindings"]["amqp"]["exchange"]
    queue, sends = place.receive["x-queue"], place.receive["bindings"]["amqp"]
    with (
        connecting(passing.broker) as connect,
        pika.BlockingConnection(pika.URLParameters(RABBITMQ)) as client,
    ):
        (broker := connect()).declare(TOPOLOGY)
        channel = client.channel()
        channel.confirm_delivery()
        # Both are refused where what is there is another one.
        channel.exchange_declare(exchange["name"], exchange["type"], durable=exchange["durable"])
        channel.queue_declare(queue["name"], passive=True)
        properties = pika.BasicProperties(JSON, delivery_mode=sends["deliveryMode"])
        channel.basic_publish(exchange["name"], place.address, BODY, properties, mandatory=sends["mandatory"])
        assert taken(broker).body == BODY
        mine = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(mine, exchange["name"], place.address)
        broker.publish(READS.topic, [WireMessage(BODY, JSON)])
        method, _, body = next(channel.consume(mine, inactivity_timeout=10))
        assert (body, method.routing_key) == (BODY, place.address)
        channel.cancel()


def test_in_redis_by_the_stream_and_the_group() -> None:
    prefix = f"test-{uuid4().hex}"
    place = place_at(REDIS, prefix)
    with (
        connecting(lambda: RedisBroker(REDIS, prefix=prefix)) as connect,
        redis.Redis.from_url(REDIS, protocol=2) as client,
    ):
        (broker := connect()).declare(TOPOLOGY)
        try:
            groups = [each["name"].decode() for each in client.xinfo_groups(place.channel["x-stream"])]
            assert groups == [place.receive["x-consumer-group"]]
            client.xadd(place.address, {"content-type": JSON, "body": BODY}, nomkstream=True)
            assert taken(broker).body == BODY
            broker.publish(READS.topic, [WireMessage(BODY, JSON)])
            _, newest = client.xrevrange(place.address, count=1)[0]
            assert (newest[b"content-type"], newest[b"body"]) == (JSON.encode(), BODY)
        finally:
            client.delete(place.address)


def test_in_nats_by_the_subject_the_stream_and_the_consumer() -> None:
    prefix = f"test-{uuid4().hex}"
    place = place_at(NATS, prefix)

    async def publish(streams: JetStreamContext) -> str:
        headers = {"content-type": JSON, "Nats-Msg-Id": "1"}
        await streams.publish(place.address, BODY, stream=place.channel["x-stream"], headers=headers)
        (consumer,) = await streams.consumers_info(place.channel["x-stream"])
        return consumer.name

    async def read(streams: JetStreamContext) -> Msg:
        reader = await streams.pull_subscribe(
            place.address, durable="warehouse", stream=place.channel["x-stream"]
        )
        return (await reader.fetch(2, timeout=10))[-1]

    try:
        with connecting(lambda: NatsBroker(NATS, prefix=prefix)) as connect:
            (broker := connect()).declare(TOPOLOGY)
            assert on_nats(NATS, publish) == place.receive["x-consumer"].replace("N", "1")
            assert taken(broker).body == BODY
            broker.publish(READS.topic, [WireMessage(BODY, JSON, id="2")])
            message = on_nats(NATS, read)
        assert (message.data, (message.headers or {})["content-type"]) == (BODY, JSON)
    finally:
        remove_streams(NATS, prefix)
