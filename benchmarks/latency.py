"""How long a single message takes to its handler, in a worker process that was idle: Atomos and its peers.

`python benchmarks/latency.py` sends one message at a time, waits until its handler has begun, pauses, and lets the
next contestant send; medians. PostgreSQL and RabbitMQ are expected on the loopback (ATOMOS_TEST_POSTGRES_URL,
BENCH_RABBITMQ name others). `--only Atomos` leaves the peers out.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from backlog import CELERY, DRAMATIQ, PROCRASTINATE, Settings, _asked, _delete_queues, working
from marks import TIMES, marker
from measuring import Bar, Taken, facts, finish, in_turns, parser, spread
from postgres import database
from prometheus_client import CollectorRegistry

from atomos.core.adapters import Database, PrometheusMeter, SqlDeliveries, SqlMessageLog, SystemClock
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.waking import PostgresWake
from atomos.core.domain import Event
from atomos.core.service import MessageBus, Routes, Worker, join

PAUSE = 0.03, 0.12
"""Seconds between two messages, drawn at random: each finds its worker idle."""

ATOMOS = "Atomos"

_WARM_UP = 10

Send = Callable[[int], int | None]
"""Sends one message, kept for good when it returns; gives when it was committed, None: when this returned."""

marking = cache(marker)


class Sent(Event, name="latency.sent"):
    number: int


def hear(event: Sent) -> None:
    """What is measured: when it begins."""
    marking()(event.number)


class TimedWake(PostgresWake):
    """Notes when the transaction had been committed."""

    committed = 0

    def announce(self, recipients: Collection[str] = ()) -> None:
        self.committed = time.monotonic_ns()
        super().announce(recipients)


class Contestant:
    """One queue with its idle worker. `calls` are milliseconds from the beginning of each call that sent."""

    def __init__(self, send: Send, heard: BinaryIO, said: str) -> None:
        self._send = send
        self._heard = heard
        self._number = 0
        self.said = said
        self.calls: list[float] = []

    def run(self) -> float:
        """Send one message; give the milliseconds from its commit, or the broker's confirm, to its handler."""
        self._number += 1
        time.sleep(random.uniform(*PAUSE))
        begun = time.monotonic_ns()
        committed = self._send(self._number) or time.monotonic_ns()
        heard, at = map(int, self._heard.readline().split())
        assert heard == self._number, f"{heard} was heard, and {self._number} sent"
        self.calls.append((at - begun) / 1e6)
        return (at - committed) / 1e6

    def warm_up(self) -> None:
        """Have the process begun, and its connections made."""
        for _ in range(_WARM_UP):
            self.run()
        self.calls.clear()


@contextmanager
def contestant(settings: Settings, send: Send) -> Iterator[Contestant]:
    """Start a worker that writes to a pipe what it handled."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(pipe := Path(folder) / "times")
        # Open for both: nobody waits for the other side.
        with os.fdopen(os.open(pipe, os.O_RDWR), "rb") as heard:
            told = settings._replace(environment={**settings.environment, TIMES: str(pipe)})
            with working(told):
                ready = Contestant(send, heard, settings.said)
                ready.warm_up()
                yield ready


def application(url: str) -> tuple[MessageBus, SqlDeliveries, TimedWake, Database]:
    """Put Atomos' application together."""
    routes = join(latency=[Routes(reactions={Sent: [hear]})])
    opened = Database(url)
    wake, codec = TimedWake(opened), Codec(routes.messages())
    log = SqlMessageLog(opened, codec, wake)
    bus = MessageBus(routes, {"latency": {}}, log, SystemClock(), PrometheusMeter(CollectorRegistry()))
    return bus, SqlDeliveries(opened, codec), wake, opened


def work(url: str) -> None:
    """Be Atomos' worker process."""
    bus, deliveries, wake, _ = application(url)
    Worker(bus, deliveries, wake).run()


@contextmanager
def atomos() -> Iterator[Contestant]:
    """Emit an event, for a reaction."""
    with database() as url, ExitStack() as stack:
        bus, _, wake, opened = application(url)
        stack.callback(opened.close)
        stack.callback(wake.close)

        def send(number: int) -> int:
            bus.emit(Sent(number=number))
            return wake.committed

        settings = Settings("its own defaults", [(sys.executable, __file__, "--worker", url)])
        yield stack.enter_context(contestant(settings, send))


@contextmanager
def procrastinate() -> Iterator[Contestant]:
    """Defer a job; the worker listens."""
    with database() as url:
        os.environ["BENCH_PROCRASTINATE"] = url
        import backlog_procrastinate as peer

        settings = Settings("listens, 10 at once", [peer.worker(10, "successful")])
        with peer.sender(url), contestant(settings, lambda n: _nothing(peer.mark.defer(n=n))) as ready:
            yield ready


@contextmanager
def celery() -> Iterator[Contestant]:
    """Send a task, and wait for the broker's confirm."""
    import backlog_celery as peer

    settings = Settings("solo, prefetch 1", [peer.worker("latency", "solo", 1)], {"CELERY_PREFETCH": "1"})
    connection = peer.APP.connection_for_write(transport_options={"confirm_publish": True})
    with connection, peer.APP.amqp.Producer(connection) as producer:
        send = peer.mark.apply_async
        with contestant(settings, lambda n: _nothing(send((n,), producer=producer))) as ready:
            yield ready
    _delete_queues(["bench-celery"])


@contextmanager
def dramatiq() -> Iterator[Contestant]:
    """Send a message, and wait for the broker's confirm."""
    import backlog_dramatiq as peer
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    settings = Settings("2 threads", [peer.worker(1, 2)])
    broker = RabbitmqBroker(url=peer.URL, confirm_delivery=True)
    broker.declare_queue(peer.mark.queue_name, ensure=True)
    with contestant(settings, lambda n: _nothing(broker.enqueue(peer.mark.message(n)))) as ready:
        yield ready
    broker.close()
    _delete_queues([f"bench-dramatiq{suffix}" for suffix in ("", ".DQ", ".XQ")])


ALL = {ATOMOS: atomos, PROCRASTINATE: procrastinate, DRAMATIQ: dramatiq, CELERY: celery}
PACKAGES = ("atomos-framework", "psycopg", "procrastinate", "dramatiq", "celery")


def _nothing(_: object) -> None:
    return None


def main() -> None:
    """Measure all in turns, one message each."""
    options = parser("One message, from its commit to its handler in an idle worker process")
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--only", nargs="+", choices=ALL, default=list(ALL), help="only these")
    given = options.parse_args()
    with ExitStack() as stack:
        ready = {name: stack.enter_context(ALL[name]()) for name in given.only}
        taken = in_turns(given.rounds, {name: each.run for name, each in ready.items()})
    lines = [
        facts(*PACKAGES),
        f"{given.rounds} rounds, a worker process each, {PAUSE[0]} to {PAUSE[1]} s between two messages; PostgreSQL "
        f"{_asked('show server_version')}, fsync {_asked('show fsync')}, synchronous_commit "
        f"{_asked('show synchronous_commit')}; durable queues, persistent messages, publisher confirms",
        "",
        *table(taken, ready),
        "from the commit: Atomos from its transaction's commit, Procrastinate from the return of defer, Dramatiq and",
        "Celery from the broker's confirm, before which it may hand the message out. The call: from its beginning.",
    ]
    bars = [
        Bar("Atomos, median", statistics.median(taken[ATOMOS]), 3.0, "ms"),
        Bar("Atomos, 95th percentile", percentile(taken[ATOMOS], 95), 10.0, "ms"),
    ]
    finish(
        "One message, from its commit to its handler in an idle worker process (ms)", lines, bars, given.json
    )


def table(taken: Taken, ready: dict[str, Contestant]) -> list[str]:
    """Say how each did, from its commit, and from the beginning of the call that sent."""
    ours = statistics.median(ready[ATOMOS].calls)
    lines = [
        f"{'':<15}{'from commit':>12}{'(middle half)':>18}{'95 %':>7}{'99 %':>7}"
        f"   {'the call':>8}{'95 %':>7}  of Atomos   settings"
    ]
    for name, each in taken.items():
        calls = ready[name].calls
        commit = f"{statistics.median(each):>12.2f}{f'({spread(each)})':>18}{percentile(each, 95):>7.2f}"
        call = f"{statistics.median(calls):>8.2f}{percentile(calls, 95):>7.2f}{statistics.median(calls) / ours:>11.2f}"
        lines.append(f"{name:<15}{commit}{percentile(each, 99):>7.2f}   {call}   {ready[name].said}")
    return lines


def percentile(taken: Any, n: int) -> float:
    """Give the value that n percent of the messages did not exceed."""
    return statistics.quantiles(taken, n=100)[n - 1]


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1:2] == ["--worker"] else main()
