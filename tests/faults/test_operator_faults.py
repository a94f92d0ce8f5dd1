"""Operators at work while workers are: retried twice at once, discarded while claimed, paused in mid-batch."""

# ruff: noqa: S608 - statements are put together from constants of the tests

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atomos.core.adapters.operations import SqlControl
from atomos.core.service.operations import DeliveryFilter
from atomos.testing.faults import Scenario, broken_invariants
from atomos.testing.faults.ledger.deeds import Book
from atomos.testing.faults.ledger.messages import Deposited
from atomos.testing.processes import wait_until

from .conftest import MakeScenario

pytestmark = pytest.mark.timeout(300)

SECONDS = 60.0
NOTIFY = "ledger.notify"
DEAD = DeliveryFilter(("dead",), recipient=NOTIFY)


@pytest.fixture
def once(make_scenario: MakeScenario) -> Scenario:
    """The ledger, where one failure is the end."""
    return make_scenario(ATOMOS_DELIVERY__ATTEMPTS="1")


def control_of(scenario: Scenario) -> SqlControl:
    core = scenario.atomos.container.core
    return SqlControl(core.database(), core.codec())


def told(scenario: Scenario, listener: str = "notify") -> list[int]:
    """The numbers of the effects that a listener had, in order."""
    book = Book(str(Path(scenario.folder) / "book"))
    return [each.number for each in book.read() if each.listener == listener]


def statuses(scenario: Scenario) -> Counter[str]:
    return Counter(
        status
        for [status] in scenario.look(f"select status from atomos_delivery where recipient = '{NOTIFY}'")
    )


def has_nothing_broken(scenario: Scenario) -> bool:
    return broken_invariants(scenario.atomos) == []


def test_all_that_is_dead_retried_twice_at_once_while_it_runs_is_done_once(once: Scenario) -> None:
    numbers = range(40)
    once.start_worker()
    control, retried = control_of(once), 0
    for number in numbers:
        once.bus.emit(Deposited(account=f"account-{number}", number=number, deed="notify fail 1"))
    with ThreadPoolExecutor(2) as operators:

        def all_are_done() -> bool:
            nonlocal retried
            retried += sum(operators.map(lambda who: control.retry(DEAD, who), ("ana", "bo")))
            return statuses(once) == {"done": len(numbers)}

        wait_until(all_are_done, SECONDS, "all to be done")
    once.settle(tended=False)
    # After many failures in a row it is the recipient that is in doubt, and nobody dies of the next ones.
    kept = once.look(f"select cast(errors as text) from atomos_delivery where recipient = '{NOTIFY}'")
    taken_back = Counter(errors.count("retried by") for [errors] in kept)
    assert set(taken_back) <= {0, 1}, "who was dead was taken back once"
    assert taken_back[1] == retried > 0
    assert Counter(told(once)) == Counter(numbers)
    assert has_nothing_broken(once)


def test_what_is_claimed_is_not_discarded_and_what_is_discarded_is_not_done(scenario: Scenario) -> None:
    numbers = range(60)
    for number in numbers:
        scenario.bus.emit(Deposited(account=f"account-{number % 6}", number=number, deed="notify wait 0.05"))
    scenario.start_worker()
    wait_until(lambda: len(told(scenario)) > 3, SECONDS, "some to be told")
    live = DeliveryFilter(("ready", "retrying", "scheduled"), recipient=NOTIFY)
    discarded = control_of(scenario).discard(live, "ana", "enough")
    scenario.settle(tended=False)
    assert statuses(scenario) == Counter(discarded=discarded, done=len(numbers) - discarded)
    gone = {
        number
        for [number] in scenario.look(
            "select m.payload ->> 'number' from atomos_delivery d join atomos_message m on m.id = d.message_id"
            " where d.status = 'discarded'"
        )
    }
    assert set(map(int, gone)) | set(told(scenario)) == set(numbers)
    assert len(told(scenario)) == len(numbers) - discarded, "none of both, none twice"
    assert has_nothing_broken(scenario)


def test_a_pause_in_mid_batch_lets_what_is_begun_end_and_keeps_the_order_of_the_rest(
    scenario: Scenario,
) -> None:
    numbers = range(60)
    for number in numbers:
        scenario.bus.emit(Deposited(account=f"account-{number % 6}", number=number, deed="notify wait 0.05"))
    worker = scenario.start_worker()
    control = control_of(scenario)
    wait_until(lambda: len(told(scenario)) > 3, SECONDS, "some to be told")
    control.pause(NOTIFY, "ana", "a look at the books")
    held = f"select count(*) from atomos_lease where recipient = '{NOTIFY}'"
    wait_until(lambda: scenario.number(held) == 0, SECONDS, "what was claimed to end")
    ended = len(told(scenario))
    worker.kill()
    scenario.start_worker()
    others = f"select count(*) from atomos_delivery where recipient <> '{NOTIFY}' and status <> 'done'"
    wait_until(lambda: scenario.number(others) == 0, SECONDS, "the others to go on")
    assert len(told(scenario)) == ended == statuses(scenario)["done"]
    control.resume(NOTIFY, "ana")
    scenario.settle(tended=False)
    for account in range(6):
        its = [number for number in told(scenario) if number % 6 == account]
        assert its == [*range(account, len(numbers), 6)]
    assert has_nothing_broken(scenario)


def test_a_dead_one_retried_while_its_key_is_in_flight_waits_for_its_turn(once: Scenario) -> None:
    deeds = {1: "notify fail 1", 2: "notify wait 2", 3: ""}
    for number, deed in deeds.items():
        once.bus.emit(Deposited(account="one", number=number, deed=deed))
    once.start_worker()
    wait_until(lambda: statuses(once)["dead"] == 1, SECONDS, "the first to be dead")
    wait_until(
        lambda: once.number(f"select count(*) from atomos_lease where recipient = '{NOTIFY}'") == 1,
        SECONDS,
        "the second to be in flight",
    )
    assert control_of(once).retry(DEAD, "ana") == 1
    once.settle(tended=False)
    found = told(once)
    assert found in ([2, 1, 3], [2, 3, 1]), "one at a time: the first waits for what is in flight"
    assert has_nothing_broken(once)
