"""Messaging: what the application asks of a message broker, whose other side need not know it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from ..domain.errors import DomainError
from .ports import Outside, Unavailable

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
"""A message without headers."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class WireMessage(NamedTuple):
    """A message as a broker carries it. `content_type` is the media type of `body`, None where nobody said.

    `headers` are texts by name, in lower case. `id` is the sender's id of it, for a broker that drops repeats by it,
    None without one. `key` is what order is kept by, None without one.
    """

    body: bytes
    content_type: str | None = None
    headers: Mapping[str, str] = NO_HEADERS
    id: str | None = None
    key: str | None = None


class Taken(NamedTuple):
    """A message that a consumer holds; `tag` is how its broker knows it."""

    message: WireMessage
    tag: Any


class Subscription(NamedTuple):
    """A topic, read by one service: all its processes share one place in the topic."""

    topic: str
    service: str


class Topology(NamedTuple):
    """What an application publishes to and reads from."""

    topics: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]


class TopicPlace(NamedTuple):
    """Where a topic is on a broker, for whoever has no Atomos.

    `address` is what it is called there, and `how` says what to do with it. The others are what AsyncAPI has of it
    beside that (bindings, and extensions `x-...`): of the channel, and of who sends and who receives.
    """

    address: str
    how: str = ""
    channel: Mapping[str, Any] = _NOTHING
    send: Mapping[str, Any] = _NOTHING
    receive: Mapping[str, Any] = _NOTHING


class NotRouted(DomainError):
    """A broker has nowhere to put a message: nobody ever subscribed to its topic."""


class NotTaken(Unavailable):
    """A broker refused a message: a queue or stream is full, or it could not be stored. It may be taken later."""


class TooLarge(DomainError):
    """A message is larger than the broker takes."""


Outcome = NotRouted | NotTaken | TooLarge | None
"""What became of a message that was published: None, the broker has confirmed that it is kept; or why it is not."""


class Consumer(ABC):
    """Reads one subscription, in order. One thread uses it; `close` may be called by another."""

    @abstractmethod
    def receive(self, most: int, seconds: float) -> Sequence[Taken]:
        """Take the next messages, `most` at the most; wait up to so many seconds for the first.

        With `most` zero nothing is taken: a connection that rests is only kept from being taken for dead.

        What was taken and not acknowledged before this consumer began, by one that is gone, comes first. Of what
        this consumer has not acknowledged nothing comes again. Raises `Unavailable`; then it is closed, and a new
        one gets again what was not acknowledged.
        """

    @abstractmethod
    def acknowledge(self, taken: Sequence[Taken]) -> None:
        """Tell the broker that these are kept: they were taken one after the other, and the last one is the newest.

        Raises `Unavailable`, after which nobody knows; they may come again.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what was not acknowledged, at once where the broker can."""


class Broker(Outside):
    """Carries messages between services: topics are published to, subscriptions read. Threads may share it.

    `settles` is for how many seconds `receive` may have to wait for what is there already.
    """

    settles: ClassVar[float] = 0.2

    @abstractmethod
    def publish(self, topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
        """Publish in this order, wait for every confirmation, and say what became of each.

        Raises `Unavailable` where the broker is away or does not answer in time: then some may have been kept. A
        lost connection is made anew with the next call.
        """

    @abstractmethod
    def consume(self, subscription: Subscription) -> Consumer:
        """Begin to read a subscription. Raises `Unavailable`."""

    @abstractmethod
    def declare(self, topology: Topology) -> None:
        """Make what is needed and is not there, durable; harmless when several do it. Raises `Unavailable`.

        Does nothing where the topology is managed elsewhere.
        """

    @abstractmethod
    def explain(self, topology: Topology) -> Sequence[str]:
        """Say, a sentence each, what `declare` would make. Needs no server."""

    @abstractmethod
    def check(self) -> None:
        """Find out whether the broker answers. Raises `Unavailable`."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection."""
