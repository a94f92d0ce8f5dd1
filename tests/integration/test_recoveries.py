"""From which kill the recovery of a row is counted, when several concern it, and what is told of the slowest."""

from __future__ import annotations

import pytest

from atomos.core.adapters import Database
from atomos.core.service.delivery import NO_ROWS, Batch, Delivery, Failure, Status
from atomos.testing.faults.recovery import Recoveries

from .operations_log import Log

FIRST, SECOND = 4711, 4712
"""Process ids of workers."""


class Killings:
    """A log with rows of one recipient, and what follows those of killed workers."""

    def __init__(self, database: Database) -> None:
        self.log = Log(database)
        self.log.deliveries.enrol(["mail"])
        self.recoveries = Recoveries(database)

    def send(self, *keys: str | None) -> None:
        for key in keys:
            self.log.send(Delivery("mail", key))

    def claim(self, process: int = 0, room: int = 10) -> Batch:
        return self.log.deliveries.claim("mail", room, f"host:{process}:worker")

    def hurt(self, process: int) -> None:
        self.recoveries.hurt(process, f"kill {process}")

    def lose(self) -> None:
        self.log.clock.move(minutes=1)
        self.log.deliveries.tidy("mail")

    def do(self, batch: Batch) -> None:
        fences = [each.fence for each in batch.claimed]
        assert self.log.deliveries.complete(fences, NO_ROWS) == len(fences) > 0
        self.recoveries.look()


@pytest.fixture
def killings(log_database: Database) -> Killings:
    return Killings(log_database)


def test_what_a_killed_worker_held_is_followed_until_its_last_row_is_done(killings: Killings) -> None:
    killings.send("red", "blue")
    killings.claim(FIRST)
    killings.hurt(FIRST)
    killings.recoveries.look()
    assert killings.recoveries.seconds == {}
    killings.lose()
    killings.do(killings.claim(room=1))
    one = killings.recoveries.seconds[0]
    killings.do(killings.claim(room=1))
    assert killings.recoveries.seconds.keys() == {0}
    assert killings.recoveries.seconds[0] > one


def test_a_row_that_the_next_to_be_killed_held_is_counted_from_that_kill(killings: Killings) -> None:
    killings.send("red")
    killings.claim(FIRST)
    killings.hurt(FIRST)
    killings.lose()
    killings.claim(SECOND)
    killings.hurt(SECOND)
    killings.lose()
    killings.do(killings.claim())
    assert killings.recoveries.seconds.keys() == {1}


def test_a_row_behind_a_key_that_the_next_to_be_killed_held_is_counted_from_that_kill(
    killings: Killings,
) -> None:
    killings.send("red", "red", "blue")
    killings.claim(FIRST)
    killings.hurt(FIRST)
    killings.lose()
    assert [each.ordering_key for each in killings.claim(SECOND, room=1).claimed] == ["red"]
    killings.hurt(SECOND)
    blue = killings.claim()
    assert [each.ordering_key for each in blue.claimed] == ["blue"], "red waits for the second's lease"
    killings.do(blue)
    first = dict(killings.recoveries.seconds)
    assert first.keys() == {0}
    killings.lose()
    killings.do(killings.claim(room=1))
    one = killings.recoveries.seconds[1]
    killings.do(killings.claim(room=1))
    assert killings.recoveries.seconds.keys() == {0, 1}
    assert killings.recoveries.seconds[0] == first[0]
    assert killings.recoveries.seconds[1] > one


def test_rows_that_nobody_who_was_killed_had_in_hand_are_not_followed(killings: Killings) -> None:
    killings.send("red", "red")
    killings.claim(FIRST, room=1)
    killings.hurt(FIRST)
    killings.lose()
    killings.do(killings.claim(room=1))
    before = dict(killings.recoveries.seconds)
    killings.do(killings.claim())
    assert killings.recoveries.seconds == before != {}


def test_a_row_that_fails_when_it_is_done_again_is_followed_no_more_nor_is_what_waits_behind_it(
    killings: Killings,
) -> None:
    killings.send("red", "red")
    killings.claim(FIRST)
    killings.hurt(FIRST)
    killings.lose()
    again = killings.claim()
    failure = Failure(Status.RETRYING, "it failed", 60.0)
    assert killings.log.deliveries.fail(again.claimed[0].fence, failure, NO_ROWS)
    killings.recoveries.look()
    assert killings.recoveries.seconds.keys() == {0}


def test_the_time_in_which_nobody_could_write_does_not_count(
    killings: Killings, monkeypatch: pytest.MonkeyPatch
) -> None:
    instants = iter((100.0, 107.0, 110.0, 112.0))
    monkeypatch.setattr("atomos.testing.faults.recovery.monotonic", lambda: next(instants))
    killings.send("red", "blue")
    killings.claim(FIRST, room=1)
    killings.hurt(FIRST)
    killings.claim(SECOND, room=1)
    killings.hurt(SECOND)
    killings.recoveries.stood_still(since=105.0)
    killings.lose()
    killings.do(killings.claim())
    assert killings.recoveries.seconds == {0: 7.0, 1: 2.0}


def test_a_recovery_says_who_was_hit_how_and_what_its_last_row_waited_for(killings: Killings) -> None:
    killings.send("red")
    killings.claim(FIRST)
    killings.hurt(FIRST)
    killings.recoveries.look()
    killings.lose()
    killings.recoveries.look()
    again = killings.claim(SECOND)
    killings.recoveries.look()
    killings.recoveries.look()
    killings.do(again)
    (recovery,) = killings.recoveries.slowest(3)
    assert (recovery.blow, recovery.process, recovery.recipient) == (f"kill {FIRST}", FIRST, "mail")
    assert [step.what for step in recovery.steps] == [
        f"held by {FIRST}, which was hit",
        "may be claimed, after 1 lost lease",
        f"held by {SECOND}",
    ]
    assert 0 <= recovery.steps[0].seconds <= recovery.steps[-1].seconds <= recovery.seconds
    assert "mail" in str(recovery)


def test_a_row_behind_another_of_its_key_says_who_holds_that(killings: Killings) -> None:
    killings.send("red", "red")
    killings.claim(FIRST)
    killings.hurt(FIRST)
    killings.lose()
    first = killings.claim(SECOND, room=1)
    killings.recoveries.look()
    killings.do(first)
    killings.do(killings.claim(room=1))
    (recovery,) = killings.recoveries.slowest(3)
    assert recovery.steps[0].what == f"behind its key, held by {SECOND}"


def test_the_slowest_recoveries_come_first_and_no_more_of_them_than_asked_for(killings: Killings) -> None:
    for process, key in ((1, "red"), (2, "blue"), (3, "green")):
        killings.send(key)
        killings.claim(process)
        killings.hurt(process)
    killings.lose()
    for _ in range(3):
        killings.do(killings.claim(room=1))
    slowest = killings.recoveries.slowest(2)
    assert [each.seconds for each in slowest] == sorted(killings.recoveries.seconds.values())[:0:-1]
