"""A sender and a receiver in real processes, and the broker between them, which a test may stop."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

from atomos.core.service import Broker, MessageBus, Origin, WireMessage
from atomos.core.service.envelope import hashed_id
from atomos.testing.broker_servers import NatsServer, RedisServer
from atomos.testing.brokers import RabbitServer
from atomos.testing.databases import need_service
from atomos.testing.faults import Scenario
from atomos.testing.processes import wait_until
from atomos.testing.servers import PostgresServer

from .conftest import PROJECT
from .post import RECEIVER, SENDER, SENT, Sent, Stepped

BOXES = 5
WORKERS = 2
SECONDS = 60.0

_DONE = "select count(*) from atomos_delivery where recipient like 'topic:%' and status = 'done'"
_GIVEN_UP = "select recipient, errors from atomos_delivery where status in ('dead', 'parked')"
_ENTRIES = "select account, number from ledger_entry order by id"


class Carrier(NamedTuple):
    """A broker's server of a test's own; `largest` is the size of the largest message that it takes, in bytes."""

    server: Any
    largest: int

    def place(self, port: int | None = None) -> str:
        """Give the URL of a place where nothing is yet; a pair sees to that with its prefix, which databases lack."""
        url = self.server.url
        if isinstance(self.server, PostgresServer):
            name = f"t{uuid4().hex[:8]}"
            self.server.run(f"create database {name}")  # type: ignore[arg-type]
            url = self.server.url(name)
        return str(url).replace(f":{self.server.port}", f":{port or self.server.port}")


@contextmanager
def carrier(kind: str) -> Iterator[Carrier]:
    """Start a server; skip the test, or fail it, where its program is missing."""
    make, largest = _SERVERS[kind]
    try:
        server = make()
        server.start()
    except FileNotFoundError as error:
        need_service(kind, error)
        raise
    with ExitStack() as stack:
        stack.callback(server.remove)
        yield Carrier(server, largest)


_SERVERS: dict[str, tuple[Callable[[], Any], int]] = {
    "database": (lambda: PostgresServer(settings={"fsync": "on"}), 16 * 1024 * 1024),
    "rabbitmq": (lambda: RabbitServer(settings={"max_message_size": "1000000"}), 1_000_000),
    "redis": (lambda: RedisServer(settings={"proto-max-bulk-len": "1mb"}), 1024 * 1024),
    "nats": (NatsServer, 1024 * 1024),
}
CARRIERS = tuple(_SERVERS)
"""The kinds of brokers."""


def drive(bus: MessageBus, number: int) -> None:
    """Send a number to its box; a repeat is recognised."""
    bus.emit(Sent(account=box(number), number=number), Origin(id=hashed_id("sent", number)))


def drive_in_step(bus: MessageBus, number: int) -> None:
    """Send a number to its box, to be published when the one before it is."""
    bus.emit(Stepped(account=box(number), number=number), Origin(id=hashed_id("stepped", number)))


def box(number: int) -> str:
    """Name the box of a number."""
    return f"box-{number % BOXES}"


def written(number: int, **said: Any) -> WireMessage:
    """Write a number as another service might; no broker can tell a repeat by its id."""
    data = {"account": box(number), "number": number, "deed": ""}
    event = {"specversion": "1.0", "id": f"n-{number}", "source": "/elsewhere", "type": SENT, "data": data}
    text = json.dumps({**event, "partitionkey": box(number), **said})
    return WireMessage(text.encode(), "application/cloudevents+json", key=box(number))


class Pair:
    """A sender and a receiver, each with a database and workers of its own; entered, their databases are there."""

    def __init__(self, folder: Path, databases: tuple[str, str], url: str, **settings: str) -> None:
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        shared = {
            "PYTHONPATH": path,
            "ATOMOS_BROKER__URL": url,
            "ATOMOS_BROKER__PREFIX": f"t{uuid4().hex[:8]}",
            "ATOMOS_BROKER__TIMEOUT": "3",
            "ATOMOS_BROKER__HEARTBEAT": "1",
            **settings,
        }
        self.sender, self.receiver = (
            Scenario(
                folder / name,
                database,
                app=app,
                settings={**shared, "ATOMOS_BROKER__SERVICE": name},
            )
            for name, app, database in zip(("sender", "receiver"), (SENDER, RECEIVER), databases, strict=True)
        )
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            for each in self.both:
                entering.enter_context(each)
            self._entered = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    @property
    def both(self) -> tuple[Scenario, Scenario]:
        """Both applications."""
        return self.sender, self.receiver

    def named(self, name: str) -> Scenario:
        """One of them."""
        return self.sender if name == "sender" else self.receiver

    @property
    def broker(self) -> Broker:
        """The broker, as the receiver's application in this process has it."""
        broker: Broker = self.receiver.atomos.container.core.broker()
        return broker

    def subscribe(self) -> None:
        """Have the receiver's place in the topics, as its first worker makes it."""
        self.broker.declare(self.receiver.atomos.topology)

    def start(self, *which: Scenario, workers: int = WORKERS) -> None:
        """Start workers of both, or of one, and wait until they deliver."""
        started = [each.start_worker(ready=False) for each in which or self.both for _ in range(workers)]
        wait_until(lambda: all(worker.is_ready for worker in started), SECONDS, "workers to be ready")

    def published(self) -> int:
        """How many deliveries the broker has confirmed, as the sender's log has it."""
        return self.sender.number(_DONE)

    def entered(self) -> int:
        """How many entries the receiver has."""
        return self.receiver.number("select count(*) from ledger_entry")

    def numbers(self) -> list[int]:
        """Which numbers are entered."""
        return [number for _, number in self.receiver.look(_ENTRIES)]

    def given_up(self) -> list[Any]:
        """What is dead or parked, on both sides."""
        return [row for each in self.both for row in each.look(_GIVEN_UP)]

    def settle(self, count: int, seconds: float = SECONDS, *, tended: bool = False) -> None:
        """Wait until so many numbers are entered, and nothing waits on either side."""
        self.sender.settle(seconds, tended=tended)

        def are_entered() -> bool:
            if tended:
                self.receiver.tend()
            return self.entered() >= count

        wait_until(are_entered, seconds, f"{count} numbers to be entered, of which {self.entered()} were")
        self.receiver.settle(seconds, tended=tended)

    def broken(self, numbers: Iterable[int], *, given_up: bool = False) -> list[str]:
        """Say what is broken, after these numbers were sent in this order, and all is over.

        `given_up` is whether anything may be dead or parked.
        """
        wanted, found = defaultdict(list), defaultdict(list)
        for number in numbers:
            wanted[box(number)].append(number)
        for account, number in self.receiver.look(_ENTRIES):
            found[account].append(number)
        wrong = [
            f"{each} has {found[each]}, and should have {wanted[each]}"
            for each in sorted(wanted.keys() | found.keys())
            if found[each] != wanted[each]
        ]
        lost = [] if given_up else [f"given up: {row}" for row in self.given_up()]
        return [*wrong, *lost, *self.sender.broken(), *self.receiver.broken()]
