"""What every adapter of the `Broker` port must do with what is published, and with subscriptions."""

# A suite is made of assertions.

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from atomos.core.service.messaging import Broker, NotRouted, Subscription, TooLarge, Topology, WireMessage

from .broker_steps import (
    QUIET_SECONDS,
    BrokerFixtures,
    Connect,
    numbers,
    publish,
    reading,
    receive,
    said,
    sent_and_received,
    subscribe,
    taken_numbers,
)

ODD_TEXTS = [
    "",
    "Grüße, 世界 \N{SNOWMAN}",
    "two\r\nlines: and a colon",
    " blanks ",
    "100% %41 =?utf-8?q?Bob?=",
]
"""Values of headers that some carriers would change, or take for something else."""

_BATCH = 500


class BrokerPublishing(BrokerFixtures):
    """What is published arrives, or its sender is told what became of it."""

    @pytest.mark.parametrize("body", [b"", b'{"sku": "LAMP"}', bytes(range(256)), "世界".encode()], ids=ascii)
    def test_a_message_arrives_with_all_that_was_said(self, broker: Broker, topic: str, body: bytes) -> None:
        """Body, content type, headers and key, whatever the bytes are."""
        headers = {"ce-id": "e-1", "ce-source": "/shop", "ce-type": "shop.line", "traceparent": "00-ab-cd-01"}
        sent = WireMessage(body, "application/json; charset=utf-8", headers, uuid4().hex, "order-1")

        [arrived] = sent_and_received(broker, topic, [sent])

        assert said(arrived) == said(sent)

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
    def test_any_text_arrives_in_a_header_and_in_a_key(self, broker: Broker, topic: str, text: str) -> None:
        """Whatever its script and its blanks; a line break begins no other header."""
        sent = WireMessage(b"{}", None, {"ce-subject": text, "ce-id": "1"}, uuid4().hex, text or None)

        [arrived] = sent_and_received(broker, topic, [sent])

        assert said(arrived) == said(sent)

    def test_what_was_not_said_is_not_there(self, broker: Broker, topic: str) -> None:
        """No content type, no headers, no key."""
        [arrived] = sent_and_received(broker, topic, [WireMessage(b"bare")])

        assert said(arrived) == (b"bare", None, {}, None)

    def test_a_message_of_a_megabyte_arrives(self, broker: Broker, topic: str) -> None:
        """Between small ones, which keep their places."""
        # Some count the headers too, and stop at 1,048,576 bytes.
        bodies = [b"before", bytes(range(256)) * 3906, b"after"]

        arrived = sent_and_received(broker, topic, [WireMessage(body, id=uuid4().hex) for body in bodies])

        assert [each.body for each in arrived] == bodies

    def test_thousands_of_messages_arrive_in_the_order_in_which_they_were_published(
        self, broker: Broker, topic: str
    ) -> None:
        """Across batches too, and hence the messages of each key."""
        subscription = subscribe(broker, topic)
        for start in range(0, 5000, _BATCH):
            publish(broker, topic, numbers(_BATCH, start))

        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 5000)) == list(range(5000))

    def test_publishing_nothing_publishes_nothing(self, broker: Broker, topic: str) -> None:
        """An empty batch has no outcomes."""
        subscribe(broker, topic)
        assert list(broker.publish(topic, [])) == []

    def test_eight_threads_may_publish_at_once(self, broker: Broker, topic: str) -> None:
        """Each one's messages arrive, in its order."""
        subscription = subscribe(broker, topic)

        def send(thread: int) -> None:
            for start in range(0, 200, 50):
                publish(broker, topic, numbers(50, thread * 1000 + start))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(send, range(8)))

        with reading(broker, subscription) as consumer:
            arrived = taken_numbers(receive(consumer, 8 * 200))
        for thread in range(8):
            assert [each % 1000 for each in arrived if each // 1000 == thread] == list(range(200))

    def test_each_message_has_an_outcome(self, broker: Broker, topic: str) -> None:
        """None: the broker has confirmed that it keeps it."""
        subscribe(broker, topic)
        assert list(broker.publish(topic, numbers(250))) == [None] * 250

    @pytest.mark.parametrize("declared", [True, False])
    def test_messages_of_a_topic_that_nobody_subscribed_to_are_not_routed(
        self, broker: Broker, topic: str, declared: bool
    ) -> None:
        """Each one's outcome says so, whether the topic is declared or not; what comes later is kept."""
        subscribe(broker, f"{topic}.other")
        if declared:
            broker.declare(Topology((topic,), ()))

        refused = broker.publish(topic, numbers(3))
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(3, start=10))

        assert [type(outcome) for outcome in refused] == [NotRouted] * 3
        assert all(str(outcome) for outcome in refused)
        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 3)) == [10, 11, 12]

    def test_a_message_that_is_too_large_is_refused_alone(
        self, broker: Broker, topic: str, too_large: int
    ) -> None:
        """Its neighbours are kept, in their order."""
        subscription = subscribe(broker, topic)
        before, large, after = numbers(2), WireMessage(bytes(too_large), id=uuid4().hex), numbers(2, start=2)

        outcomes = broker.publish(topic, [*before, large, *after])

        assert [type(outcome) for outcome in outcomes] == [type(None)] * 2 + [TooLarge] + [type(None)] * 2
        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 4)) == [0, 1, 2, 3]

    def test_each_service_gets_everything(self, broker: Broker, connect: Connect, topic: str) -> None:
        """One that has read takes nothing from the other."""
        subscriptions = [subscribe(broker, topic, "billing"), subscribe(connect(), topic, "shipping")]
        publish(broker, topic, numbers(10))

        for subscription in subscriptions:
            with reading(broker, subscription) as consumer:
                assert taken_numbers(receive(consumer, 10)) == list(range(10))

    def test_topics_are_kept_apart(self, broker: Broker, topic: str) -> None:
        """A topic whose name begins like another's too."""
        one, other = subscribe(broker, topic), subscribe(broker, f"{topic}.more")
        publish(broker, topic, numbers(3))
        publish(broker, f"{topic}.more", numbers(3, start=10))

        for subscription, expected in ((one, [0, 1, 2]), (other, [10, 11, 12])):
            with reading(broker, subscription) as consumer:
                assert taken_numbers(receive(consumer, 3)) == expected
                assert list(consumer.receive(10, QUIET_SECONDS)) == []

    def test_a_subscription_keeps_its_messages_while_nobody_reads(
        self, broker: Broker, connect: Connect, topic: str
    ) -> None:
        """Also when whoever made it and published has gone."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(10))
        broker.close()

        with reading(connect(), subscription) as consumer:
            assert taken_numbers(receive(consumer, 10)) == list(range(10))

    def test_declaring_again_and_by_several_at_once_is_harmless(
        self, broker: Broker, connect: Connect, topic: str
    ) -> None:
        """Nothing is lost, and nothing comes twice."""
        subscription = Subscription(topic, "shop")
        topology = Topology((topic,), (subscription, Subscription(topic, "billing")))
        brokers = [broker, broker, *(connect() for _ in range(4))]

        with ThreadPoolExecutor(len(brokers)) as threads:
            list(threads.map(lambda each: each.declare(topology), brokers))
        publish(broker, topic, numbers(5))
        broker.declare(topology)

        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 5)) == [0, 1, 2, 3, 4]
            assert list(consumer.receive(10, QUIET_SECONDS)) == []

    def test_what_would_be_made_is_explained(self, broker: Broker, topic: str) -> None:
        """A sentence each, in which the topic and the service are named."""
        sentences = broker.explain(Topology((topic,), (Subscription(topic, "billing"),)))

        assert sentences
        assert all(sentence.endswith(".") for sentence in sentences)
        assert topic in " ".join(sentences)
        assert "billing" in " ".join(sentences)
