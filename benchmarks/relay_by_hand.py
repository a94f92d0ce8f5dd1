"""A relay written by hand, for `relay.py`: claims, publishes, waits for the confirmations, completes; and again.

`python relay_by_hand.py DATABASE BROKER NAME BATCH` works until nothing is left. It is what people write: one loop
for one topic, without leases that run out, retries or a second worker.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg

Publish = Callable[[Sequence[tuple[str, bytes]]], None]
"""Publishes messages, each with its id, and waits until all are confirmed."""

_CLAIM = """
with rows as materialized (
  select d.seq, d.message_id from atomos_delivery d
  where d.recipient = %(recipient)s and d.status = 'ready'
    and d.seq not in (select unnest(seqs) from atomos_lease where recipient = %(recipient)s)
  order by d.seq limit %(batch)s),
l as (insert into atomos_lease (id, worker, recipient, until, seqs, keys) overriding system value
      select 1, 'hand', %(recipient)s, statement_timestamp() + interval '15 s', array_agg(seq), '{}'
      from rows having count(*) > 0 returning id)
select r.seq, cast(m.id as text), cast(m.payload as text) from rows r join atomos_message m on m.id = r.message_id
order by r.seq
"""
_COMPLETE = """
update atomos_delivery set status = 'done', attempts = 1, completed_at = statement_timestamp()
where recipient = %(recipient)s and seq = any(%(seqs)s) and status = 'ready'
"""
_END = "delete from atomos_lease where id = 1"


def main(database: str, broker: str, name: str, batch: int) -> None:
    """Relay everything that is ready."""
    recipient = "topic:bench.placed"
    with psycopg.connect(database) as connection, publishing(broker, name) as publish:
        while True:
            found = connection.execute(_CLAIM, {"recipient": recipient, "batch": batch}).fetchall()
            connection.commit()
            if not found:
                return
            publish([(id_, payload.encode()) for _, id_, payload in found])
            connection.execute(_COMPLETE, {"recipient": recipient, "seqs": [row[0] for row in found]})
            connection.execute(_END)
            connection.commit()


@contextmanager
def publishing(url: str, name: str) -> Iterator[Publish]:
    """Connect to a broker, and give what publishes to it."""
    if url.startswith("amqp"):
        with _rabbitmq(url, name) as publish:
            yield publish
    elif url.startswith("redis"):
        yield _redis(url, name)
    else:
        with _nats(url, name) as publish:
            yield publish


@contextmanager
def _rabbitmq(url: str, exchange: str) -> Iterator[Publish]:
    import amqp
    from kombu import Connection

    with Connection(url) as connection:
        channel = connection.channel()
        channel.confirm_select()
        confirmed = 0

        def acked(tag: int, multiple: bool) -> None:
            nonlocal confirmed
            confirmed = tag if multiple else confirmed + 1

        channel.events["basic_ack"].add(acked)
        sent = 0

        def publish(messages: Sequence[tuple[str, bytes]]) -> None:
            nonlocal sent
            for id_, body in messages:
                message = amqp.Message(body, delivery_mode=2, message_id=id_)
                channel.basic_publish(message, exchange, "bench.placed", mandatory=True)
                sent += 1
            while confirmed < sent:
                connection.connection.drain_events(timeout=10)

        yield publish


def _redis(url: str, prefix: str) -> Publish:
    import redis

    client = redis.Redis.from_url(url)

    def publish(messages: Sequence[tuple[str, bytes]]) -> None:
        pipeline = client.pipeline(transaction=False)
        for id_, body in messages:
            pipeline.xadd(f"{prefix}:bench.placed", {"body": body, "id": id_}, nomkstream=True)
        assert all(pipeline.execute())

    return publish


@contextmanager
def _nats(url: str, prefix: str) -> Iterator[Publish]:
    import nats

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(nats.connect(url))
    streams = client.jetstream(publish_async_max_pending=10_000)

    async def all_of(messages: Sequence[tuple[str, bytes]]) -> None:
        waiting = [
            await streams.publish_async(f"{prefix}.bench.placed", body, headers={"Nats-Msg-Id": id_})
            for id_, body in messages
        ]
        await asyncio.gather(*waiting)

    yield lambda messages: loop.run_until_complete(all_of(messages))
    loop.run_until_complete(client.close())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
