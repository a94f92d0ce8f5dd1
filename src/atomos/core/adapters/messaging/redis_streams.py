"""Redis Streams: a topic is a stream, and a service that reads it a consumer group of that stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from weakref import WeakSet

from ...service.messaging import (
    Broker,
    Consumer,
    NotRouted,
    NotTaken,
    Outcome,
    Subscription,
    TooLarge,
    Topology,
    WireMessage,
)
from .names import redis_stream_of
from .redis_reading import Reads, RedisConsumer, make_group
from .redis_wire import client_of, fields_of, redis, told_plainly

MOST_BYTES = 512 * 1024 * 1024
"""The largest value of a Redis, in bytes, unless its `proto-max-bulk-len` says otherwise."""

_LEAST_BYTES = 1024 * 1024
_LIMIT = "proto-max-bulk-len"


class RedisBroker(Broker):
    """Carries messages over the streams of a Redis, 6.2 or newer. The stream of a topic is `prefix:topic`.

    A message is confirmed when Redis has replied. Whether it then survives the end of the server is up to the
    server's settings: `appendonly yes` with `appendfsync always` keeps what it has confirmed, `everysec` may lose the
    last second, and without either a restart loses all. Repeats are not dropped.

    The group of a service begins with the oldest message that the stream still holds. What all groups have
    acknowledged is removed from the stream by those who read it; a group that nobody reads keeps everything.

    `declare` makes the streams and groups of subscriptions, so that a topic which nobody ever subscribed to has no
    stream, and what is published to it is `NotRouted`. `batch` is how many pending entries are looked through at
    once; `timeout` is in seconds, for a connection and for each reply.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "atomos",
        declare: bool = True,
        batch: int = 100,
        timeout: float = 10.0,
    ) -> None:
        self._url = url
        self._prefix = prefix
        self._declares = declare
        self._batch = batch
        self._timeout = timeout
        # Its pool is thread-safe, and empty in a process that was forked.
        self._redis = client_of(url, timeout)
        self._consumers: WeakSet[RedisConsumer] = WeakSet()

    def publish(self, topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
        """Publish in this order, in one round trip, and say what became of each. Raises `Unavailable`."""
        key = self._key(topic)
        largest = self._largest(messages)
        outcomes: list[Outcome] = [_too_large(each, largest) for each in messages]
        sent = [number for number, outcome in enumerate(outcomes) if outcome is None]
        if not sent:
            return outcomes
        pipeline = self._redis.pipeline(transaction=False)
        for number in sent:
            pipeline.execute_command("XADD", key, "NOMKSTREAM", "*", *_flat(messages[number]))
        with told_plainly(self._redis, "take messages"):
            replies = pipeline.execute(raise_on_error=False)
        for number, reply in zip(sent, replies, strict=True):
            outcomes[number] = self._outcome(reply, topic, key)
        return outcomes

    def consume(self, subscription: Subscription) -> Consumer:
        """Begin to read a subscription, with what its service has not acknowledged. Raises `Unavailable`."""
        key = self._key(subscription.topic)
        reads = Reads(key, subscription.service, self._declares, self._batch, self._timeout)
        with told_plainly(self._redis, "answer"):
            own = client_of(self._url, self._timeout, single=True)
        consumer = RedisConsumer(own, self._redis, reads)
        self._consumers.add(consumer)
        consumer.begin()
        return consumer

    def declare(self, topology: Topology) -> None:
        """Make the stream and the group of every subscription that is not there. Raises `Unavailable`."""
        if not self._declares:
            return
        with told_plainly(self._redis, "make a consumer group"):
            for each in topology.subscriptions:
                make_group(self._redis, self._key(each.topic), each.service)

    def explain(self, topology: Topology) -> Sequence[str]:
        """Say what `declare` would make, and what others have to."""
        read = {each.topic for each in topology.subscriptions}
        return [
            *(
                f"The stream {self._key(each.topic)} with the consumer group {each.service}, from its first entry on."
                for each in topology.subscriptions
            ),
            *(
                f"Nothing for {each}, which is published: the services that read it make the stream {self._key(each)}."
                for each in topology.topics
                if each not in read
            ),
        ]

    def check(self) -> None:
        """Ask Redis for a sign of life. Raises `Unavailable`."""
        with told_plainly(self._redis, "answer"):
            self._redis.ping()

    def close(self) -> None:
        """Close the consumers, and the connections."""
        for each in list(self._consumers):
            each.close()
        self._redis.close()

    def _key(self, topic: str) -> str:
        return redis_stream_of(self._prefix, topic)

    def _largest(self, messages: Sequence[WireMessage]) -> int:
        """Say how large a message may be: Redis is asked where it matters, and has the usual limit where it is silent.

        It would close the connection on which a larger one comes, and could not be told from one that is away.
        """
        if all(len(each.body) <= _LEAST_BYTES for each in messages):
            return MOST_BYTES
        with told_plainly(self._redis, "answer"), suppress(redis.ResponseError):
            return int(self._redis.config_get(_LIMIT).get(_LIMIT, MOST_BYTES))
        return MOST_BYTES

    def _outcome(self, reply: object, topic: str, key: str) -> Outcome:
        if reply is None:
            return NotRouted(f"Nobody ever subscribed to {topic}: there is no stream {key}.")
        if isinstance(reply, redis.ResponseError):
            return NotTaken(f"Redis did not take a message for {topic}: {reply}")
        if isinstance(reply, Exception):
            return NotTaken(f"Redis did not take a message for {topic}.")
        return None


def _flat(message: WireMessage) -> list[bytes]:
    return [each for pair in fields_of(message).items() for each in pair]


def _too_large(message: WireMessage, largest: int) -> TooLarge | None:
    size = len(message.body)
    if size <= largest:
        return None
    return TooLarge(f"The message has {size:,} bytes; Redis takes {largest:,} at the most ({_LIMIT}).")
