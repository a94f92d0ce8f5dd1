"""Redis Streams as a broker: the conformance suite, outages, takeovers, and what is removed from a stream."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from subprocess import Popen
from typing import Any
from uuid import uuid4

import pytest

from atomos.core.adapters.messaging import redis_reading
from atomos.core.adapters.messaging.redis_streams import RedisBroker
from atomos.core.adapters.messaging.redis_wire import redis
from atomos.core.service.errors import MissingExtra
from atomos.core.service.messaging import Broker, NotRouted, NotTaken, Subscription, TooLarge, WireMessage
from atomos.core.service.ports import Unavailable
from atomos.testing.broker_servers import RedisServer
from atomos.testing.conformance.broker import BrokerOutageSuite, BrokerSuite, Connect, connecting
from atomos.testing.conformance.broker_steps import (
    numbers,
    publish,
    reading,
    receive,
    subscribe,
    taken_numbers,
)

from .back_pressure import BackPressure
from .reader_process import started
from .takeovers import Start, Takeovers

pytestmark = pytest.mark.services

REDIS = os.environ.get("ATOMOS_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(REDIS, protocol=2) as client:
        yield client


@pytest.fixture
def prefix(client: Any) -> Iterator[str]:
    """Give a prefix of a test's own; what was made under it is removed."""
    prefix = f"test-{uuid4().hex}"
    yield prefix
    for key in client.scan_iter(f"{prefix}:*", count=1000):
        client.delete(key)


@pytest.fixture
def broker(prefix: str) -> Iterator[Broker]:
    with connecting(lambda: RedisBroker(REDIS, prefix=prefix)) as connect:
        yield connect()


class TestRedisStreams(BrokerSuite, Takeovers, BackPressure):
    @pytest.fixture
    def connect(self, prefix: str) -> Iterator[Connect]:
        with connecting(lambda: RedisBroker(REDIS, prefix=prefix)) as connect:
            yield connect

    @pytest.fixture
    def broker(self, connect: Connect) -> Broker:
        return connect()

    @pytest.fixture
    def prefetch(self) -> int | None:
        return None

    @pytest.fixture
    def too_large(self) -> int:
        return 512 * 1024 * 1024 + 1

    @pytest.fixture
    def start(self, prefix: str) -> Start:
        def start(broker: Broker, subscription: Subscription) -> Popen[str]:
            return started(broker, subscription, url=REDIS, prefix=prefix)

        return start


class TestOutagesOfRedis(BrokerOutageSuite):
    @pytest.fixture
    def server(self) -> Iterator[RedisServer]:
        with RedisServer() as server:
            yield server

    @pytest.fixture
    def connect(self, server: RedisServer) -> Iterator[Connect]:
        with connecting(lambda: RedisBroker(server.url, timeout=3.0)) as connect:
            yield connect


def test_what_another_program_of_the_group_holds_comes_first(
    broker: Broker, prefix: str, client: Any
) -> None:
    subscription = subscribe(broker, "orders")
    publish(broker, "orders", numbers(20))
    client.xreadgroup("shop", "a-tool", {f"{prefix}:orders": ">"}, count=5)

    with reading(broker, subscription) as consumer:
        assert taken_numbers(receive(consumer, 20)) == list(range(20))


def test_what_was_removed_while_it_was_pending_is_left_out(broker: Broker, prefix: str, client: Any) -> None:
    subscription = subscribe(broker, "orders")
    publish(broker, "orders", numbers(20))
    with reading(broker, subscription) as consumer:
        held = receive(consumer, 10, acknowledge=False)
        client.xdel(f"{prefix}:orders", *(each.tag for each in held[:7]))

    with reading(broker, subscription) as consumer:
        assert taken_numbers(receive(consumer, 13)) == list(range(7, 20))
    assert client.xpending(f"{prefix}:orders", "shop")["pending"] == 0


def test_a_stream_loses_what_all_have_read_and_nothing_that_a_slow_group_has_not(
    broker: Broker, prefix: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_reading, "TRIM_AFTER", 100)
    fast, slow = (subscribe(broker, "orders", service) for service in ("fast", "slow"))
    for start in range(0, 3000, 500):
        publish(broker, "orders", numbers(500, start))
    with reading(broker, slow) as consumer:
        receive(consumer, 400)
        held = receive(consumer, 50, acknowledge=False)
    with reading(broker, fast) as consumer:
        assert taken_numbers(receive(consumer, 3000)) == list(range(3000))
    assert 2600 <= client.xlen(f"{prefix}:orders") < 2800

    with reading(broker, slow) as consumer:
        again = receive(consumer, 2600)
    assert taken_numbers(again) == list(range(400, 3000))
    assert taken_numbers(held) == taken_numbers(again[:50])
    assert client.xlen(f"{prefix}:orders") < 200


def test_a_service_that_subscribes_later_begins_with_what_is_still_there(broker: Broker) -> None:
    subscribe(broker, "orders", "early")
    publish(broker, "orders", numbers(5))
    late = subscribe(broker, "orders", "late")

    with reading(broker, late) as consumer:
        assert taken_numbers(receive(consumer, 5)) == [0, 1, 2, 3, 4]


def test_after_the_server_lost_its_data_the_reader_is_told_and_then_all_is_made_anew() -> None:
    with RedisServer() as server, connecting(lambda: RedisBroker(server.url, timeout=3.0)) as connect:
        broker = connect()
        subscription = subscribe(broker, "orders")
        with reading(broker, subscription) as consumer:
            with redis.Redis.from_url(server.url) as client:
                client.flushall()
            assert [type(each) for each in broker.publish("orders", numbers(2))] == [NotRouted] * 2
            with pytest.raises(Unavailable, match=r"the stream or its group is not there\.$"):
                consumer.receive(10, 20)
        with reading(broker, subscription) as consumer:
            publish(broker, "orders", numbers(3))
            assert taken_numbers(receive(consumer, 3)) == [0, 1, 2]


def test_what_is_managed_elsewhere_and_is_not_there_is_named(prefix: str, client: Any) -> None:
    with connecting(lambda: RedisBroker(REDIS, prefix=prefix, declare=False)) as connect:
        broker = connect()
        subscription = subscribe(broker, "orders")
        with pytest.raises(
            Unavailable, match=rf"read {prefix}:orders as shop: the stream or its group is not there\."
        ):
            broker.consume(subscription)
        client.xgroup_create(f"{prefix}:orders", "shop", id="0", mkstream=True)
        publish(broker, "orders", numbers(3))
        with reading(broker, subscription) as consumer:
            assert taken_numbers(receive(consumer, 3)) == [0, 1, 2]


def test_a_server_that_is_full_takes_nothing_and_then_takes_it() -> None:
    settings = {"maxmemory": "3mb", "maxmemory-policy": "noeviction"}
    with RedisServer(settings=settings) as server, connecting(lambda: RedisBroker(server.url)) as connect:
        broker = connect()
        subscribe(broker, "orders")
        large = [WireMessage(b"x" * 100_000)] * 50
        outcomes = broker.publish("orders", large)
        assert {type(each) for each in outcomes} == {type(None), NotTaken}
        assert "maxmemory" in str(outcomes[-1])
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "100mb")
        publish(broker, "orders", large)


def test_a_server_that_takes_less_is_asked_and_what_is_too_large_keeps_nothing_from_it() -> None:
    with (
        RedisServer(settings={"proto-max-bulk-len": "1mb"}) as server,
        connecting(lambda: RedisBroker(server.url)) as connect,
    ):
        broker = connect()
        subscribe(broker, "orders")
        messages = [WireMessage(b"x"), WireMessage(b"x" * (1024 * 1024 + 1)), WireMessage(b"x" * 1024 * 1024)]
        first, second, third = broker.publish("orders", messages)
        assert first is None and third is None
        assert isinstance(second, TooLarge)


def test_a_server_that_does_not_reply_is_waited_for_no_longer_than_was_said() -> None:
    with RedisServer() as server, connecting(lambda: RedisBroker(server.url, timeout=1.0)) as connect:
        broker = connect()
        subscription = subscribe(broker, "orders")
        with reading(broker, subscription) as consumer:
            server.freeze()
            try:
                for ask in (
                    broker.check,
                    lambda: broker.publish("orders", numbers(3)),
                    lambda: consumer.receive(10, 1),
                    lambda: broker.consume(subscription),
                ):
                    began = time.monotonic()
                    with pytest.raises(Unavailable):
                        ask()
                    assert time.monotonic() - began < 5
            finally:
                server.thaw()
        publish(broker, "orders", numbers(3, start=10))
        with reading(broker, subscription) as consumer:
            # What was sent to it while it slept, it may have taken when it awoke.
            assert taken_numbers(receive(consumer, 6 if _length(server) == 6 else 3))[-3:] == [10, 11, 12]


def test_a_password_that_is_wrong_is_said_and_not_shown() -> None:
    with RedisServer(settings={"requirepass": "correct-horse"}) as server:
        broker = RedisBroker(server.url.replace("//", "//:battery-staple@"))
        with pytest.raises(Unavailable, match="refused the user or the password") as raised:
            broker.check()
        assert "battery" not in str(raised.value)
        broker.close()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redis_streams", "redis_reading", "redis_wire"):
        monkeypatch.delitem(sys.modules, f"atomos.core.adapters.messaging.{name}")
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"atomos-framework\[redis\]"):
        importlib.import_module("atomos.core.adapters.messaging.redis_streams")


def _length(server: RedisServer) -> int:
    with redis.Redis.from_url(server.url) as client:
        return int(client.xlen("atomos:orders"))
