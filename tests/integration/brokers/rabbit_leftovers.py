"""A broker on a RabbitMQ that others use too: what it made is removed after the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

from atomos.core.adapters.messaging.names import queue_of
from atomos.core.adapters.messaging.rabbitmq import RabbitBroker
from atomos.core.adapters.messaging.rabbitmq.link import Link, place_of
from atomos.core.service.messaging import Subscription, Topology


class Passing:
    """One exchange of a test's own, and the queues that are declared for it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.exchange = f"atomos-test-{uuid4().hex[:12]}"
        self._queues: set[str] = set()

    def broker(self, **options: Any) -> RabbitBroker:
        """Make a broker that uses the exchange."""
        return _Remembering(self._queues, self.url, exchange=self.exchange, **options)

    def remember(self, subscription: Subscription) -> None:
        """Remove its queue as well, though another broker has made it."""
        self._queues.add(queue_of(self.exchange, subscription))

    @contextmanager
    def link(self) -> Iterator[Link]:
        """Connect past the broker."""
        with closing(Link(place_of(self.url, 10, 10), "test")) as link:
            yield link

    def remove(self) -> None:
        """Remove what was made, where it is still there."""
        with self.link() as link:
            for queue in self._queues:
                link.channel.queue_delete(queue)
            link.channel.exchange_delete(self.exchange)


class _Remembering(RabbitBroker):
    def __init__(self, queues: set[str], url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._queues = queues

    def declare(self, topology: Topology) -> None:
        self._queues.update(queue_of(self._prefix, each) for each in topology.subscriptions)
        super().declare(topology)
