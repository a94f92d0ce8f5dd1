"""Workers and servers that are killed: at each failpoint, all at once, while they end, by one of their rows."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial

import httpx2
import pytest

from atomos.core.service.delivery import LEASE_SECONDS
from atomos.core.service.failpoints import BY_HAND, FAILPOINTS, OF_TOPICS
from atomos.testing.faults import Load, Scenario, broken_invariants
from atomos.testing.faults.ledger.driving import compare, deposit_of, drive
from atomos.testing.faults.ledger.messages import Deposited
from atomos.testing.processes import Service, wait_until

from .conftest import PROJECT, MakeScenario, Sound, drive_all

pytestmark = pytest.mark.timeout(300)

NUMBERS = range(30)
SECONDS = 60.0
RECOVERY_SECONDS = 20.0
"""Within which the rows of a killed worker have to be done, with the default lease."""


@pytest.mark.parametrize("point", sorted(FAILPOINTS.keys() - BY_HAND - OF_TOPICS))
def test_a_worker_killed_at_a_failpoint_loses_nothing_and_doubles_nothing(
    scenario: Scenario, is_sound: Sound, point: str
) -> None:
    drive_all(scenario, NUMBERS)
    scenario.arm(point, nth=1 if point.startswith("burial") else 2)
    if point == "renewal.before":
        scenario.arm("reaction.before", "delay:5")  # or all is done before a lease is renewed
    worker = scenario.start_worker(ready=False)
    struck = scenario.wait_until_struck(point, SECONDS)
    assert struck.process == worker.pid
    assert worker.wait(SECONDS) == -signal.SIGKILL
    scenario.settle()
    is_sound(scenario, NUMBERS)


def test_a_worker_killed_between_two_commands_of_one_trigger_has_done_the_first_and_another_does_the_second(
    make_scenario: MakeScenario, is_sound: Sound
) -> None:
    scenario = make_scenario(ATOMOS_DELIVERY__THREADS="1")
    drive_all(scenario, [1])
    scenario.arm("commit.after")
    worker = scenario.start_worker(ready=False)
    scenario.wait_until_struck("commit.after", SECONDS)
    assert worker.wait(SECONDS) == -signal.SIGKILL
    copies = "select kind from ledger_entry where kind like 'copy-%' order by id"
    assert scenario.look(copies) == [("copy-1",)]
    scenario.settle()
    assert scenario.look(copies) == [("copy-1",), ("copy-2",)]
    is_sound(scenario, [1])


def test_all_workers_killed_at_once_lose_nothing_and_double_nothing(
    scenario: Scenario, is_sound: Sound
) -> None:
    workers = [scenario.start_worker() for _ in range(3)]
    drive_all(scenario, NUMBERS)
    wait_until(lambda: not scenario.is_settled(), SECONDS, "something to do")
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not any(worker.is_running for worker in workers), SECONDS, "all to be gone")
    assert scenario.tend() == 3
    scenario.settle()
    is_sound(scenario, NUMBERS)


def test_what_a_killed_worker_had_is_done_within_twenty_seconds_with_the_default_lease(
    make_scenario: MakeScenario, is_sound: Sound
) -> None:
    scenario = make_scenario(ATOMOS_DELIVERY__LEASE=str(LEASE_SECONDS))
    worker = scenario.start_worker()
    scenario.start_worker()
    scenario.arm("commit.before", "stop", nth=5)
    load = Load(drive, scenario.bus, NUMBERS)
    load.start()
    struck = scenario.wait_until_struck("commit.before", SECONDS)
    os.kill(struck.process, signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: len([w for w in scenario.workers if not w.is_running]) == 1, SECONDS, "its end")
    holders = [worker for (worker,) in scenario.look("select worker from atomos_lease")]
    assert any(f":{struck.process}:" in holder for holder in holders), "it had something"
    load.wait()
    scenario.settle(tended=False)
    took = time.monotonic() - killed
    print(f"recovery took {took:.1f} s")
    assert took < RECOVERY_SECONDS
    assert worker in scenario.workers
    is_sound(scenario, NUMBERS)


def test_a_worker_that_is_killed_within_its_drain_loses_nothing_and_doubles_nothing(
    scenario: Scenario, is_sound: Sound
) -> None:
    first = scenario.start_worker()
    slow = [Deposited(account="slow", number=n, deed="notify wait 2") for n in range(3)]
    for each in slow:
        scenario.bus.emit(each)
    wait_until(
        lambda: scenario.number("select count(*) from atomos_lease where recipient = 'ledger.notify'") > 0,
        SECONDS,
        "the slow reaction to begin",
    )
    first.terminate()
    drive_all(scenario, range(12))
    assert first.is_running, "it lets what runs end"
    first.kill()
    scenario.start_worker()
    scenario.settle()
    deposits = [*slow, *(deposit_of(number) for number in range(12))]
    reminders = [deposit_of(number) for number in range(0, 12, 5)]
    assert [*broken_invariants(scenario.atomos), *compare(scenario.atomos, deposits, reminders)] == []


def test_of_a_batch_of_a_hundred_the_row_that_kills_its_worker_is_dead_and_the_others_are_done(
    make_scenario: MakeScenario,
) -> None:
    scenario = make_scenario(ATOMOS_DELIVERY__ATTEMPTS="3", ATOMOS_DELIVERY__THREADS="12")
    deposits = [
        Deposited(account=f"a-{n}", number=n, deed="notify kill" if n == 50 else "") for n in range(100)
    ]
    for each in deposits:
        scenario.bus.emit(each)
    scenario.arm("claim.after", "stop")
    worker = scenario.start_worker()
    scenario.wait_until_struck("claim.after", SECONDS)
    worker.go_on()
    scenario.settle(120)
    statuses = Counter(
        scenario.look(
            "select recipient, status from atomos_delivery where recipient in ('ledger.notify', 'ledger.confirm')"
        )
    )
    assert statuses == {
        ("ledger.notify", "done"): 99,
        ("ledger.notify", "dead"): 1,
        ("ledger.confirm", "done"): 100,
    }
    [(attempts, errors)] = scenario.look("select attempts, errors from atomos_delivery where status = 'dead'")
    errors = json.loads(errors) if isinstance(errors, str) else errors
    assert attempts == 3
    assert errors[0]["error"].startswith("WorkerLost")
    broken = compare(scenario.atomos, deposits, dead=False)
    [problem] = [*broken_invariants(scenario.atomos), *broken]
    assert problem.startswith("the effects of notify for a-50: lost [50]")


class Sender(threading.Thread):
    """Sends deposits over HTTP, one after the other, each until it was told that it is accepted."""

    def __init__(self, service: Service, deposits: list[Deposited]) -> None:
        super().__init__(daemon=True)
        self._url = f"{service.url}/ledger/deposits"
        self._deposits = deposits
        self.tries = 0
        self.told: list[int] = []

    def run(self) -> None:
        for each in self._deposits:
            body = {"account": each.account, "number": each.number}
            wait_until(partial(self._is_told, body), SECONDS, f"deposit {each.number} to be accepted")

    def _is_told(self, body: dict[str, object]) -> bool:
        self.tries += 1
        key = {"Idempotency-Key": f"deposit-{body['number']}"}
        with suppress(httpx2.TransportError):
            if httpx2.post(self._url, json=body, headers=key, timeout=10).is_success:
                self.told.append(int(str(body["number"])))
                return True
        return False


@pytest.mark.parametrize("point", ["log.before", "commit.before", "commit.after"])
def test_a_server_killed_at_a_failpoint_applies_what_is_sent_again_once(
    scenario: Scenario, point: str
) -> None:
    service = scenario.start_service(PROJECT)
    deposits = [Deposited(account="one", number=n) for n in range(12)]
    scenario.arm(point, nth=5)
    sender = Sender(service, deposits)
    sender.start()
    sender.join(2 * SECONDS)
    assert sender.told == [each.number for each in deposits]
    assert [each.point for each in scenario.struck()] == [point]
    assert sender.tries > len(deposits), "one of them had to be sent again"
    scenario.start_worker()
    scenario.settle()
    assert [*broken_invariants(scenario.atomos), *compare(scenario.atomos, deposits)] == []


def test_an_operator_s_retry_that_is_killed_in_the_middle_changed_nothing_and_is_repeated(
    make_scenario: MakeScenario,
) -> None:
    scenario = make_scenario(PYTHONPATH=os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    deposits = [Deposited(account=f"a-{n % 3}", number=n, deed="notify refuse") for n in range(9)]
    for each in deposits:
        scenario.bus.emit(each)
    scenario.start_worker()
    scenario.settle()
    dead = "select count(*) from atomos_delivery where status = 'dead'"
    assert scenario.number(dead) == 9
    scenario.arm("operator.inside")
    killed = scenario.start("tests.faults.operating", "retry")
    assert killed.wait(SECONDS) == -signal.SIGKILL
    assert scenario.number(dead) == 9
    # While their keys are in flight: each account has a delivery of the same recipient in the hands of the worker.
    slow = [Deposited(account=f"a-{n % 3}", number=n, deed="notify wait 0.5") for n in range(9, 12)]
    for each in slow:
        scenario.bus.emit(each)
    held = "select count(*) from atomos_lease where recipient = 'ledger.notify'"
    wait_until(lambda: scenario.number(held) > 0, SECONDS, "keys to be in flight")
    assert scenario.start("tests.faults.operating", "retry").wait(SECONDS) == 0
    again = f"{dead} and cast(errors as text) like '%retried by the test%'"
    wait_until(lambda: scenario.number(again) == 9, SECONDS, "each to be refused once more")
    scenario.settle()
    assert [*broken_invariants(scenario.atomos), *compare(scenario.atomos, [*deposits, *slow])] == []


def test_a_purge_that_is_killed_in_the_middle_left_conversations_whole(
    make_scenario: MakeScenario, is_sound: Sound
) -> None:
    scenario = make_scenario(PYTHONPATH=os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    drive_all(scenario, NUMBERS)
    scenario.start_worker()
    scenario.settle()
    before = scenario.number("select count(*) from atomos_message")
    scenario.arm("purge.inside")
    assert scenario.start("tests.faults.operating", "purge").wait(SECONDS) == -signal.SIGKILL
    assert scenario.number("select count(*) from atomos_message") == before
    is_sound(scenario, NUMBERS)
    assert scenario.start("tests.faults.operating", "purge").wait(SECONDS) == 0
    # What is dead is kept with all of its conversation until somebody decides.
    assert scenario.look("select count(*) from atomos_delivery where status = 'dead'") == [(1,)]
    assert 0 < scenario.number("select count(*) from atomos_message") < before / 5
    is_sound(scenario, NUMBERS)
