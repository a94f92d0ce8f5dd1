"""What holds when a reader is taken for dead and is not: nothing is passed over, whatever it still does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from subprocess import Popen

from atomos.core.service.messaging import Broker, Subscription
from atomos.core.service.ports import Unavailable
from atomos.testing.conformance.broker import Connect
from atomos.testing.conformance.broker_steps import (
    numbers,
    publish,
    reading,
    receive,
    subscribe,
    taken_numbers,
)
from atomos.testing.processes import wait_until

from .reader_process import HELD

Start = Callable[[Broker, Subscription], Popen[str]]
"""Starts a process that reads, with a broker like the given one."""


def in_order_of_coming(broker: Broker, subscription: Subscription, came: dict[int, None], count: int) -> None:
    """Read, and begin anew whenever the reader is told to, until so many different numbers have come."""

    def read() -> bool:
        with suppress(Unavailable), reading(broker, subscription) as consumer:
            while len(came) < count:
                taken = consumer.receive(7, 0.5)
                came.update((each, None) for each in taken_numbers(taken))
                consumer.acknowledge(taken)
        return len(came) >= count

    wait_until(read, 60, f"{count} messages")


class Takeovers:
    """Subclass it with the fixtures `connect` and `start`."""

    def test_a_reader_that_was_stopped_for_a_while_takes_nothing_that_the_next_one_misses(
        self, connect: Connect, start: Start, topic: str
    ) -> None:
        broker = connect()
        subscription = subscribe(broker, topic)
        publish(broker, topic, numbers(30))
        process = start(broker, subscription)
        came: dict[int, None] = {}
        assert process.stdout is not None and process.stdin is not None
        try:
            assert process.stdout.readline() == f"{HELD}\n"
            process.send_signal(signal.SIGSTOP)
            in_order_of_coming(broker, subscription, came, 20)
            process.stdin.write("\n")
            process.stdin.flush()
            with reading(broker, subscription) as consumer:
                came.update((each, None) for each in taken_numbers(receive(consumer, 3)))
                process.send_signal(signal.SIGCONT)
                *_, said = process.stdout
                assert said == "over\n"
            publish(broker, topic, numbers(30, start=30))
            in_order_of_coming(broker, subscription, came, 60)
        finally:
            process.kill()
            process.communicate()

        assert list(came) == list(range(60))

    def test_one_that_goes_on_beside_the_next_one_loses_it_nothing(
        self, connect: Connect, topic: str
    ) -> None:
        subscription = subscribe(connect(), topic)
        publish(connect(), topic, numbers(40))
        came: dict[int, None] = {}
        older, newer = connect(), connect()
        given_up = older.consume(subscription)
        held = given_up.receive(10, 10)

        with suppress(Unavailable), reading(newer, subscription) as consumer:
            came.update((each, None) for each in taken_numbers(receive(consumer, 15, acknowledge=False)))
            with suppress(Unavailable):
                given_up.acknowledge(held)
            with suppress(Unavailable):
                given_up.receive(10, 0.5)
            came.update((each, None) for each in taken_numbers(receive(consumer, 5, acknowledge=False)))
        in_order_of_coming(newer, subscription, came, 40)

        assert list(came) == list(range(40))
