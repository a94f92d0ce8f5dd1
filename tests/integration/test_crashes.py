"""A server that crashes takes claims back, which do not wait for the disk; whoever held one is fenced all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from atomos.core.adapters import CORE, Database, upgrade
from atomos.core.service import LeaseLost
from atomos.core.service.delivery import NO_ROWS, Fence
from atomos.testing.servers import PostgresServer

from .worker_samples import Bells, Rung

pytestmark = pytest.mark.services

RING = "bells.ring"
# Nothing but a commit that waits for the disk writes the log of the server.
LAZY = {"wal_writer_delay": "10s", "autovacuum": "off"}


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer(settings=LAZY) as server:
        yield server


@pytest.fixture
def connect(server: PostgresServer) -> Iterator[Callable[[], Bells]]:
    """Make the application as a process has it that connects now."""
    opened: list[Database] = []

    def connect() -> Bells:
        opened.append(Database(server.url()))
        upgrade(opened[-1], [CORE])
        return Bells(opened[-1])

    yield connect
    for each in opened:
        each.close()


def complete(bells: Bells, fence: Fence) -> bool:
    return bells.deliveries.complete([fence], NO_ROWS) == 1


def append(bells: Bells, fence: Fence) -> bool:
    """As a command or a reaction does it, in the transaction of its change."""
    try:
        bells.log.append([], fence)
    except LeaseLost:
        return False
    return True


@pytest.mark.parametrize("end", [complete, append])
def test_a_claim_that_a_crash_took_back_is_no_fence_for_the_next_one(
    server: PostgresServer, connect: Callable[[], Bells], end: Callable[[Bells, Fence], bool]
) -> None:
    bells = connect()
    bells.deliveries.enrol([RING])
    bells.bus.emit(Rung())
    (lost,) = bells.deliveries.claim(RING, 1, "lost").claimed
    server.kill()
    server.start()
    bells = connect()
    assert bells.leases() == [], "the crash took the claim back"

    (held,) = bells.deliveries.claim(RING, 1, "other").claimed
    assert held.fence.seq == lost.fence.seq
    assert not end(bells, lost.fence)
    assert [worker for worker, _ in bells.leases()] == ["other"]
    assert end(bells, held.fence)


def test_what_was_completed_is_done_after_a_crash(
    server: PostgresServer, connect: Callable[[], Bells]
) -> None:
    bells = connect()
    bells.deliveries.enrol([RING])
    bells.bus.emit(Rung())
    (held,) = bells.deliveries.claim(RING, 1, "worker").claimed
    assert complete(bells, held.fence)
    server.kill()
    server.start()
    assert connect().statuses(RING) == ["done"]
