"""RabbitMQ as a broker: what every broker must do, and what only RabbitMQ may do to us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from atomos.testing.brokers import RabbitServer
from atomos.testing.conformance.broker import BrokerOutageSuite, BrokerSuite, Connect, connecting

from .back_pressure import BackPressure
from .rabbit_leftovers import Passing

RABBITMQ = os.environ.get("ATOMOS_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
BATCH = 100
LARGEST = 2 * 1024 * 1024

pytestmark = pytest.mark.services


@pytest.fixture
def passing() -> Iterator[Passing]:
    passing = Passing(RABBITMQ)
    yield passing
    passing.remove()


class TestRabbitBroker(BrokerSuite, BackPressure):
    @pytest.fixture
    def connect(self, passing: Passing) -> Iterator[Connect]:
        with connecting(partial(passing.broker, batch=BATCH, heartbeat=1, largest=LARGEST)) as connect:
            yield connect

    @pytest.fixture
    def too_large(self) -> int:
        return LARGEST + 1

    @pytest.fixture
    def prefetch(self) -> int:
        return BATCH


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitServer]:
    with RabbitServer() as server:
        yield server


class TestOutagesOfRabbitMQ(BrokerOutageSuite):
    @pytest.fixture
    def server(self, rabbit: RabbitServer) -> RabbitServer:
        return rabbit

    @pytest.fixture
    def connect(self, rabbit: RabbitServer) -> Iterator[Connect]:
        with connecting(lambda: Passing(rabbit.url).broker(timeout=5, heartbeat=2)) as connect:
            yield connect
