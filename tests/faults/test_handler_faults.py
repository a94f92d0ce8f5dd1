"""Handlers in real workers that run past their lease, end their process, or always fail."""

# ruff: noqa: S608 - statements are put together from constants of the tests

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from atomos.testing.faults import Scenario, broken_invariants
from atomos.testing.faults.ledger.deeds import Book
from atomos.testing.faults.ledger.messages import Deposited
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL

pytestmark = pytest.mark.timeout(300)

SECONDS = 60.0


def entries(scenario: Scenario) -> list[tuple[str, str, int]]:
    return scenario.look("select account, kind, number from ledger_entry order by id")


def told(scenario: Scenario, listener: str) -> list[int]:
    book = Book(str(Path(scenario.folder) / "book"))
    return [each.number for each in book.read() if each.listener == listener]


def states(scenario: Scenario, recipient: str) -> list[tuple[str, int]]:
    return scenario.look(
        f"select status, attempts from atomos_delivery where recipient = '{recipient}' order by seq"
    )


def has_nothing_broken(scenario: Scenario) -> bool:
    return broken_invariants(scenario.atomos) == []


# On SQLite nobody can end the lease of a command that is in its transaction: it has the one write lock.
@ON_POSTGRESQL
def test_a_command_that_runs_past_its_lease_is_fenced_and_done_by_another(scenario: Scenario) -> None:
    scenario.arm("renewal.before", "delay:5")
    scenario.bus.send_later(Deposited(account="one", number=1, deed="deposit wait 3"))
    scenario.start_worker()
    scenario.wait_until_struck("renewal.before")
    scenario.start_worker()
    scenario.settle(tended=False)
    assert [entry for entry in entries(scenario) if entry[1] == "deposit"] == [("one", "deposit", 1)]
    assert scenario.number("select count(*) from atomos_delivery where losses > 0") >= 1, "no lease ran out"
    assert told(scenario, "notify") == [1]
    assert has_nothing_broken(scenario)


def test_a_reaction_that_runs_past_its_lease_stores_nothing_of_what_came_of_it(scenario: Scenario) -> None:
    scenario.arm("renewal.before", "delay:8")
    scenario.bus.emit(Deposited(account="one", number=1, deed="confirm wait 3"))
    scenario.start_worker()
    scenario.wait_until_struck("renewal.before")
    scenario.start_worker()
    scenario.settle(tended=False)
    wait_until(lambda: len(told(scenario, "confirm")) >= 2, SECONDS, "another to have had the effect too")
    assert scenario.number("select count(*) from atomos_message where name = 'ledger.confirmed'") == 1
    assert told(scenario, "file_away") == [1]
    book = Book(str(Path(scenario.folder) / "book"))
    assert len({each.id for each in book.read() if each.listener == "confirm"}) == 1, "under one effect id"
    assert has_nothing_broken(scenario)


def test_handlers_that_end_their_process_fail_like_any_other(scenario: Scenario) -> None:
    worker = scenario.start_worker()
    scenario.bus.emit(Deposited(account="one", number=1, deed="notify leave 2"))
    scenario.bus.send_later(Deposited(account="two", number=2, deed="deposit leave 1; copy leave 2"))
    scenario.settle(tended=False)
    assert worker.is_running
    kinds = Counter(entry[:2] for entry in entries(scenario))
    assert kinds == {
        (account, kind): 1 for account in ("one", "two") for kind in ("deposit", "copy-1", "copy-2")
    }
    assert sorted(told(scenario, "notify")) == [1, 2]
    assert has_nothing_broken(scenario)


def test_one_of_several_that_always_fails_holds_up_no_other(scenario: Scenario) -> None:
    numbers = range(20)
    scenario.start_worker()
    for number in numbers:
        scenario.bus.emit(Deposited(account=f"account-{number % 3}", number=number, deed="notify fail"))
    done = "select count(*) from atomos_delivery where recipient <> 'ledger.notify' and status = 'done'"
    wait_until(lambda: scenario.number(done) == 5 * len(numbers), SECONDS, "the others to be done")
    found = states(scenario, "ledger.notify")
    assert len(found) == len(numbers)
    assert {status for status, _ in found} <= {"ready", "retrying"}, "it is probed, and nothing is given up"
    assert told(scenario, "notify") == []
    assert Counter(told(scenario, "file_away")) == Counter(numbers)
    # One of them may be tried just now.
    broken = [each for each in broken_invariants(scenario.atomos) if "is a lease" not in each]
    assert len(broken) == 1
    assert broken[0].startswith(f"{len(numbers)} times: is waiting still")
