"""How many messages go from a broker into a changed database a second: Atomos, Celery, FastStream, on RabbitMQ.

`python benchmarks/handled.py` puts messages into each one's queue, starts two worker processes, and times from the
first row that is there to the last, in turns; medians. Everyone inserts the same row in a transaction of its own,
with SQLAlchemy. Atomos writes what it reads to its log first, and a command with its answer beside the change: a
repeat is harmless there, and applied a second time by the others. PostgreSQL and RabbitMQ are expected on the
loopback (ATOMOS_TEST_POSTGRES_URL, BENCH_RABBITMQ name others).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import handled_atomos
import pika
import psycopg
from handled_change import METADATA, engine
from measuring import Bar, facts, finish, in_turns, medians, parser, ratio, spread
from postgres import database
from uuid_utils import uuid7

from atomos.bootstrap import Atomos, load_settings
from atomos.core.service import Subscription, Topology, WireMessage

HERE = Path(__file__).parent
RABBITMQ = os.environ.setdefault("BENCH_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")
ATOMOS, CELERY, FASTSTREAM = "Atomos", "Celery", "FastStream"
COUNT, ROUNDS, PROCESSES, LEAST = 4_000, 5, 2, 80.0
_PATIENCE = 60.0
_A_BATCH = 500


def orders(count: int) -> Iterator[dict[str, Any]]:
    """Make what is sent."""
    return ({"number": n, "sku": f"SKU-{n % 200:04}", "quantity": n % 9 + 1} for n in range(count))


class Contestant:
    """A queue that is filled, and processes that drain it."""

    def __init__(
        self, url: str, count: int, fill: Callable[[int], None], commands: Sequence[Sequence[str]]
    ) -> None:
        self._url, self._count, self._fill, self._commands = url, count, fill, commands

    def run(self) -> float:
        """Fill the queue and drain it; give the messages a second."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("truncate bench_order, atomos_message, atomos_delivery, atomos_lease")
            self._fill(self._count)
            connection.execute("checkpoint")
            with working(self._commands):
                first, begun = self._rows(connection, 1)
                last, ended = self._rows(connection, self._count)
        return (last - first) / (ended - begun)

    def _rows(self, connection: psycopg.Connection, least: int) -> tuple[int, float]:
        until = time.perf_counter() + _PATIENCE
        while time.perf_counter() < until:
            (rows,) = connection.execute("select count(*) from bench_order").fetchone() or (0,)
            if rows >= least:
                return rows, time.perf_counter()
            time.sleep(0.02)
        raise TimeoutError(f"{least} of {self._count} were not handled within {_PATIENCE:g} s")


@contextmanager
def working(commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """Start processes; end them."""
    environment = {**os.environ, "PYTHONPATH": str(HERE), "ATOMOS_LOG__LEVEL": "warning"}
    with ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        yield


def fill_atomos(count: int) -> None:
    """Publish CloudEvents, as another service would."""
    with closing(Atomos(handled_atomos.Application, load_settings(handled_atomos.Application))) as atomos:
        broker = atomos.container.core.broker()
        broker.declare(Topology((), (Subscription(handled_atomos.TOPIC, "bench"),)))
        messages = [WireMessage(_event(each), "application/cloudevents+json") for each in orders(count)]
        for start in range(0, count, _A_BATCH):
            broker.publish(handled_atomos.TOPIC, messages[start : start + _A_BATCH])


def _event(order: dict[str, Any]) -> bytes:
    import json

    said = {
        "specversion": "1.0",
        "id": str(uuid7()),
        "source": "/bench",
        "type": "bench.ordered",
        "data": order,
    }
    return json.dumps({**said, "partitionkey": order["sku"]}).encode()


def fill_celery(count: int) -> None:
    """Send tasks."""
    from handled_celery import APP, take_order

    with APP.producer_or_acquire() as producer:
        for each in orders(count):
            take_order.apply_async((each,), producer=producer)


def fill_faststream(count: int) -> None:
    """Send JSON."""
    import json

    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
    channel = connection.channel()
    channel.queue_declare("bench-handled-faststream", durable=True)
    properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
    for each in orders(count):
        channel.basic_publish("", "bench-handled-faststream", json.dumps(each), properties)
    connection.close()


def main() -> None:
    """Measure, and print a table."""
    options = parser("From a broker into a changed database.")
    options.add_argument("--messages", type=int, default=COUNT)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    given = options.parse_args()
    prefix = f"bench-{str(uuid7())[-12:]}"
    os.environ |= {
        "ATOMOS_BROKER__URL": RABBITMQ,
        "ATOMOS_BROKER__PREFIX": prefix,
        "ATOMOS_BROKER__SERVICE": "bench",
        "ATOMOS_DELIVERY__EMBEDDED": "false",
    }
    worker = [sys.executable, "-m", "atomos", "--app", "handled_atomos:Application", "worker"]
    celery = [sys.executable, "-m", "celery", "--app", "handled_celery:APP", "worker", "--loglevel", "error"]
    celery += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--concurrency", str(PROCESSES)]
    stream = [sys.executable, "-m", "faststream", "run", "handled_faststream:APP"]
    with database() as url:
        METADATA.create_all(engine())
        count = given.messages
        runs = {
            ATOMOS: Contestant(url, count, fill_atomos, [worker] * PROCESSES).run,
            CELERY: Contestant(url, count, fill_celery, [celery]).run,
            FASTSTREAM: Contestant(url, count, fill_faststream, [stream] * PROCESSES).run,
        }
        taken = in_turns(given.rounds, runs)
        engine().dispose()
    middle = medians(taken)
    lines = [f"{who:<12}{middle[who]:>8,.0f}   ({spread(each)})" for who, each in taken.items()]
    bars = [
        Bar(f"handled, of {peer}", 100 * ratio(taken, ATOMOS, peer), LEAST, "%", at_least=True)
        for peer in (CELERY, FASTSTREAM)
    ]
    head = [
        facts("celery", "faststream", "sqlalchemy", "psycopg", "pika"),
        f"{count:,} messages in RabbitMQ, {PROCESSES} processes; median of {given.rounds} rounds; messages a second",
    ]
    finish("From RabbitMQ into a changed database", [*head, *lines], bars, given.json)


if __name__ == "__main__":
    main()
