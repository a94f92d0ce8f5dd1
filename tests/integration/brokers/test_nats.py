"""NATS JetStream as a broker: the conformance suite, outages, takeovers, and what is dropped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from atomos.core.adapters.messaging.nats import NatsBroker
from atomos.testing.broker_servers import NatsServer
from atomos.testing.conformance.broker import BrokerOutageSuite, BrokerSuite, Connect, connecting

from .nats_streams import remove_streams

pytestmark = pytest.mark.services

NATS = os.environ.get("ATOMOS_TEST_NATS_URL", "nats://127.0.0.1:4222")


@pytest.fixture
def prefix() -> Iterator[str]:
    """Give a prefix of a test's own; what was made under it is removed."""
    prefix = f"test-{uuid4().hex}"
    yield prefix
    remove_streams(NATS, prefix)


class TestNats(BrokerSuite):
    @pytest.fixture
    def connect(self, prefix: str) -> Iterator[Connect]:
        with connecting(lambda: NatsBroker(NATS, prefix=prefix)) as connect:
            yield connect

    @pytest.fixture
    def prefetch(self) -> int | None:
        return 100

    @pytest.fixture
    def too_large(self) -> int:
        return 1024 * 1024 + 1


class TestOutagesOfNats(BrokerOutageSuite):
    @pytest.fixture
    def server(self) -> Iterator[NatsServer]:
        with NatsServer() as server:
            yield server

    @pytest.fixture
    def connect(self, server: NatsServer) -> Iterator[Connect]:
        with connecting(lambda: NatsBroker(server.url, timeout=3.0)) as connect:
            yield connect
