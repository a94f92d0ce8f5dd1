"""Redis Streams as a broker: the conformance suite, outages, takeovers, and what is removed from a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from atomos.core.adapters.messaging.redis_streams import RedisBroker
from atomos.core.adapters.messaging.redis_wire import redis
from atomos.testing.broker_servers import RedisServer
from atomos.testing.conformance.broker import BrokerOutageSuite, BrokerSuite, Connect, connecting

pytestmark = pytest.mark.services

REDIS = os.environ.get("ATOMOS_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


@pytest.fixture
def prefix() -> Iterator[str]:
    """Give a prefix of a test's own; what was made under it is removed."""
    prefix = f"test-{uuid4().hex}"
    yield prefix
    with redis.Redis.from_url(REDIS) as client:
        for key in client.scan_iter(f"{prefix}:*", count=1000):
            client.delete(key)


class TestRedisStreams(BrokerSuite):
    @pytest.fixture
    def connect(self, prefix: str) -> Iterator[Connect]:
        with connecting(lambda: RedisBroker(REDIS, prefix=prefix)) as connect:
            yield connect

    @pytest.fixture
    def prefetch(self) -> int | None:
        return None

    @pytest.fixture
    def too_large(self) -> int:
        return 512 * 1024 * 1024 + 1


class TestOutagesOfRedis(BrokerOutageSuite):
    @pytest.fixture
    def server(self) -> Iterator[RedisServer]:
        with RedisServer() as server:
            yield server

    @pytest.fixture
    def connect(self, server: RedisServer) -> Iterator[Connect]:
        with connecting(lambda: RedisBroker(server.url, timeout=3.0)) as connect:
            yield connect
