"""Brokers for tests of whole services: where one is, under a name of the test's own, and how it is cleaned up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import redis

from tests.integration.brokers.nats_streams import remove_streams
from tests.integration.brokers.rabbit_leftovers import Passing

RABBITMQ = os.environ.get("ATOMOS_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
REDIS = os.environ.get("ATOMOS_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
NATS = os.environ.get("ATOMOS_TEST_NATS_URL", "nats://127.0.0.1:4222")

Topics = tuple[tuple[str, str], ...]
"""Pairs of a service and a topic that it reads: RabbitMQ has a queue for each."""


@contextmanager
def broker_environment(kind: str, folder: Path, reads: Topics) -> Iterator[Mapping[str, str]]:
    """Give the variables that lead services to a broker; what they make there is removed afterwards."""
    prefix = f"test-{uuid4().hex[:12]}"
    url, remove = _PLACES[kind](folder, prefix, reads)
    try:
        yield {"ATOMOS_BROKER__URL": url, "ATOMOS_BROKER__PREFIX": prefix}
    finally:
        remove()


def _in_a_database(folder: Path, prefix: str, _: Topics) -> tuple[str, Callable[[], None]]:
    return f"sqlite:///{folder / prefix}.db", lambda: None


def _rabbitmq(_: Path, prefix: str, reads: Topics) -> tuple[str, Callable[[], None]]:
    def remove() -> None:
        passing = Passing(RABBITMQ)
        with passing.link() as link:
            for service, topic in reads:
                link.channel.queue_delete(f"{prefix}.{service}.{topic}")
            link.channel.exchange_delete(prefix)

    return RABBITMQ, remove


def _redis(_: Path, prefix: str, __: Topics) -> tuple[str, Callable[[], None]]:
    def remove() -> None:
        with closing(redis.Redis.from_url(REDIS)) as client:
            for key in client.scan_iter(f"{prefix}:*", count=1000):
                client.delete(key)

    return REDIS, remove


def _nats(_: Path, prefix: str, __: Topics) -> tuple[str, Callable[[], None]]:
    return NATS, lambda: remove_streams(NATS, prefix)


_PLACES = {"database": _in_a_database, "rabbitmq": _rabbitmq, "redis": _redis, "nats": _nats}

BROKERS = tuple(_PLACES)
"""Every kind of broker there is."""
