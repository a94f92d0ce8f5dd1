"""What the tests of a broker have in common: the fixtures, and steps that they take."""

# Steps are made of assertions.

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from uuid import uuid4

import pytest

from atomos.core.service.messaging import Broker, Consumer, Subscription, Taken, Topology, WireMessage

Connect = Callable[[], Broker]
"""Makes one more broker on the same server, as another process would."""

SECONDS = 20.0
"""So long a test waits for what has to come."""

QUIET_SECONDS = 0.3
"""So long it waits for what must not come."""

_KEYS = 7


class BrokerFixtures:
    """What a suite of brokers asks of its subclass."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Give what makes brokers; after the test they are closed."""
        pytest.fail(f"{type(self).__name__} must have a fixture `connect`: a callable that makes a broker.")

    @pytest.fixture
    def broker(self, connect: Connect) -> Broker:
        """Give the adapter; what `connect` makes, unless a subclass gives another."""
        return connect()

    @pytest.fixture
    def topic(self) -> str:
        """Give a topic that no other test uses."""
        return f"shop.line-{uuid4().hex}"

    @pytest.fixture
    def too_large(self) -> int:
        """Give a size that is refused."""
        pytest.fail(
            f"{type(self).__name__} must have a fixture `too_large`: a size in bytes that is refused."
        )

    @pytest.fixture
    def prefetch(self) -> int | None:
        """Give how many messages a consumer holds."""
        pytest.fail(
            f"{type(self).__name__} must have a fixture `prefetch`: how many a consumer holds, or None."
        )

    @pytest.fixture
    def takeover(self) -> float:
        """Give the seconds after which another takes over; these unless a subclass gives others."""
        return 10.0


def numbers(count: int, start: int = 0) -> list[WireMessage]:
    """Make messages whose bodies are numbers, of a few keys, each with an id of its own."""
    return [
        WireMessage(
            b"%d" % number, "text/plain", {"number": str(number)}, uuid4().hex, f"key-{number % _KEYS}"
        )
        for number in range(start, start + count)
    ]


def taken_numbers(taken: Iterable[Taken]) -> list[int]:
    """Give the numbers that such messages carry."""
    return [int(each.message.body) for each in taken]


def said(message: WireMessage) -> tuple[object, ...]:
    """Give what has to arrive of a message: all but its id, which a broker may keep for itself."""
    return message.body, message.content_type, dict(message.headers), message.key


def subscribe(broker: Broker, topic: str, service: str = "shop") -> Subscription:
    """Declare a topic and one service's subscription to it."""
    subscription = Subscription(topic, service)
    broker.declare(Topology((topic,), (subscription,)))
    return subscription


def publish(broker: Broker, topic: str, messages: Sequence[WireMessage]) -> None:
    """Publish messages that all have to be kept."""
    assert list(broker.publish(topic, messages)) == [None] * len(messages)


@contextmanager
def reading(broker: Broker, subscription: Subscription) -> Iterator[Consumer]:
    """Read a subscription, and close the consumer at the end."""
    with closing(broker.consume(subscription)) as consumer:
        yield consumer


def receive(
    consumer: Consumer, count: int, *, most: int = 100, acknowledge: bool = True, seconds: float = SECONDS
) -> list[Taken]:
    """Take so many messages, and not one more. `TimeoutError` when they do not come within so many seconds."""
    until = time.monotonic() + seconds
    taken: list[Taken] = []
    while len(taken) < count:
        if (left := until - time.monotonic()) <= 0:
            raise TimeoutError(f"of {count} messages {len(taken)} came within {seconds:g} s")
        batch = consumer.receive(min(most, count - len(taken)), left)
        if acknowledge and batch:
            consumer.acknowledge(batch)
        taken += batch
    return taken


def sent_and_received(broker: Broker, topic: str, messages: Sequence[WireMessage]) -> list[WireMessage]:
    """Publish messages to a topic with one subscription, and give what arrives there."""
    subscription = subscribe(broker, topic)
    publish(broker, topic, messages)
    with reading(broker, subscription) as consumer:
        return [each.message for each in receive(consumer, len(messages))]


@contextmanager
def connecting(make: Connect) -> Iterator[Connect]:
    """Give a `connect` that makes brokers as `make` does, and close them all at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(make()))
