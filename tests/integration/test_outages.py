"""A database that is away for a moment or for long: nothing is lost, nobody spins, and the worker is soon back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from atomos.core.adapters import CORE, Database, SqlDeliveries, upgrade
from atomos.core.adapters.waking import wake_of
from atomos.core.service import Unavailable
from atomos.testing.processes import wait_until
from atomos.testing.servers import PostgresServer

from .worker_samples import FAST, Bells, Rung

SECONDS = 90.0
BACK_SECONDS = 2.0
SLOWNESS = 5
"""So much slower a machine may be."""

pytestmark = pytest.mark.services


class Counted(SqlDeliveries):
    """Counts its looks."""

    looks = 0

    def waiting(self, recipients: Any) -> Any:
        self.looks += 1
        return super().waiting(recipients)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def bells(server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Bells]:
    """The application with a worker at work, on a database of its own."""
    name = f"outage_{abs(hash(request.node.name))}"
    server.run(f"create database {name}")  # type: ignore[arg-type]
    database = Database(server.url(name))
    upgrade(database, [CORE])
    wake = wake_of(database)
    bells = Bells(database, wake=wake, deliveries=lambda real: Counted(database, real._codec, FAST.lease))
    with ExitStack() as stack:
        stack.callback(database.close)
        stack.callback(wake.close)
        worker = bells.worker(FAST._replace(poll=0.2))
        worker.start()
        stack.callback(worker.stop)
        yield bells


class Ringing:
    """Rings all the time, for a `with` block; `accepted` is what the database took."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ring)
        self.accepted: list[int] = []

    def __enter__(self) -> Ringing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ring(self) -> None:
        number = 0
        while not self._over.wait(0.01):
            number += 1
            try:
                self._bells.bus.emit(Rung(bell=f"bell-{number % 7}", number=number))
            except Unavailable:
                continue
            self.accepted.append(number)

    def goes_on(self) -> None:
        """Wait until another one is taken."""
        before = len(self.accepted)
        wait_until(lambda: len(self.accepted) > before + 2, SECONDS, "the database to take another one")


def wait_until_done(bells: Bells) -> None:
    def are_done() -> bool:
        # The connection that this looks through may be one of those that were ended.
        with suppress(Unavailable):
            return set(bells.statuses("bells.ring")) == {"done"}
        return False

    wait_until(are_done, SECONDS, "all deliveries")


def stop_for_a_second(server: PostgresServer) -> None:
    server.stop()
    time.sleep(1)
    server.start()


def crash(server: PostgresServer) -> None:
    server.kill()
    server.start()


def stop_for_long(server: PostgresServer) -> None:
    server.stop("immediate")
    time.sleep(7)
    server.start()


@pytest.mark.parametrize("outage", [stop_for_a_second, crash, stop_for_long])
def test_nothing_is_lost_and_the_worker_is_soon_back(
    server: PostgresServer, bells: Bells, outage: Callable[[PostgresServer], None]
) -> None:
    with Ringing(bells) as ringing:
        ringing.goes_on()
        looks, begun = bells.deliveries.looks, time.monotonic()  # type: ignore[attr-defined]
        outage(server)
        back = time.monotonic()
        heard = len(bells.script.heard["ring"])
        wait_until(lambda: len(bells.script.heard["ring"]) > heard, SECONDS, "a delivery")
        took = time.monotonic() - back
        ringing.goes_on()
    print(f"{outage.__name__}: back after {took:.2f} s")
    assert took < BACK_SECONDS * SLOWNESS, f"back after {took:.1f} s"
    if outage is stop_for_long:
        assert bells.deliveries.looks - looks < 10 + 10 * (time.monotonic() - begun), "it spins"  # type: ignore[attr-defined]

    wait_until_done(bells)
    assert set(ringing.accepted) <= set(bells.script.heard["ring"])
    assert len(ringing.accepted) <= len(bells.rows("bells.ring")), "what was taken is there"


def test_connections_that_are_ended_under_load_cost_nothing_but_time(
    server: PostgresServer, bells: Bells
) -> None:
    name = str(bells.database.url.database)
    with Ringing(bells) as ringing:
        for _ in range(5):
            ringing.goes_on()
            server.run("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", name)
    wait_until_done(bells)
    assert set(ringing.accepted) <= set(bells.script.heard["ring"])
