"""What every adapter of the `Broker` port must do when its server goes away and comes back."""

# A suite is made of assertions.

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol, Self

import pytest

from atomos.core.service.messaging import Broker, Consumer, NotTaken, Subscription, Topology, WireMessage
from atomos.core.service.ports import Unavailable
from atomos.testing.processes import wait_until

from .broker_steps import (
    QUIET_SECONDS,
    SECONDS,
    BrokerFixtures,
    numbers,
    publish,
    reading,
    receive,
    subscribe,
    taken_numbers,
)

_AGAIN_SECONDS = 0.1
_BACK_SECONDS = 60.0
_MORE = 200
_BATCH = 20
_PAUSE_SECONDS = 0.005


class BrokerServer(Protocol):
    """A server of a test's own, which may be stopped; what it has confirmed it knows when it is back."""

    def start(self) -> None:
        """Start it, and wait until it answers."""

    def kill(self) -> None:
        """Kill it at once (SIGKILL)."""

    def restart(self) -> None:
        """Stop it in good order, and start it again."""


class Traffic:
    """A publisher of numbers and a reader of them, on one broker: both try again while it is away.

    `published` is how many the broker has confirmed.
    """

    def __init__(self, broker: Broker, subscription: Subscription) -> None:
        self.published = 0
        # By key and number, in the order in which each came for the first time.
        self._came: dict[tuple[str | None, int], None] = {}
        self._broker, self._subscription = broker, subscription
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._publisher, self._reader = (
            threading.Thread(target=self._run, args=(step,), daemon=True)
            for step in (self._publish_all, self._read_all)
        )

    def __enter__(self) -> Self:
        self._publisher.start()
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._failures.append(RuntimeError("the test is over"))
        self._publisher.join(_BACK_SECONDS)
        self._reader.join(_BACK_SECONDS)

    def wait_for_more(self) -> None:
        """Wait until a few hundred more were published and read."""
        wanted = max(self.published, len(self._came)) + _MORE
        self._wait(lambda: min(self.published, len(self._came)) >= wanted, f"{_MORE} more messages")

    def finish(self) -> None:
        """Publish no more, and wait until all that was published has been read."""
        self._over.set()
        self._publisher.join(_BACK_SECONDS)
        self._wait(lambda: len(self._came) >= self.published, f"all of {self.published} messages")

    def firsts(self) -> dict[str | None, list[int]]:
        """Give the numbers of each key, in the order in which each came for the first time."""
        firsts: dict[str | None, list[int]] = {}
        for key, number in self._came:
            firsts.setdefault(key, []).append(number)
        return firsts

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        wait_until(lambda: bool(self._failures) or holds(), _BACK_SECONDS, what)
        if self._failures:
            raise self._failures[0]

    def _run(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as failure:  # noqa: BLE001 - the test tells it
            self._failures.append(failure)

    def _publish_all(self) -> None:
        while not self._over.is_set():
            left = numbers(_BATCH, self.published)
            while left and not self._failures:
                left = self._publish(left)
            self.published += _BATCH - len(left)
            time.sleep(_PAUSE_SECONDS)

    def _publish(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Give what has to be published again: all from the first that was not taken, so that order is kept."""
        try:
            outcomes = self._broker.publish(self._subscription.topic, messages)
        except Unavailable:
            time.sleep(_AGAIN_SECONDS)
            return messages
        assert all(each is None or isinstance(each, NotTaken) for each in outcomes), outcomes
        kept = [each is None for each in outcomes]
        return messages[kept.index(False) :] if False in kept else []

    def _read_all(self) -> None:
        while not self._failures:
            with suppress(Unavailable), reading(self._broker, self._subscription) as consumer:
                self._read(consumer)
            time.sleep(_AGAIN_SECONDS)

    def _read(self, consumer: Consumer) -> None:
        while not self._failures:
            taken = consumer.receive(100, QUIET_SECONDS)
            for each in taken:
                self._came.setdefault((each.message.key, int(each.message.body)))
            consumer.acknowledge(taken)


class BrokerOutageSuite(BrokerFixtures):
    """Subclass it as `class TestOutagesOfKafka(BrokerOutageSuite)` and give `connect` and `server`.

    `server` is that of all brokers that `connect` makes; it serves when the test begins.
    """

    @pytest.fixture
    def server(self) -> BrokerServer:
        """Give the server."""
        pytest.fail(f"{type(self).__name__} must have a fixture `server`: one that may be stopped.")

    @pytest.mark.parametrize("outage", ["restarted", "killed"])
    def test_under_load_nothing_is_lost_and_the_order_of_each_key_is_kept(
        self, broker: Broker, server: BrokerServer, topic: str, outage: str
    ) -> None:
        """What raised `Unavailable` is published again; no new broker is made."""
        with Traffic(broker, subscribe(broker, topic)) as traffic:
            traffic.wait_for_more()
            if outage == "restarted":
                server.restart()
            else:
                server.kill()
                server.start()
            traffic.wait_for_more()
            traffic.finish()

        firsts = traffic.firsts()
        assert sorted(each for came in firsts.values() for each in came) == list(range(traffic.published))
        assert {key: sorted(came) for key, came in firsts.items()} == firsts

    def test_while_it_is_away_everything_says_so_and_then_goes_on(
        self, broker: Broker, server: BrokerServer, topic: str
    ) -> None:
        """In plain words, and without a new broker; what was confirmed before is there."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(10))
        server.kill()
        asked: list[Callable[[], object]] = [
            broker.check,
            lambda: broker.publish(topic, numbers(2, start=90)),
            lambda: broker.consume(subscription),
            lambda: broker.declare(Topology((topic,), (subscription,))),
        ]
        for ask in asked:
            with pytest.raises(Unavailable, match=r"^[A-Z].*\.$"):
                ask()
        server.start()

        broker.check()
        publish(broker, topic, numbers(10, start=10))
        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 20)) == list(range(20))

    def test_what_a_reader_held_when_the_server_died_comes_again(
        self, broker: Broker, server: BrokerServer, topic: str
    ) -> None:
        """The reader is told, and a new one gets it first and in order."""
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(20))
        with reading(broker, subscription) as consumer:
            receive(consumer, 10, most=10, acknowledge=False)
            server.kill()
            with pytest.raises(Unavailable):
                receive(consumer, 20, acknowledge=False)
        server.start()

        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 20)) == list(range(20))

    def test_a_receive_that_waits_is_told(self, broker: Broker, server: BrokerServer, topic: str) -> None:
        """It does not wait in vain for a server that is gone."""
        with reading(broker, subscribe(broker, topic)) as consumer, ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(consumer.receive, 10, 2 * SECONDS)
            began = time.monotonic()
            server.kill()
            with pytest.raises(Unavailable):
                waiting.result()
            assert time.monotonic() - began < SECONDS
