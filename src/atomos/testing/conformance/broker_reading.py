"""What every adapter of the `Broker` port must do for those who read."""

# A suite is made of assertions.

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from atomos.core.service.messaging import Broker, Taken
from atomos.core.service.ports import Unavailable

from .broker_steps import (
    QUIET_SECONDS,
    SECONDS,
    BrokerFixtures,
    Connect,
    numbers,
    publish,
    reading,
    receive,
    said,
    subscribe,
    taken_numbers,
)


class BrokerReading(BrokerFixtures):
    """What was acknowledged is gone, and all else comes again, in order."""

    def test_what_was_not_acknowledged_comes_again_first_and_in_order(
        self, broker: Broker, topic: str
    ) -> None:
        """To the consumer that begins when the earlier one was closed, and with all that was said."""
        subscription = subscribe(broker, topic)
        published = numbers(35)
        publish(broker, topic, published[:30])
        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 10, acknowledge=False)) == list(range(10))
        publish(broker, topic, published[30:])

        with reading(broker, subscription) as consumer:
            taken = receive(consumer, 35)
        assert taken_numbers(taken) == list(range(35))
        assert [said(each.message) for each in taken] == [said(each) for each in published]

    def test_what_was_acknowledged_does_not_come_again(self, broker: Broker, topic: str) -> None:
        """Nor does a part of what was taken."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(20))
        with reading(broker, subscription) as consumer:
            taken = receive(consumer, 20, acknowledge=False)
            consumer.acknowledge(taken[:3])
            consumer.acknowledge(taken[3:8])

        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 12)) == list(range(8, 20))
            assert list(consumer.receive(10, QUIET_SECONDS)) == []

    def test_what_a_consumer_holds_does_not_come_to_it_again(self, broker: Broker, topic: str) -> None:
        """Before it is acknowledged the next ones come, and then nothing."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(9))

        with reading(broker, subscription) as consumer:
            held = receive(consumer, 9, most=4, acknowledge=False)
            assert taken_numbers(held) == list(range(9))
            assert list(consumer.receive(10, QUIET_SECONDS)) == []
            consumer.acknowledge(held)

    def test_acknowledging_nothing_changes_nothing(self, broker: Broker, topic: str) -> None:
        """What is held is still held."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(2))
        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 2, acknowledge=False)) == [0, 1]
            consumer.acknowledge([])

        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 2)) == [0, 1]

    def test_what_one_that_vanished_had_taken_comes_to_another(
        self, connect: Connect, topic: str, takeover: float
    ) -> None:
        """It said nothing more and was not closed; another process waits for its place."""
        vanishing, other = connect(), connect()
        subscription = subscribe(vanishing, topic)
        publish(vanishing, topic, numbers(20))
        vanished = vanishing.consume(subscription)
        taken = receive(vanished, 10, most=10, acknowledge=False)
        vanished.acknowledge(taken[:4])

        with reading(other, subscription) as consumer:
            arrived = receive(consumer, 16, seconds=takeover)

        assert taken_numbers(arrived) == list(range(4, 20))

    def test_receiving_waits_about_as_long_as_it_was_told(self, broker: Broker, topic: str) -> None:
        """Then it gives nothing."""
        with reading(broker, subscribe(broker, topic)) as consumer:
            consumer.receive(10, 0.1)
            began = time.monotonic()
            assert list(consumer.receive(10, 1.0)) == []
            assert 0.9 < time.monotonic() - began < 3.0

    def test_receiving_does_not_wait_for_more_than_one(self, broker: Broker, topic: str) -> None:
        """Whoever waits gets what has come, long before the time is over."""
        subscription = subscribe(broker, topic)
        with reading(broker, subscription) as consumer, ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(consumer.receive, 100, SECONDS)
            began = time.monotonic()
            publish(broker, topic, numbers(1))
            assert taken_numbers(waiting.result()) == [0]
            assert time.monotonic() - began < SECONDS / 4

    def test_never_more_is_given_than_was_asked_for(self, broker: Broker, topic: str) -> None:
        """One at a time is a batch too."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(40))
        with reading(broker, subscription) as consumer:
            for most in (1, 1, 3, 10):
                taken = consumer.receive(most, SECONDS)
                assert 1 <= len(taken) <= most
                consumer.acknowledge(taken)

    def test_asking_for_none_takes_none(self, broker: Broker, topic: str) -> None:
        """Whoever has no room says so again and again; then all comes, in order, behind what it holds."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(12))
        with reading(broker, subscription) as consumer:
            assert list(consumer.receive(0, 0.0)) == []
            held = receive(consumer, 5, most=5, acknowledge=False)
            for _ in range(3):
                assert list(consumer.receive(0, 0.0)) == []
            publish(broker, topic, numbers(8, start=12))
            assert list(consumer.receive(0, 0.0)) == []
            consumer.acknowledge(held)
            assert taken_numbers([*held, *receive(consumer, 15)]) == list(range(20))

    def test_no_more_is_held_than_is_fetched_ahead(
        self, broker: Broker, connect: Connect, topic: str, prefetch: int | None
    ) -> None:
        """What a consumer does not acknowledge keeps the rest with the broker; all of it comes to its successor."""
        published = 1000 if prefetch is None else 3 * prefetch + 10
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(published))
        with reading(connect(), subscription) as consumer:
            held: list[Taken] = []
            while taken := consumer.receive(50, QUIET_SECONDS if held else SECONDS):
                held += taken
            assert taken_numbers(held) == list(range(len(held)))
            assert len(held) == published if prefetch is None else 1 <= len(held) <= prefetch

        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, published)) == list(range(published))

    def test_closing_ends_a_receive_that_waits(self, broker: Broker, topic: str) -> None:
        """Soon, with nothing or with `Unavailable`; closing twice is harmless."""
        consumer = broker.consume(subscribe(broker, topic))
        began, ended = threading.Event(), threading.Event()

        def wait() -> None:
            began.set()
            with suppress(Unavailable):
                assert list(consumer.receive(10, 60)) == []
            ended.set()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert began.wait(SECONDS)
        consumer.close()
        assert ended.wait(5)
        consumer.close()

    def test_a_consumer_that_was_closed_acknowledges_nothing_more(self, broker: Broker, topic: str) -> None:
        """It says so, because what it held comes to another."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(3))
        consumer = broker.consume(subscription)
        taken = receive(consumer, 3, acknowledge=False)
        consumer.close()

        with pytest.raises(Unavailable):
            consumer.acknowledge(taken)
