"""How long a single event takes from its commit to its handler, in a worker process that was idle."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from measuring import Bar, facts, finish, in_turns, spread
from postgres import database
from prometheus_client import CollectorRegistry

from atomos.core.adapters import Database, PrometheusMeter, SqlDeliveries, SqlMessageLog, SystemClock
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.waking import PostgresWake
from atomos.core.domain import Event
from atomos.core.service import MessageBus, Routes, Worker, join

ROUNDS = 300
PAUSE = 0.03, 0.12
"""Seconds between two events, drawn at random: each finds its worker idle."""


class Sent(Event, name="latency.sent"):
    number: int


def hear(event: Sent) -> None:
    """What is measured: when it begins. The parent reads the line."""
    os.write(1, f"{event.number} {time.monotonic_ns()}\n".encode())


class TimedWake(PostgresWake):
    """Notes when the transaction had been committed."""

    committed = 0

    def announce(self) -> None:
        self.committed = time.monotonic_ns()
        super().announce()


def application(url: str) -> tuple[MessageBus, SqlDeliveries, TimedWake, Database]:
    """Put the application together."""
    routes = join(latency=[Routes(reactions={Sent: [hear]})])
    opened = Database(url)
    wake, codec = TimedWake(opened), Codec(routes.messages())
    log = SqlMessageLog(opened, codec, wake)
    bus = MessageBus(routes, {"latency": {}}, log, SystemClock(), PrometheusMeter(CollectorRegistry()))
    return bus, SqlDeliveries(opened, codec), wake, opened


def work(url: str) -> None:
    """Be the worker process."""
    bus, deliveries, wake, _ = application(url)
    Worker(bus, deliveries, wake).run()


@contextmanager
def atomos(url: str) -> Iterator[Callable[[], float]]:
    """Give what sends one event and says how many milliseconds it took from the commit to the handler."""
    bus, _, wake, opened = application(url)
    command = [sys.executable, __file__, "--worker", url]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    number = 0

    def once() -> float:
        nonlocal number
        number += 1
        time.sleep(random.uniform(*PAUSE))
        bus.emit(Sent(number=number))
        heard, at = map(int, worker.stdout.readline().split())
        assert heard == number, f"{heard} was heard, and {number} sent"
        return (at - wake.committed) / 1e6

    try:
        for _ in range(10):  # the first ones wait for the process to begin
            once()
        yield once
    finally:
        worker.kill()
        worker.wait()
        wake.close()
        opened.close()


def main() -> None:
    """Measure all in turns, one event each."""
    with database() as url, atomos(url) as mine:
        contestants: dict[str, Callable[[], float]] = {"Atomos": mine}
        taken = in_turns(ROUNDS, contestants)
    lines = [facts("atomos-framework", "psycopg"), "", *table(taken)]
    bars = [
        Bar("Atomos, median", statistics.median(taken["Atomos"]), 3.0, "ms"),
        Bar("Atomos, 95th percentile", percentile(taken["Atomos"], 95), 10.0, "ms"),
    ]
    finish("One event, from its commit to its handler in an idle worker process (ms)", lines, bars)


def table(taken: dict[str, list[float]]) -> list[str]:
    """Say how each did."""
    head = f"{'':<24}{'median':>8}{'(middle half)':>20}{'95 %':>8}{'99 %':>8}{'worst':>8}"
    return [head, *(line(name, each) for name, each in taken.items())]


def line(name: str, taken: list[float]) -> str:
    """Say how one did."""
    figures = f"{percentile(taken, 95):>8.2f}{percentile(taken, 99):>8.2f}{max(taken):>8.2f}"
    return f"{name:<24}{statistics.median(taken):>8.2f}{spread(taken):>20}{figures}"


def percentile(taken: Any, n: int) -> float:
    """Give the value that n percent of the events did not exceed."""
    return statistics.quantiles(taken, n=100)[n - 1]


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1:2] == ["--worker"] else main()
