"""A broker in a database: several processes, and several services on one machine, publish and read through it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from ...service.messaging import (
    Broker,
    Consumer,
    NotRouted,
    Outcome,
    Subscription,
    Taken,
    TooLarge,
    Topology,
    WireMessage,
)
from ...service.ports import Unavailable
from ..database import Database
from ..database_errors import explain
from ..migrations import History, upgrade

TOPICS = History("atomos_topics", Path(__file__).with_name("migrations"))
"""The history of the topics' tables."""

_READER = "atomos_topic_reader"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Held until the commit: of one topic, messages become visible in the order of their numbers.
_READERS = {
    "postgresql": text(
        "select service from atomos_topic_reader where topic = :topic order by service for update"
    ),
    "sqlite": text("select service from atomos_topic_reader where topic = :topic"),
}
_PUBLISH = text("""
insert into atomos_topic_message (topic, id, key, content_type, headers, body, published_at)
values (:topic, :id, :key, :content_type, :headers, :body, :published_at)
""")
_NEXT = text("""
select seq, id, key, content_type, headers, body from atomos_topic_message
where topic = :topic and seq > :after order by seq limit :most
""")
_POSITION = text("select position from atomos_topic_reader where topic = :topic and service = :service")
_ADVANCE = text("""
update atomos_topic_reader set position = :position
where topic = :topic and service = :service and position < :position
""")
_FORGET = text("""
delete from atomos_topic_message where topic = :topic
  and seq <= (select min(position) from atomos_topic_reader where topic = :topic)
""")
# Whoever begins to read gets what is published from then on.
_BEGIN = text("""
insert into atomos_topic_reader (topic, service, position)
select :topic, :service, coalesce(max(seq), 0) from atomos_topic_message where topic = :topic
on conflict do nothing
""")


class DatabaseBroker(Broker):
    """Topics as tables of a database: durable, safe with several processes, and read in the order of the commits.

    `declare` says whether its tables are made where they are not there; the log's own database has them from
    `atomos db upgrade`. `batch` is how many messages may be unacknowledged. What every service has read is removed; a
    service that reads no more keeps everything, until its row in `atomos_topic_reader` is deleted. `largest` is the
    size in bytes of a message that is taken.
    """

    settles = 0.0

    def __init__(
        self,
        database: Database,
        *,
        declare: bool = True,
        batch: int = 100,
        owned: bool = False,
        largest: int = 16 * 1024 * 1024,
    ) -> None:
        self._database = database
        self._declares = declare
        self._batch = batch
        self._owned = owned
        self._largest = largest

    def publish(self, topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
        """Publish in one transaction: all of it is kept, or nothing."""
        try:
            return self._publish(topic, messages)
        except DBAPIError:
            # Whoever reads makes the tables, in a database that is the broker's own.
            with self._looking() as connection:
                if inspect(connection).has_table(_READER):
                    raise
            return _nobody_reads(topic, messages)

    def consume(self, subscription: Subscription) -> Consumer:
        """Begin to read after what was acknowledged last. Raises `Unavailable` where it was not declared."""
        with self._looking() as connection:
            has_tables = inspect(connection).has_table(_READER)
            position = connection.execute(_POSITION, subscription._asdict()).scalar() if has_tables else None
        if position is None:
            what = "a row for it" if has_tables else "its tables"
            raise Unavailable(
                f"The topic {subscription.topic} is not read by {subscription.service} yet: make {what} in the "
                "broker's database (broker.url), or set broker.declare."
            )
        return _DatabaseConsumer(self, subscription, position, self._batch)

    def declare(self, topology: Topology) -> None:
        """Make the tables, and note who reads what."""
        if not self._declares:
            return
        if self._owned:
            upgrade(self._database, [TOPICS])
        with self._transaction() as connection:
            for each in sorted(topology.subscriptions):
                connection.execute(_BEGIN, each._asdict())

    def explain(self, topology: Topology) -> Sequence[str]:
        """Say who is noted as a reader of which topic."""
        where = "a database of its own" if self._owned else "the service's own database"
        return [f"{each.service} reads {each.topic}, in {where}." for each in topology.subscriptions]

    def check(self) -> None:
        """Find out whether the database answers."""
        with self._looking() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Close the database, unless it is the log's."""
        if self._owned:
            self._database.close()

    def rows(self, topic: str, after: int, most: int) -> Sequence[Any]:
        """Give the next messages of a topic."""
        with self._looking() as connection:
            return connection.execute(_NEXT, {"topic": topic, "after": after, "most": most}).all()

    def advance(self, subscription: Subscription, position: int) -> None:
        """Note how far a service has read, and remove what nobody needs any more."""
        with self._transaction() as connection:
            connection.execute(_ADVANCE, {**subscription._asdict(), "position": position})
            connection.execute(_FORGET, {"topic": subscription.topic})

    def _publish(self, topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
        with self._transaction() as connection:
            if not connection.execute(_READERS[self._database.dialect], {"topic": topic}).all():
                return _nobody_reads(topic, messages)
            at = self._stored(datetime.now(UTC))
            outcomes = [self._refusal(each) for each in messages]
            kept = zip(messages, outcomes, strict=True)
            if rows := [_row(topic, message, at) for message, outcome in kept if outcome is None]:
                connection.execute(_PUBLISH, rows)
        return outcomes

    def _refusal(self, message: WireMessage) -> Outcome:
        size = len(message.body)
        return (
            None
            if size <= self._largest
            else TooLarge(f"It has {size} bytes; at most {self._largest} are taken.")
        )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._database.transaction() as connection:
                yield connection
        except Exception as error:
            raise explain(error, "the broker's database") or error from error

    @contextmanager
    def _looking(self) -> Iterator[Connection]:
        try:
            with self._database.look() as connection:
                yield connection
        except Exception as error:
            raise explain(error, "the broker's database") or error from error

    def _stored(self, moment: datetime) -> Any:
        return (
            moment if self._database.dialect == "postgresql" else int((moment - _EPOCH).total_seconds() * 1e6)
        )


class _DatabaseConsumer(Consumer):
    def __init__(self, broker: DatabaseBroker, subscription: Subscription, position: int, batch: int) -> None:
        self._broker = broker
        self._subscription = subscription
        self._taken_to = position
        self._batch = batch
        self._in_hand = 0
        self._is_closed = False

    def receive(self, most: int, seconds: float) -> Sequence[Taken]:
        over, pause = time.monotonic() + seconds, _FIRST_PAUSE
        room = min(most, self._batch - self._in_hand)
        while True:
            rows = self._broker.rows(self._subscription.topic, self._taken_to, room) if room > 0 else ()
            left = over - time.monotonic()
            if rows or left <= 0 or self._is_closed:
                break
            time.sleep(min(pause, left))
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        if rows:
            self._taken_to = rows[-1][0]
            self._in_hand += len(rows)
        return [_taken(*row) for row in rows]

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        if self._is_closed:
            raise Unavailable(f"The reader of {self._subscription.topic} was closed.")
        if not taken:
            return
        self._in_hand -= len(taken)
        self._broker.advance(self._subscription, taken[-1].tag)

    def close(self) -> None:
        self._is_closed = True


def _nobody_reads(topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
    return [NotRouted(f"Nobody has ever read the topic {topic}.") for _ in messages]


def _row(topic: str, message: WireMessage, at: Any) -> dict[str, Any]:
    body, content_type, headers, id_, key = message
    return {
        "topic": topic,
        "id": id_,
        "key": key,
        "content_type": content_type,
        "headers": json.dumps(dict(headers)),
        "body": body,
        "published_at": at,
    }


def _taken(
    seq: int, id_: str | None, key: str | None, content_type: str | None, headers: str, body: bytes
) -> Taken:
    return Taken(WireMessage(bytes(body), content_type, json.loads(headers), id_, key), seq)
