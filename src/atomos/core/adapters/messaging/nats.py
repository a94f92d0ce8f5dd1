"""NATS JetStream: a topic is a stream, and a service that reads it a durable consumer of that stream."""

from __future__ import annotations

from collections.abc import Sequence

from ...service.messaging import Broker, Consumer, Outcome, Subscription, Topology, WireMessage
from .names import stream_of, subject_of
from .nats_link import Link, Session
from .nats_places import Place, keep_place, made_elsewhere, make_stream, take_place
from .nats_publishing import publish
from .nats_reading import NatsConsumer

_DAY_SECONDS = 86_400.0


class NatsBroker(Broker):
    """Carries messages over JetStream, of NATS 2.9 or newer. The subject of a topic is `prefix.topic`.

    A message is confirmed when its stream has stored it: a server that is killed knows it, and whether it survives a
    loss of power is up to the server's `sync_interval` and the stream's replicas. A message with the id of one that
    came within the stream's window, two minutes, is dropped and counts as kept.

    The place of a service begins with the oldest message that the stream still holds. A stream keeps everything for
    `keep_days`, read or not, and nothing longer; zero: for ever. Each reader makes a consumer `service+N` of its own,
    from where the one before it was, and removes that one, so that a reader which was given up can take nothing more.

    `declare` makes the streams and consumers of subscriptions, so that a topic which nobody ever subscribed to has no
    stream, and what is published to it is `NotRouted`; what is there stays as it is. Without it there has to be a
    durable pull consumer with the name of the service; what a reader that vanished held then comes after that
    consumer's `ack_wait`, and nothing newer before. `batch` is how many messages a consumer holds unacknowledged at
    the most. `timeout` is in seconds, for a connection and for each answer.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "atomos",
        declare: bool = True,
        batch: int = 100,
        timeout: float = 10.0,
        keep_days: float = 7.0,
    ) -> None:
        self._prefix = prefix
        self._declares = declare
        self._batch = batch
        self._keep_seconds = keep_days * _DAY_SECONDS
        self._link = Link(url, timeout)

    def publish(self, topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
        """Publish in this order, wait for every confirmation, and say what became of each. Raises `Unavailable`."""
        if not messages:
            return []
        subject = self._subject(topic)
        return self._link.run(lambda session: publish(session, subject, messages))

    def consume(self, subscription: Subscription) -> Consumer:
        """Begin to read a subscription, with what its service has not acknowledged. Raises `Unavailable`."""
        place = self._place(subscription)
        return self._link.run(lambda session: self._consume(session, place))

    def declare(self, topology: Topology) -> None:
        """Make the stream and a consumer of every subscription that has none. Raises `Unavailable`."""
        if not self._declares:
            return
        for each in topology.subscriptions:
            place = self._place(each)
            self._link.run(lambda session, place=place: self._declare(session, place))  # type: ignore[misc]

    def explain(self, topology: Topology) -> Sequence[str]:
        """Say what `declare` would make, and what others have to."""
        read = {each.topic for each in topology.subscriptions}
        places = [self._place(each) for each in topology.subscriptions]
        kept = f"{self._keep_seconds / _DAY_SECONDS:g} days" if self._keep_seconds else "ever"
        return [
            *(
                f"The stream {each.stream} of {each.subject}, on disk and kept for {kept}, with the durable consumer "
                f"{each.consumer(1)} (made elsewhere: {each.service})."
                for each in places
            ),
            *(
                f"Nothing for {each}, which is published: the services that read it make the stream "
                f"{stream_of(self._subject(each))}."
                for each in topology.topics
                if each not in read
            ),
        ]

    def check(self) -> None:
        """Ask NATS whether it has JetStream. Raises `Unavailable`."""
        self._link.run(lambda session: session.streams.account_info())

    def close(self) -> None:
        """Close the connection, and with it all consumers."""
        self._link.close()

    async def _declare(self, session: Session, place: Place) -> None:
        await make_stream(session, place.stream, place.subject, self._keep_seconds)
        await keep_place(session, place)

    async def _consume(self, session: Session, place: Place) -> NatsConsumer:
        if self._declares:
            await make_stream(session, place.stream, place.subject, self._keep_seconds)
            consumer = NatsConsumer(self._link, session, place, await take_place(session, place), None)
        else:
            found = await made_elsewhere(session, place)
            consumer = NatsConsumer(self._link, session, place, place.service, found)
        await consumer.begin()
        return consumer

    def _subject(self, topic: str) -> str:
        return subject_of(self._prefix, topic)

    def _place(self, subscription: Subscription) -> Place:
        subject = self._subject(subscription.topic)
        return Place(stream_of(subject), subject, subscription.service, self._batch)
