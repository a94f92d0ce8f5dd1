"""A revoked API key stops working within five seconds in every process of a real service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import NamedTuple

import pytest

from atomos.core.service.credentials import id_of, mint
from atomos.testing.faults import Scenario
from atomos.testing.processes import wait_until

from .conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECRET = "7rVq2c0w-Jt9zX4uLh1nE8ybKf5mGd3s"
PROMISED = 5.0
CLIENTS = 4


class Asked(NamedTuple):
    """When a request was sent (seconds of the monotonic clock), and the status of its answer."""

    at: float
    status: int


class Clients:
    """Ask with a key all the time, from threads, each time on a connection of its own: so from every process."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"}
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self.asked: list[Asked] = []

    def __enter__(self) -> Clients:
        self._threads = [self._pool.submit(self._go_on) for _ in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.result()
        self._pool.shutdown()

    def since(self, at: float) -> list[int]:
        """Give the statuses of what was sent from an instant on."""
        return [each.status for each in self.asked if each.at >= at]

    def _go_on(self) -> None:
        while not self._over.is_set():
            connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
            at = time.monotonic()
            connection.request("GET", "/allocation/batches", headers=self._headers)
            self.asked.append(Asked(at, connection.getresponse().status))
            connection.close()


End = Callable[[Scenario, str], None]


def revoked(scenario: Scenario, key: str) -> None:
    scenario.atomos.container.core.keys().revoke(key)


def rotated(scenario: Scenario, key: str) -> None:
    scenario.atomos.container.core.keys().expire(key, datetime.now(UTC))


@pytest.mark.parametrize("end", [revoked, rotated])
def test_a_key_that_ends_stops_within_five_seconds_in_every_process(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, end: End
) -> None:
    scenario.settings |= {"ATOMOS_SECURITY__SECRET": SECRET, "ATOMOS_SECURITY__AUTHENTICATION": "true"}
    made = mint(
        "warehouse", ("stock:read",), SECRET, datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)
    )
    scenario.atomos.container.core.keys().add(made.key)
    service = scenario.start_service(PROJECT, processes=2)
    with Clients(service.port, made.token) as clients:
        wait_until(lambda: len(clients.asked) >= 60, 60, "each process to have answered")
        before = {each.status for each in clients.asked}
        end(scenario, id_of(made.token) or "")
        ended = time.monotonic()
        wait_until(
            lambda: len(clients.since(ended + PROMISED)) >= 60, 90, "each process to have answered again"
        )
    assert before == {200}
    assert set(clients.since(ended + PROMISED)) == {401}
