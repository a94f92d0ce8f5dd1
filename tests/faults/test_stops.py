"""Workers that are stopped (SIGSTOP) where it hurts, and go on when others have done their work."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from atomos.testing.faults import Load, Scenario, WorkerProcess, broken_invariants
from atomos.testing.faults.ledger.driving import compare, drive
from atomos.testing.faults.ledger.messages import Deposited
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL, ON_SQLITE, Sound, drive_all

pytestmark = pytest.mark.timeout(300)

NUMBERS = range(24)
MORE = 12
SECONDS = 60.0


def entries(scenario: Scenario, kind: str = "deposit") -> list[tuple[str, int]]:
    """What is in the ledger."""
    found = scenario.look("select account, number, kind from ledger_entry order by id")
    return [(account, number) for account, number, each in found if each == kind]


def send(scenario: Scenario, deed: str, count: int = 3) -> list[Deposited]:
    """Send deposits of one account, the first with a deed, by way of the worker."""
    deposits = [Deposited(account="one", number=n, deed="" if n else deed) for n in range(count)]
    for each in deposits:
        scenario.bus.send_later(each)
    return deposits


def is_sound_for(scenario: Scenario, deposits: Sequence[Deposited]) -> None:
    assert [*broken_invariants(scenario.atomos), *compare(scenario.atomos, deposits)] == []


def wait_until_stopped(scenario: Scenario, deed: str) -> float:
    """Wait until a handler has stopped its worker; say when, on this process's clock."""
    books = f"book.{deed}.*"
    wait_until(lambda: any(scenario.folder.glob(books)), SECONDS, f"{deed} to be done")
    return time.monotonic()


def wait_for_two_leases(scenario: Scenario, since: float) -> None:
    over = since + 2 * scenario.lease
    wait_until(lambda: time.monotonic() > over, SECONDS, "two leases to pass")


def says(worker: WorkerProcess, what: str) -> bool:
    return what in worker.output.read_text("utf-8", "replace")


def test_a_worker_stopped_for_two_leases_in_a_command_and_continued_commits_nothing(
    scenario: Scenario,
) -> None:
    deposits = send(scenario, "deposit stop 1")
    first = scenario.start_worker()
    since = wait_until_stopped(scenario, "deposit stop")
    scenario.start_worker()
    wait_until(scenario.is_settled, SECONDS, "the other worker to do everything")
    wait_for_two_leases(scenario, since)
    before = scenario.look("select * from ledger_entry"), scenario.look("select id from atomos_message")
    first.go_on()
    first.terminate()  # it ends when the handler has ended
    assert first.wait(SECONDS) == 0
    assert (
        scenario.look("select * from ledger_entry"),
        scenario.look("select id from atomos_message"),
    ) == before
    assert entries(scenario) == [("one", n) for n in range(3)]
    is_sound_for(scenario, deposits)


@ON_POSTGRESQL
def test_a_worker_stopped_for_two_leases_with_the_command_s_change_written_commits_nothing_of_it(
    scenario: Scenario,
) -> None:
    deposits = send(scenario, "entering stop 1")
    first = scenario.start_worker()
    since = wait_until_stopped(scenario, "entering stop")
    second = scenario.start_worker()
    wait_for_two_leases(scenario, since)
    wait_until(
        lambda: (
            scenario.number("select count(*) from atomos_delivery where losses > 0 and status <> 'done'") > 0
            or scenario.is_settled()
        ),
        SECONDS,
        "the other worker to end the lease",
    )
    first.go_on()
    first.terminate()  # it ends when the handler has ended
    assert first.wait(SECONDS) == 0
    scenario.settle()
    assert not says(second, "delivery.fenced")
    is_sound_for(scenario, deposits)


def start_two_and_stop_one(scenario: Scenario, point: str) -> tuple[WorkerProcess, Load, float]:
    """Give who was stopped at a failpoint, the load that goes on, and when."""
    workers = [scenario.start_worker(), scenario.start_worker()]
    scenario.arm(point, "stop", nth=2)
    load = Load(drive, scenario.bus, NUMBERS)
    load.start()
    struck = scenario.wait_until_struck(point)
    return next(worker for worker in workers if worker.pid == struck.process), load, time.monotonic()


def is_sound_in_the_end(scenario: Scenario, is_sound: Sound) -> None:
    """Send some more, which all workers have to do with; then everything holds, and nobody has ended."""
    more = range(NUMBERS.stop, NUMBERS.stop + MORE)
    drive_all(scenario, more)
    scenario.settle(SECONDS, tended=False)
    assert all(worker.is_running for worker in scenario.workers)
    is_sound(scenario, range(more.stop))


@ON_POSTGRESQL
@pytest.mark.parametrize("point", ["claim.inside", "commit.before"])
def test_others_go_on_while_a_worker_is_stopped_in_a_transaction(
    scenario: Scenario, is_sound: Sound, point: str
) -> None:
    stopped, load, since = start_two_and_stop_one(scenario, point)
    load.wait()
    scenario.settle(SECONDS, tended=False)
    print(f"{point}: the other was done after {time.monotonic() - since:.1f} s")
    is_sound(scenario, NUMBERS)
    stopped.go_on()
    is_sound_in_the_end(scenario, is_sound)
    stopped.terminate()  # it ends when what it was stopped in has ended
    assert stopped.wait(SECONDS) == 0
    is_sound(scenario, range(NUMBERS.stop + MORE))


@ON_SQLITE
@pytest.mark.parametrize("point", ["claim.inside", "commit.before"])
def test_on_sqlite_whoever_is_stopped_in_a_transaction_keeps_the_others_waiting_and_that_is_all(
    scenario: Scenario, is_sound: Sound, point: str
) -> None:
    stopped, load, since = start_two_and_stop_one(scenario, point)
    wait_for_two_leases(scenario, since)
    assert not scenario.is_settled()
    stopped.go_on()
    load.wait()
    is_sound_in_the_end(scenario, is_sound)


@pytest.mark.parametrize("point", ["claim.after", "reaction.after"])
def test_a_worker_stopped_for_two_leases_with_deliveries_in_hand_may_repeat_effects_and_nothing_else(
    scenario: Scenario, is_sound: Sound, point: str
) -> None:
    stopped, load, since = start_two_and_stop_one(scenario, point)
    wait_for_two_leases(scenario, since)
    stopped.go_on()
    load.wait()
    is_sound_in_the_end(scenario, is_sound)
