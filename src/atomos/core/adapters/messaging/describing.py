"""Where a topic is on each broker, as AsyncAPI says it to whoever has no Atomos; for this no library is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from ...service.messaging import Subscription, TopicPlace
from .cloud_events import JSON, STRUCTURED, Mode
from .names import (
    QUEUE_ARGUMENTS,
    READER_SIGN,
    exchange_of,
    queue_of,
    redis_stream_of,
    stream_of,
    subject_of,
)

AMQP, NATS = "0.3.0", "0.1.0"
"""The versions of the bindings, by https://github.com/asyncapi/bindings; those of Redis have no properties."""

_PERSISTENT = 2
_FORMS = {
    "structured": ("the event as JSON", STRUCTURED),
    "binary": ("the event's data as JSON", JSON),
}


def places_at(
    url: str | None,
    *,
    service: str,
    prefix: str = "atomos",
    mode: Mode = "structured",
    declare: bool = True,
    host: bool = True,
) -> Callable[[str], TopicPlace]:
    """Give what says of a topic where it is on the broker at a URL; None is a database.

    Nothing of the URL is told but its kind and, unless `host` is false, RabbitMQ's virtual host. For the others see
    `BrokerSettings`.
    """
    scheme = "" if url is None else url.partition(":")[0]
    if scheme in ("amqp", "amqps"):
        virtual = _virtual_host(url or "") if host else {}
        return lambda topic: _on_rabbitmq(Subscription(topic, service), prefix, virtual)
    if scheme in ("redis", "rediss"):
        return lambda topic: _on_redis(Subscription(topic, service), prefix, mode)
    if scheme in ("nats", "tls"):
        return lambda topic: _on_nats(Subscription(topic, service), prefix, mode, declare)
    return lambda topic: TopicPlace(
        topic, how="It is in tables of a database, for services with Atomos only."
    )


def _on_rabbitmq(subscription: Subscription, prefix: str, virtual: dict[str, str]) -> TopicPlace:
    exchange, queue = exchange_of(prefix), queue_of(prefix, subscription)
    declared = {"name": exchange, "type": "topic", "durable": True, "autoDelete": False, **virtual}
    return TopicPlace(
        subscription.topic,
        f"To publish, send to the exchange `{exchange}` with the address as routing key, mandatory and persistent. "
        "To read, bind a queue of your own to the exchange with the address as routing key.",
        {
            "bindings": {
                "amqp": {"is": "routingKey", "exchange": declared, "bindingVersion": AMQP},
            }
        },
        {"bindings": {"amqp": {"deliveryMode": _PERSISTENT, "ack": True, "bindingVersion": AMQP}}},
        {
            "bindings": {"amqp": {"deliveryMode": _PERSISTENT, "mandatory": True, "bindingVersion": AMQP}},
            # The published binding has a place for a queue only where a channel is one.
            "x-queue": {"name": queue, "durable": True, "autoDelete": False, "arguments": QUEUE_ARGUMENTS},
        },
    )


def _on_redis(subscription: Subscription, prefix: str, mode: Mode) -> TopicPlace:
    stream = redis_stream_of(prefix, subscription.topic)
    what, content_type = _FORMS[mode]
    headers = ", and a field `h:ce-...` for each header" if mode == "binary" else ""
    return TopicPlace(
        stream,
        f"To publish, `XADD` to this stream with `NOMKSTREAM`: the field `content-type` with `{content_type}`, the "
        f"field `body` with {what}{headers}. To read, make a consumer group of your own.",
        {"bindings": {"redis": {}}, "x-stream": stream},
        {"bindings": {"redis": {}}},
        {"bindings": {"redis": {}}, "x-consumer-group": subscription.service},
    )


def _on_nats(subscription: Subscription, prefix: str, mode: Mode, declare: bool) -> TopicPlace:
    subject = subject_of(prefix, subscription.topic)
    stream, service = stream_of(subject), subscription.service
    what, content_type = _FORMS[mode]
    headers = " Values of headers `ce-...` are percent-encoded." if mode == "binary" else ""
    # No reader is in a queue group, which is what the published binding has a place for.
    binding = {"bindings": {"nats": {"bindingVersion": NATS}}}
    return TopicPlace(
        subject,
        f"To publish, send {what} to this subject, with the headers `content-type: {content_type}` and `Nats-Msg-Id`, "
        f"and wait for the acknowledgement of JetStream.{headers} To read, make a durable consumer of your own on the "
        f"stream `{stream}`.",
        {"bindings": {"nats": {}}, "x-stream": stream},
        binding,
        # Each reader makes its own, and numbers it.
        {**binding, "x-consumer": f"{service}{READER_SIGN}N" if declare else service},
    )


def _virtual_host(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    # A password with a character that ends a host is no virtual host.
    is_odd = "@" in parts.path + parts.query + parts.fragment
    return {} if is_odd else {"vhost": unquote(parts.path[1:]) or "/"}
