"""RabbitMQ as a broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakSet

from ....service.errors import MissingExtra
from ....service.messaging import (
    Broker,
    Consumer,
    NotRouted,
    Outcome,
    Subscription,
    TooLarge,
    Topology,
    WireMessage,
)
from ..names import exchange_of, queue_of

if TYPE_CHECKING:
    from .consumer import RabbitConsumer
    from .publishing import Publication

EXTRA = "rabbitmq"
"""The extra that brings the libraries."""

LARGEST = 128 * 1024 * 1024
"""The largest message, in bytes, that RabbitMQ 3 takes unless it is told otherwise; RabbitMQ 4 takes 16 MiB."""

_LIBRARIES = ("kombu", "amqp")
_SENT_TOGETHER, _BYTES_TOGETHER = 500, 4 * 1024 * 1024


def lacks_libraries() -> bool:
    """Whether the extra `rabbitmq` is not installed."""
    # They are asked for themselves: kombu hides its specification once it is imported.
    try:
        for each in _LIBRARIES:
            import_module(each)
    except ImportError:
        return True
    return False


class RabbitBroker(Broker):
    """Publishes to a topic exchange, and reads a durable quorum queue for each subscription.

    `url` is `amqp://USER:PASSWORD@HOST:PORT/VHOST` or `amqps:`; nothing is connected yet. The certificate of a server
    is checked; `?ssl_ca_certs=FILE` says who signs it, `ssl_certfile` and `ssl_keyfile` are our own. `exchange` is
    also what the names of queues begin with; empty: the server's own `amq.topic`. `declare`: false where exchanges and
    queues are made by others. `batch` is how many messages a consumer holds at the most. `timeout` is the seconds that
    a connection, an answer and the confirmations of a batch may take. `heartbeat`, in seconds, at least one: a peer of
    which twice that long nothing was heard is gone, and a connection that rested longer is made anew. `largest` is
    the size in bytes of the largest message; a server that takes less is believed. Raises `MissingExtra`, and
    `ValueError` for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        exchange: str = "atomos",
        declare: bool = True,
        batch: int = 100,
        timeout: float = 10.0,
        heartbeat: float = 10.0,
        largest: int = LARGEST,
    ) -> None:
        if lacks_libraries():
            raise MissingExtra(EXTRA, "broker.url is a RabbitMQ")
        # Not before, because the libraries need not be there.
        from .link import place_of
        from .pool import Pool

        self._place = place_of(url, timeout, heartbeat)
        self._pool = Pool(self._place)
        self._consumers: WeakSet[RabbitConsumer] = WeakSet()
        self._prefix, self._exchange = exchange, exchange_of(exchange)
        self._declares, self._batch, self._largest = declare, batch, largest

    def publish(self, topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
        """Publish in this order, up to 500 messages or 4 MiB at once, and wait for their confirmations."""
        outcomes = [self._refused(each) for each in messages]
        for places in _together(messages, [at for at, outcome in enumerate(outcomes) if outcome is None]):
            sent = self._send(topic, [messages[at] for at in places])
            for at, outcome in zip(places, sent, strict=True):
                outcomes[at] = outcome
        return outcomes

    def consume(self, subscription: Subscription) -> Consumer:
        """Begin to read a subscription's queue; while another one reads it, nothing comes."""
        from .consumer import RabbitConsumer

        consumer = RabbitConsumer(self._place, queue_of(self._prefix, subscription), self._batch)
        self._consumers.add(consumer)
        return consumer

    def declare(self, topology: Topology) -> None:
        """Make the exchange and the queues that are not there."""
        from .topology import declare

        if self._declares:
            with self._pool.link() as link:
                # It is not given back: asking for what is missing costs a channel its confirmations.
                link.is_broken = True
                declare(link, self._exchange, self._prefix, topology)

    def explain(self, topology: Topology) -> Sequence[str]:
        """Name the exchange, and each queue with its arguments and its binding."""
        from .topology import explain

        return explain(self._exchange, self._prefix, topology)

    def check(self) -> None:
        """Ask the server something that changes nothing."""
        with self._pool.link() as link:
            link.check()

    def close(self) -> None:
        """Close every connection, those of consumers too."""
        for consumer in list(self._consumers):
            consumer.close()
        self._pool.close()

    def _refused(self, message: WireMessage) -> Outcome:
        if len(message.body) > self._largest:
            return TooLarge(f"It has {len(message.body)} bytes, and RabbitMQ takes {self._largest}.")
        return None

    def _send(self, topic: str, messages: Sequence[WireMessage]) -> list[Outcome]:
        with self._pool.link() as link:
            sent = link.publish(self._exchange, topic, messages)
        for at in sorted(sent.unconfirmed):
            sent.outcomes[at] = self._told(topic, messages, at, sent)
        return sent.outcomes

    def _told(self, topic: str, messages: Sequence[WireMessage], at: int, sent: Publication) -> Outcome:
        """Find out about a message that was not confirmed because the server refused one of those sent together."""
        from .link import is_not_there, reason

        if sent.refused is not None and is_not_there(sent.refused):
            return NotRouted(f"RabbitMQ has nowhere to put it: {reason(sent.refused)}.")
        if sent.refused is not None and len(messages) == 1:
            return TooLarge(f"RabbitMQ does not take it: {reason(sent.refused)}.")
        return self._send(topic, [messages[at]])[0]


def _together(messages: Sequence[WireMessage], places: Sequence[int]) -> Iterator[list[int]]:
    """Divide messages into parts that are sent before their confirmations are waited for."""
    part: list[int] = []
    size = 0
    for at in places:
        if part and (len(part) == _SENT_TOGETHER or size + len(messages[at].body) > _BYTES_TOGETHER):
            yield part
            part, size = [], 0
        part.append(at)
        size += len(messages[at].body)
    if part:
        yield part
