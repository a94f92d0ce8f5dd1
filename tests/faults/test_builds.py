"""An old and a new build of one application, as processes side by side on one database, while they are killed."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

from atomos.core.service import Origin
from atomos.core.service.envelope import hashed_id
from atomos.testing.faults import Scenario
from atomos.testing.faults.ledger.deeds import Book
from atomos.testing.processes import wait_until

from .builds import NEW, OLD, Moved, OldMoved
from .conftest import PROJECT

pytestmark = pytest.mark.timeout(300)

ACCOUNTS, ROUNDS = 6, 25
SECONDS = 60.0


def build(folder: Path, url: str, app: str, book: Path) -> Scenario:
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    return Scenario(folder, url, app=app, settings={"ATOMOS_BUILDS__BOOK": str(book), "PYTHONPATH": path})


def is_of_the_new_one(account: int, number: int) -> bool:
    return (number + account) % 3 == 0


def test_while_both_builds_run_and_are_killed_each_reads_what_it_can_in_order_and_nothing_is_lost(
    tmp_path: Path, ledger_url: str
) -> None:
    book = tmp_path / "book"
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(build(tmp_path / name, ledger_url, app, book))
            for name, app in (("old", OLD), ("new", NEW))
        )
        for each in (old, new):
            each.start_worker()
        for number in range(ROUNDS):
            for account in range(ACCOUNTS):
                origin = Origin(id=hashed_id("moved", f"{account} {number}"))
                name = f"account-{account}"
                if is_of_the_new_one(account, number):
                    new.bus.emit(Moved(account=name, number=number, to="there"), origin)
                else:
                    old.bus.emit(OldMoved(account=name, number=number), origin)
            if number % 8 == 7:
                hurt = (old, new)[number // 8 % 2]
                hurt.workers.pop().kill()
                hurt.start_worker()
        wait_until(old.is_settled, SECONDS, "every delivery to be over")
        assert [*old.broken(), *new.broken()] == []
    first = defaultdict(list)
    for effect in Book(str(book)).read():
        number, account = effect.number, int(effect.account.removeprefix("account-"))
        assert effect.listener == "new" or not is_of_the_new_one(account, number), "it cannot read that"
        if number not in first[account]:
            first[account].append(number)
    assert first == {account: [*range(ROUNDS)] for account in range(ACCOUNTS)}
    assert {effect.listener for effect in Book(str(book)).read()} == {"old", "new"}
