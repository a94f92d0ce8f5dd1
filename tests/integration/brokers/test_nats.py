"""NATS JetStream as a broker: the conformance suite, outages, takeovers, and what is dropped."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from subprocess import Popen
from uuid import uuid4

import pytest
from nats.js import JetStreamContext, api

from atomos.core.adapters.messaging import nats_link, nats_places
from atomos.core.adapters.messaging.nats import NatsBroker
from atomos.core.service.errors import MissingExtra
from atomos.core.service.messaging import Broker, NotRouted, NotTaken, Subscription
from atomos.core.service.ports import Unavailable
from atomos.testing.broker_servers import NatsServer
from atomos.testing.conformance.broker import BrokerOutageSuite, BrokerSuite, Connect, connecting
from atomos.testing.conformance.broker_steps import (
    QUIET_SECONDS,
    numbers,
    publish,
    reading,
    receive,
    subscribe,
    taken_numbers,
)
from atomos.testing.processes import wait_until

from .back_pressure import BackPressure
from .nats_streams import on_nats, remove_streams
from .reader_process import started
from .takeovers import Start, Takeovers

pytestmark = pytest.mark.services

NATS = os.environ.get("ATOMOS_TEST_NATS_URL", "nats://127.0.0.1:4222")


@pytest.fixture
def prefix() -> Iterator[str]:
    """Give a prefix of a test's own; what was made under it is removed."""
    prefix = f"test-{uuid4().hex}"
    yield prefix
    remove_streams(NATS, prefix)


@pytest.fixture
def connect(prefix: str) -> Iterator[Connect]:
    with connecting(lambda: NatsBroker(NATS, prefix=prefix)) as connect:
        yield connect


@pytest.fixture
def broker(connect: Connect) -> Broker:
    return connect()


class TestNats(BrokerSuite, Takeovers, BackPressure):
    @pytest.fixture
    def connect(self, prefix: str) -> Iterator[Connect]:
        with connecting(lambda: NatsBroker(NATS, prefix=prefix)) as connect:
            yield connect

    @pytest.fixture
    def broker(self, connect: Connect) -> Broker:
        return connect()

    @pytest.fixture
    def prefetch(self) -> int | None:
        return 100

    @pytest.fixture
    def too_large(self) -> int:
        return 1024 * 1024 + 1

    @pytest.fixture
    def start(self, prefix: str) -> Start:
        def start(broker: Broker, subscription: Subscription) -> Popen[str]:
            return started(broker, subscription, url=NATS, prefix=prefix)

        return start


class TestOutagesOfNats(BrokerOutageSuite):
    @pytest.fixture
    def server(self) -> Iterator[NatsServer]:
        with NatsServer() as server:
            yield server

    @pytest.fixture
    def connect(self, server: NatsServer) -> Iterator[Connect]:
        with connecting(lambda: NatsBroker(server.url, timeout=3.0)) as connect:
            yield connect


def consumers(stream: str) -> list[api.ConsumerInfo]:
    async def ask(streams: JetStreamContext) -> list[api.ConsumerInfo]:
        return await streams.consumers_info(stream)

    return on_nats(NATS, ask)


def make(stream: str, subject: str, **more: object) -> None:
    async def ask(streams: JetStreamContext) -> None:
        await streams.add_stream(api.StreamConfig(name=stream, subjects=[subject], **more))  # type: ignore[arg-type]

    on_nats(NATS, ask)


def make_consumer(stream: str, config: api.ConsumerConfig) -> None:
    async def ask(streams: JetStreamContext) -> None:
        await streams.add_consumer(stream, config)

    on_nats(NATS, ask)


def test_a_loop_that_stands_still_is_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_link, "_MORE_SECONDS", 0.1)
    with closing(nats_link.Link("nats://127.0.0.1:1", 0.05)) as link:
        is_over = threading.Event()
        link._running().call_soon_threadsafe(is_over.wait, 30)
        with pytest.raises(Unavailable, match=r"NATS at 127\.0\.0\.1:1 \(broker\.url\) does not answer"):
            link.run(nothing)
        is_over.set()


async def nothing(_: nats_link.Session) -> None: ...


def test_a_message_that_is_published_twice_comes_once(broker: Broker) -> None:
    subscription = subscribe(broker, "orders")
    sent = numbers(10)
    publish(broker, "orders", sent[:6])
    publish(broker, "orders", sent)

    with reading(broker, subscription) as consumer:
        assert taken_numbers(receive(consumer, 10)) == list(range(10))
        assert list(consumer.receive(10, QUIET_SECONDS)) == []


def test_what_is_written_slowly_does_not_come_again_meanwhile(
    broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gives again what is not acknowledged in time; the reader knows it."""
    monkeypatch.setattr(nats_places, "ACK_WAIT_SECONDS", 0.5)
    subscription = subscribe(broker, "orders")
    publish(broker, "orders", numbers(20))
    with reading(broker, subscription) as consumer:
        held = receive(consumer, 20, most=10, acknowledge=False)

        def is_given_again() -> bool:
            held.extend(consumer.receive(10, 0.1))
            return any(each.num_redelivered for each in consumers(f"{prefix}_orders"))

        wait_until(is_given_again, 20, "the server to give it again")
        held.extend(consumer.receive(10, QUIET_SECONDS))
        assert taken_numbers(held) == list(range(20))
        consumer.acknowledge(held[:15])

    with reading(broker, subscription) as consumer:
        assert taken_numbers(receive(consumer, 5)) == list(range(15, 20))


def test_each_reader_has_a_consumer_of_its_own_and_removes_those_before_it(
    broker: Broker, prefix: str
) -> None:
    """Whatever a reader left that ended in between."""
    subscription = subscribe(broker, "orders")
    publish(broker, "orders", numbers(10))
    with reading(broker, subscription) as consumer:
        receive(consumer, 4)
    begun = api.ConsumerConfig(
        durable_name="shop+3", deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=5
    )
    make_consumer(f"{prefix}_orders", begun)
    make_consumer(f"{prefix}_orders", api.ConsumerConfig(durable_name="shop+x"))
    make_consumer(f"{prefix}_orders", api.ConsumerConfig(durable_name="shop-2+7"))

    with reading(broker, subscription) as consumer:
        assert {each.name for each in consumers(f"{prefix}_orders")} == {"shop+4", "shop+x", "shop-2+7"}
        assert taken_numbers(receive(consumer, 6)) == list(range(4, 10))


@pytest.mark.parametrize("policy", [api.AckPolicy.ALL, api.AckPolicy.EXPLICIT])
@pytest.mark.parametrize("missing", [0, 3])
def test_a_consumer_that_is_managed_elsewhere_gives_first_what_another_reader_held(
    prefix: str, policy: api.AckPolicy, missing: int
) -> None:
    """It comes when the consumer gives it again, and what is newer waits; what was removed is not waited for."""
    make(f"{prefix}_orders", f"{prefix}.orders")
    make_consumer(
        f"{prefix}_orders", api.ConsumerConfig(durable_name="shop", ack_policy=policy, ack_wait=2.0)
    )
    with connecting(lambda: NatsBroker(NATS, prefix=prefix, declare=False)) as connect:
        subscription = subscribe(connect(), "orders")
        publish(connect(), "orders", numbers(20))
        vanished = connect().consume(subscription)
        held = receive(vanished, 10, most=10, acknowledge=False)
        vanished.acknowledge(held[:4])
        vanished.close()

        async def remove(streams: JetStreamContext) -> None:
            for number in range(5, 5 + missing):
                await streams.delete_msg(f"{prefix}_orders", number)

        on_nats(NATS, remove)
        with reading(connect(), subscription) as consumer:
            assert taken_numbers(receive(consumer, 16 - missing)) == list(range(4 + missing, 20))
        [left] = consumers(f"{prefix}_orders")
        assert left.num_ack_pending == 0


def test_what_is_managed_elsewhere_and_is_not_there_is_named(prefix: str) -> None:
    with connecting(lambda: NatsBroker(NATS, prefix=prefix, declare=False)) as connect:
        subscription = subscribe(connect(), "orders")
        with pytest.raises(
            Unavailable, match=rf"no stream {prefix}_orders with a durable consumer shop: make it"
        ):
            connect().consume(subscription)


def test_a_stream_that_is_full_takes_nothing_and_what_is_there_comes(broker: Broker, prefix: str) -> None:
    make(f"{prefix}_orders", f"{prefix}.orders", max_msgs=5, discard=api.DiscardPolicy.NEW)
    subscription = subscribe(broker, "orders")

    outcomes = broker.publish("orders", numbers(8))

    assert [type(each) for each in outcomes] == [type(None)] * 5 + [NotTaken] * 3
    assert "maximum messages exceeded" in str(outcomes[5])
    with reading(broker, subscription) as consumer:
        assert taken_numbers(receive(consumer, 5)) == [0, 1, 2, 3, 4]


def test_after_the_server_lost_its_data_the_reader_is_told_and_then_all_is_made_anew() -> None:
    with NatsServer() as server, connecting(lambda: NatsBroker(server.url, timeout=3.0)) as connect:
        broker = connect()
        subscription = subscribe(broker, "orders")
        publish(broker, "orders", numbers(5))
        with reading(broker, subscription) as consumer:
            receive(consumer, 5)
            server.lose()
            with pytest.raises(Unavailable):
                consumer.receive(10, 20)
        assert [type(each) for each in broker.publish("orders", numbers(2))] == [NotRouted] * 2
        with reading(broker, subscription) as consumer:
            publish(broker, "orders", numbers(3))
            assert taken_numbers(receive(consumer, 3)) == [0, 1, 2]


def test_a_reader_whose_stream_was_removed_is_told(broker: Broker, prefix: str) -> None:
    with reading(broker, subscribe(broker, "orders")) as consumer:
        remove_streams(NATS, prefix)
        with pytest.raises(Unavailable, match="is gone, or another reader has its place"):
            consumer.receive(10, 20)


def test_a_server_that_does_not_reply_is_waited_for_no_longer_than_was_said() -> None:
    with NatsServer() as server, connecting(lambda: NatsBroker(server.url, timeout=1.0)) as connect:
        broker = connect()
        subscription = subscribe(broker, "orders")
        sent = numbers(3)
        with reading(broker, subscription) as consumer:
            server.freeze()
            try:
                for ask in (
                    lambda: consumer.receive(10, 1),
                    lambda: broker.publish("orders", sent),
                    broker.check,
                    lambda: broker.consume(subscription),
                ):
                    began = time.monotonic()
                    with pytest.raises(Unavailable):
                        ask()
                    assert time.monotonic() - began < 5
            finally:
                server.thaw()
        publish(broker, "orders", [*sent, *numbers(3, start=3)])
        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 6)) == list(range(6))


def test_a_password_that_is_wrong_is_said_and_not_shown() -> None:
    with NatsServer("--user", "ana", "--pass", "correct-horse") as server:
        broker = NatsBroker(server.url.replace("//", "//ana:battery-staple@"))
        with pytest.raises(Unavailable, match="refused the user or the password") as raised:
            broker.check()
        assert "battery" not in str(raised.value)
        broker.close()


def test_a_server_that_does_not_encrypt_is_refused_where_the_url_asks_for_it() -> None:
    with NatsServer() as server:
        broker = NatsBroker(server.url.replace("nats:", "tls:"))
        with pytest.raises(Unavailable, match="does not encrypt"):
            broker.check()
        broker.close()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("atomos.core.adapters.messaging.nats")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    with pytest.raises(MissingExtra, match=r"atomos-framework\[nats\]"):
        importlib.import_module("atomos.core.adapters.messaging.nats")
