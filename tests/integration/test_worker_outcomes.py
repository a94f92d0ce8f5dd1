"""What comes of deliveries: events of reactions, commands of triggers, and what is sent for later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.service import Backoff
from atomos.core.service.delivery import Delivery, Record
from atomos.core.service.envelope import Envelope, derived_id, new_id
from atomos.core.service.handling import effect_id_in_hand
from atomos.testing import MovedClock

from . import worker_samples
from .worker_samples import FAST, Answered, Bells, Called, Rung, Struck, Whispered

SLOW_TO_RETRY = FAST._replace(backoff=Backoff(attempts=3, first=60, cap=600))


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def bells(log_database: Database, clock: MovedClock) -> Bells:
    return Bells(log_database, clock=clock)


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The numbers that the trigger decides to count."""
    decided: list[int] = []
    monkeypatch.setattr(worker_samples, "DECISIONS", decided)
    yield decided


def fail_once(*numbers: int) -> Any:
    """Fail for each of these numbers, the first time."""
    left = list(numbers)

    def deed(message: Any) -> None:
        if message.number in left:
            left.remove(message.number)
            raise RuntimeError("once")

    return deed


def test_what_came_of_a_reaction_is_stored_with_its_delivery_and_heard(bells: Bells) -> None:
    bells.script.deeds["call"] = lambda event: [Answered(number=event.number + n) for n in (1, 2)]
    bells.bus.emit(Called(number=10))
    assert bells.worker().drain() == 3
    assert bells.script.heard["hear"] == [11, 12]
    [cause] = bells.messages("bells.called")
    assert bells.messages("bells.answered") == [derived_id(cause, "bells.call", n) for n in (0, 1)]


def test_what_came_of_a_reaction_that_lost_its_lease_is_not_stored(bells: Bells) -> None:
    answers = [11, 21]

    def lose_the_lease_at_first(_: Any) -> list[Answered]:
        if len(answers) == 2:
            bells.change("delete from atomos_lease")
        return [Answered(number=answers.pop(0))]

    bells.script.deeds["call"] = lose_the_lease_at_first
    bells.bus.emit(Called())
    bells.worker().drain()
    assert bells.script.heard["call"] == [0, 0]
    assert bells.script.heard["hear"] == [21]
    assert len(bells.messages("bells.answered")) == 1


def test_each_effect_of_a_reaction_has_an_id_of_its_own_and_the_same_when_it_is_tried_again(
    bells: Bells, clock: MovedClock
) -> None:
    def have_two_more_and_fail(_: Any) -> None:
        bells.script.effects += [effect_id_in_hand(), effect_id_in_hand()]
        raise RuntimeError("the third did not come through")

    bells.script.deeds["ring"] = have_two_more_and_fail
    bells.bus.emit(Rung())
    for _ in range(2):
        bells.worker(SLOW_TO_RETRY).drain()
        clock.move(hours=1)
    effects = bells.script.effects
    assert len(set(effects[:3])) == 3
    assert effects[3:] == effects[:3]


def test_a_reaction_hands_on_the_same_effect_id_when_it_is_tried_again(
    bells: Bells, clock: MovedClock
) -> None:
    bells.script.deeds["ring"] = fail_once(1)
    for number in (1, 2):
        bells.bus.emit(Rung(number=number))
    worker = bells.worker(SLOW_TO_RETRY)
    worker.drain()
    clock.move(hours=1)
    worker.drain()
    [first, again, other] = bells.script.effects
    assert first == again != other


def test_a_trigger_that_decides_for_nothing_is_over(bells: Bells, decisions: list[int]) -> None:
    bells.bus.send_later(Struck())
    assert bells.worker().drain() == 1
    assert bells.statuses("bells.decide") == ["done"]
    assert bells.messages("bells.count") == []


def test_a_triggered_command_completes_the_triggers_delivery_with_its_change(
    bells: Bells, decisions: list[int]
) -> None:
    decisions.append(7)
    id_ = bells.bus.send_later(Struck())
    assert bells.worker().drain() == 1
    assert (bells.counts(), bells.statuses("bells.decide")) == ([7], ["done"])
    assert bells.messages("bells.count") == [derived_id(id_, "bells.decide", 0)]
    assert not bells.leases()


def test_a_command_that_fails_leaves_its_triggers_delivery_to_be_tried_again(
    bells: Bells, decisions: list[int], clock: MovedClock
) -> None:
    decisions.append(7)
    bells.script.deeds["count"] = fail_once(7)
    bells.bus.send_later(Struck())
    worker = bells.worker(SLOW_TO_RETRY)
    worker.drain()
    assert (bells.counts(), bells.statuses("bells.decide")) == ([], ["retrying"])
    clock.move(hours=1)
    worker.drain()
    assert (bells.counts(), bells.statuses("bells.decide")) == ([7], ["done"])


def test_several_commands_are_stored_once_and_each_is_obeyed_once_whatever_the_trigger_says_later(
    bells: Bells, decisions: list[int], clock: MovedClock
) -> None:
    decisions += [1, 2, 3]
    bells.script.deeds["count"] = fail_once(2)
    id_ = bells.bus.send_later(Struck())
    worker = bells.worker(SLOW_TO_RETRY)
    worker.drain()
    assert bells.statuses("bells.decide") == ["done"]
    assert bells.statuses("command:bells.count") == ["done", "retrying", "done"]
    decisions[:] = [9]
    clock.move(hours=1)
    worker.drain()
    assert sorted(bells.counts()) == [1, 2, 3]
    assert sorted(bells.messages("bells.count")) == sorted(
        derived_id(id_, "bells.decide", n) for n in range(3)
    )


def test_what_a_trigger_decides_is_recorded_before_anything_is_obeyed(
    bells: Bells, decisions: list[int], clock: MovedClock
) -> None:
    decisions += [1, 2]
    stored: list[Any] = []
    bells.script.deeds["count"] = lambda _: stored.append(len(bells.messages("bells.count")))
    bells.bus.send_later(Struck())
    bells.worker().drain()
    assert stored == [2, 2]


def test_what_is_sent_for_later_waits_for_its_time(bells: Bells, clock: MovedClock) -> None:
    bells.bus.send_later(Rung(number=1), at=datetime.now(UTC) + timedelta(hours=2))
    bells.bus.send_later(Rung(number=2), delay=timedelta(hours=1))
    bells.bus.send_later(Rung(number=3))
    worker = bells.worker()
    heard = []
    for hours in (0, 0.9, 0.2, 1):
        clock.move(hours=hours)
        worker.drain()
        heard.append(list(bells.script.heard["ring"]))
    assert heard == [[3], [3], [3, 2], [3, 2, 1]]


def test_what_is_scheduled_does_not_hold_its_key(bells: Bells) -> None:
    bells.bus.send_later(Rung(number=1), delay=timedelta(hours=1))
    bells.bus.emit(Rung(number=2))
    bells.worker().drain()
    assert bells.statuses("bells.ring") == ["scheduled", "done"]


def test_thousands_that_are_due_at_once_are_all_delivered(bells: Bells, clock: MovedClock) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    bells.log.append([_whispered(number, at) for number in range(2500)])
    clock.move(hours=2)
    assert bells.worker().drain() == 2500
    assert bells.script.heard["whisper"] == list(range(2500))


def test_drain_also_delivers_what_comes_of_what_it_delivers(bells: Bells, decisions: list[int]) -> None:
    bells.script.deeds["call"] = lambda event: [Answered(number=1)]
    bells.bus.emit(Called())
    assert bells.worker().drain() == 2
    assert bells.worker().drain() == 0


def test_drain_that_is_interrupted_leaves_nothing_in_its_hands(bells: Bells) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    bells.script.deeds["ring"] = interrupt
    for number in (1, 2):
        bells.bus.emit(Rung(bell=f"bell-{number}", number=number))
    worker = bells.worker()
    with pytest.raises(KeyboardInterrupt):
        worker.drain()
    assert not bells.leases()
    bells.script.deeds.clear()
    worker.drain()
    assert bells.script.heard["ring"] == [1, 1, 2]
    assert [row.attempts for row in bells.rows("bells.ring")] == [1, 1]


def test_drain_works_after_the_worker_was_stopped(bells: Bells) -> None:
    worker = bells.worker()
    worker.stop()
    bells.bus.emit(Rung())
    assert worker.drain() == 2


def test_a_paused_recipient_is_left_alone_until_it_goes_on(bells: Bells) -> None:
    worker = bells.worker()
    worker.drain()
    at = datetime.now(UTC) if bells.database.dialect == "postgresql" else 1
    bells.change("update atomos_recipient set paused_at = :at where name = 'bells.ring'", at=at)
    bells.bus.emit(Rung())
    worker.drain()
    assert (bells.statuses("bells.ring"), bells.statuses("bells.write_down")) == (["ready"], ["done"])
    bells.change("update atomos_recipient set paused_at = null")
    worker.drain()
    assert bells.statuses("bells.ring") == ["done"]


def test_what_a_lost_worker_had_of_a_paused_recipient_is_in_nobodys_hands(
    bells: Bells, clock: MovedClock
) -> None:
    bells.bus.emit(Rung())
    worker = bells.worker()
    worker._enrol()
    assert bells.deliveries.claim("bells.ring", 10, "lost").claimed
    at = datetime.now(UTC) if bells.database.dialect == "postgresql" else 1
    bells.change("update atomos_recipient set paused_at = :at where name = 'bells.ring'", at=at)
    clock.move(minutes=1)
    worker.drain()
    assert not bells.leases(), "an operator could not discard what may have killed its worker"
    assert bells.rows("bells.ring") == [("bells.ring", "ready", 0, 1, [])]
    assert not bells.deliveries.waiting(["bells.ring"])


def test_rows_whose_worker_was_lost_are_claimed_in_a_group_then_alone_and_only_then_count(
    bells: Bells, clock: MovedClock
) -> None:
    for number in range(3):
        bells.bus.emit(Rung(bell=f"bell-{number}", number=number))
    bells.deliveries.enrol(["bells.ring"])
    sizes, seen = [], []
    for _ in range(4):
        batch = bells.deliveries.claim("bells.ring", 100, "ghost")
        sizes.append(len(batch.claimed))
        clock.move(minutes=1)
        bells.deliveries.tidy("bells.ring")
        seen.append([(row.attempts, row.losses) for row in bells.rows("bells.ring")])
    assert sizes == [3, 3, 1, 1]
    assert seen == [
        [(0, 1), (0, 1), (0, 1)],
        [(0, 2), (0, 2), (0, 2)],
        [(1, 3), (0, 2), (0, 2)],
        [(2, 4), (0, 2), (0, 2)],
    ]


def test_a_row_that_every_worker_was_lost_by_is_dead_without_another_try(
    bells: Bells, clock: MovedClock
) -> None:
    bells.bus.emit(Rung(number=13))
    bells.bus.emit(Rung(number=14))
    bells.deliveries.enrol(["bells.ring"])
    while bells.rows("bells.ring")[0].attempts < 3:
        bells.deliveries.claim("bells.ring", 100, "ghost")
        clock.move(minutes=1)
        bells.deliveries.tidy("bells.ring")
    bells.worker().drain()
    assert bells.script.heard["ring"] == [14]
    [row, _] = bells.rows("bells.ring")
    assert (row.status, row.attempts) == ("dead", 3)
    assert row.errors == [
        "WorkerLost: Every worker that had this delivery alone was lost: killed, or stalled for longer than its lease."
    ]


def _whispered(number: int, at: datetime) -> Record:
    id_ = new_id()
    envelope = Envelope(id_, id_, None, at, None, "test", None)
    return Record("event", envelope, Whispered(number=number), (Delivery("bells.whisper", None, at),))
