"""How many messages go from the log to a broker a second, each confirmed: Atomos, and a relay written by hand.

`python benchmarks/relay.py` fills the log with deliveries to one topic, starts one process, and times from the first
that was completed to the last, in turns; medians. PostgreSQL and the brokers are expected on the loopback
(ATOMOS_TEST_POSTGRES_URL, ATOMOS_TEST_RABBITMQ_URL, ATOMOS_TEST_REDIS_URL, ATOMOS_TEST_NATS_URL name others).
`--batch` is how many the relay by hand takes at once; Atomos takes what it always takes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from measuring import Bar, facts, finish, in_turns, medians, parser, ratio, spread
from postgres import database
from relay_atomos import TOPIC, Application, Placed
from uuid_utils import uuid7

from atomos.bootstrap import Atomos, load_settings
from atomos.core.service import Subscription, Topology
from atomos.core.service.delivery import Delivery, Record
from atomos.core.service.envelope import Envelope, new_id

HERE = Path(__file__).parent
BROKERS = {
    "RabbitMQ": os.environ.get("ATOMOS_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/"),
    "Redis Streams": os.environ.get("ATOMOS_TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
    "NATS JetStream": os.environ.get("ATOMOS_TEST_NATS_URL", "nats://127.0.0.1:4222"),
}
COUNT, KEYS, ROUNDS, BATCH = 20_000, 400, 5, 100
LEAST = 70.0
_PATIENCE = 60.0
_A_TRANSACTION = 1000


class Relay:
    """A log that is full of deliveries to one broker's topic, again for each round."""

    def __init__(self, url: str, broker: str, count: int, batch: int) -> None:
        self._url = url
        self._broker = broker
        self._count = count
        self._batch = batch
        self._name = f"bench-{str(uuid7())[-12:]}"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(HERE),
            "ATOMOS_BROKER__URL": broker,
            "ATOMOS_BROKER__PREFIX": self._name,
            "ATOMOS_LOG__LEVEL": "warning",
        }

    def atomos(self) -> float:
        """Let a worker of Atomos publish everything; give the messages a second."""
        command = [sys.executable, "-m", "atomos", "--app", "relay_atomos:Application", "worker"]
        return self._timed(command)

    def by_hand(self) -> float:
        """Let the relay by hand publish everything; give the messages a second."""
        command = [sys.executable, str(HERE / "relay_by_hand.py"), self._url, self._broker, self._name]
        return self._timed([*command, str(self._batch)])

    def _timed(self, command: Sequence[str]) -> float:
        self._fill()
        with psycopg.connect(self._url, autocommit=True) as connection, _running(command, self._environment):
            first, begun = self._done(connection, 1)
            last, ended = self._done(connection, self._count)
            return (last - first) / (ended - begun)

    def _done(self, connection: psycopg.Connection, least: int) -> tuple[int, float]:
        until = time.perf_counter() + _PATIENCE
        while time.perf_counter() < until:
            row = connection.execute(
                "select %s - count(*) from atomos_delivery where status = 'ready'", [self._count]
            )
            (done,) = row.fetchone() or (0,)
            if done >= least:
                return done, time.perf_counter()
            time.sleep(0.01)
        raise TimeoutError(f"{least} of {self._count} were not published within {_PATIENCE:g} s")

    def _fill(self) -> None:
        os.environ |= {
            name: self._environment[name] for name in ("ATOMOS_BROKER__URL", "ATOMOS_BROKER__PREFIX")
        }
        with closing(Atomos(Application, load_settings(Application))) as atomos:
            core = atomos.container.core
            core.broker().declare(Topology((TOPIC,), (Subscription(TOPIC, "reader"),)))
            with core.database().transaction() as connection:
                connection.exec_driver_sql("truncate atomos_message, atomos_delivery, atomos_lease")
            for start in range(0, self._count, _A_TRANSACTION):
                core.message_log().append([_record(n) for n in range(start, start + _A_TRANSACTION)])
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("vacuum analyze atomos_delivery")
            connection.execute("checkpoint")


def _record(number: int) -> Record:
    id_, key = new_id(), f"order-{number % KEYS}"
    event = Placed(order=key, sku="CHAIR-0123456789", quantity=number % 9 + 1, customer="customer-0123456789")
    envelope = Envelope(id_, id_, None, datetime.now(UTC), key, "bench", None)
    return Record("event", envelope, event, (Delivery(f"topic:{TOPIC}", key),))


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Measure, and print a table."""
    options = parser("From the log to a broker, with confirmations.")
    options.add_argument("--messages", type=int, default=COUNT)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--batch", type=int, default=BATCH)
    given = options.parse_args()
    lines, bars = [], []
    with database() as url:
        for name, broker in BROKERS.items():
            relay = Relay(url, broker, given.messages, given.batch)
            taken = in_turns(given.rounds, {"Atomos": relay.atomos, "by hand": relay.by_hand})
            middle = medians(taken)
            for who, each in taken.items():
                lines.append(f"{name:<16}{who:<10}{middle[who]:>10,.0f}   ({spread(each)})")
            bars.append(
                Bar(f"log to {name}", 100 * ratio(taken, "Atomos", "by hand"), LEAST, "%", at_least=True)
            )
    head = [
        facts("psycopg", "kombu", "redis", "nats-py"),
        f"{given.messages:,} deliveries of {KEYS} keys in the log, one process; median of {given.rounds} rounds",
        f"by hand: {given.batch} at once; fsync on; messages a second (middle half)",
    ]
    finish("From the log to a broker, each message confirmed", [*head, *lines], bars, given.json)


if __name__ == "__main__":
    main()
