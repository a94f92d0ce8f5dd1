"""What is noted of a run, with whatever another thread is writing down just then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from atomos.core.domain import RuleBroken
from atomos.core.service import Backoff, LeaseLost, MessageBus
from atomos.core.service.delivery import Batch, Claimed, Deliveries, Failure, Fence, Rows
from atomos.core.service.envelope import Envelope
from atomos.core.service.handover import Handover, Usual
from atomos.core.service.in_hand import Held, Run, Tray
from atomos.core.service.pace import Unread
from atomos.core.service.probing import NO_DOUBT, Doubts
from atomos.core.service.retry import Policy
from atomos.core.service.watching import Watch


class Bus:
    """Does with a row what its test says; True: it was completed in a transaction of its own."""

    def __init__(self) -> None:
        self.deeds: dict[int, Callable[[], bool]] = {}
        self.parks = False
        self.policy = Policy()
        self.flow = SimpleNamespace(recipient=lambda _: self)

    def deliver(self, claimed: Claimed) -> bool:
        return self.deeds.get(claimed.fence.seq, lambda: False)()


class Notes:
    """Notes what is said of a lease."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.answers: list[Any] = []

    def complete(self, fences: Sequence[Fence], left: Rows) -> int:
        return self._answer(("complete", [each.seq for each in fences], left.seqs), len(fences))

    def fail(self, fence: Fence, failure: Failure, left: Rows) -> bool:
        return self._answer((failure.status.value, fence.seq, left.seqs), True)

    def keep(self, lease: int, left: Rows) -> None:
        self._answer(("keep", left.seqs), None)

    def _answer(self, said: tuple[Any, ...], usual: Any) -> Any:
        self.said.append(said)
        answer = self.answers.pop(0) if self.answers else usual
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def handover(bus: Bus, notes: Notes) -> Handover:
    usual, doubts = Usual(Backoff(attempts=3), quickly=3), Doubts(NO_DOUBT, cast(Deliveries, notes))
    return Handover(cast(MessageBus, bus), cast(Deliveries, notes), usual, Unread(), doubts, patience=0.0)


def held(*keys: str | None, losses: int = 0) -> Held:
    envelope = Envelope("id", "id", None, datetime.now(UTC), None, "test", None)
    rows = tuple(Claimed(Fence(1, "mail", seq), key, 0, envelope, None) for seq, key in enumerate(keys, 1))
    return Held(Batch(1, "mail", rows, losses=losses), until=float("inf"))


def tray(batch: Held, *runs: Run) -> Tray:
    return Tray(batch, runs or batch.runs(), 0.0)


def refuse() -> bool:
    raise RuleBroken("never")


def lose() -> bool:
    raise LeaseLost


def carry_out(handover: Handover, batch: Held) -> int:
    ended = handover.carry_out(tray(batch))
    handover.write_down(batch)
    return ended


def test_what_was_done_in_several_runs_is_completed_together(handover: Handover, notes: Notes) -> None:
    assert carry_out(handover, held("red", None, "blue", "red")) == 4
    assert notes.said == [("complete", [1, 4, 2, 3], ())]


def test_what_completed_itself_only_leaves_the_lease(handover: Handover, bus: Bus, notes: Notes) -> None:
    bus.deeds = {1: lambda: True, 2: lambda: True}
    assert carry_out(handover, held("red", "blue")) == 2
    assert notes.said == [("keep", ())]


def test_what_was_done_before_a_failure_is_completed_first(
    handover: Handover, bus: Bus, notes: Notes
) -> None:
    bus.deeds = {2: refuse}
    assert carry_out(handover, held("red", "red", "red", "blue")) == 3
    assert notes.said == [
        ("complete", [1], (2, 3, 4)),
        ("dead", 2, (4,)),
        ("complete", [4], ()),
    ]


def test_what_was_done_before_a_failure_stays_in_the_lease_until_the_one_who_writes_has_completed_it(
    handover: Handover, bus: Bus, notes: Notes
) -> None:
    bus.deeds = {2: refuse}
    batch = held("red", "red", "red", "blue")
    red, blue = batch.runs()
    batch.end(done=blue)
    assert batch.take_turn(), "another thread is writing"
    handover.carry_out(tray(batch, red))
    assert notes.said == [("dead", 2, (1, 4))]
    batch.end_turn()
    handover.write_down(batch)
    assert notes.said[1:] == [("complete", [1], (4,))]


def test_the_rest_of_a_run_whose_lease_was_lost_is_not_begun(
    handover: Handover, bus: Bus, notes: Notes
) -> None:
    bus.deeds = {1: lose, 2: refuse}
    batch = held("red", "red", "blue")
    assert carry_out(handover, batch) == 0
    assert notes.said == [("keep", ())]
    assert not batch.may_begin


@pytest.mark.parametrize("what", ["complete", "fail"])
def test_a_refusal_says_that_the_lease_was_lost(
    handover: Handover, bus: Bus, notes: Notes, what: str
) -> None:
    bus.deeds = {1: refuse} if what == "fail" else {}
    notes.answers = [0]
    batch = held("red", "blue")
    red, _ = batch.runs()
    handover.carry_out(tray(batch, red))
    handover.write_down(batch)
    assert not batch.may_begin


def test_what_cannot_be_noted_is_left_to_its_lease_running_out(handover: Handover, notes: Notes) -> None:
    notes.answers = [ConnectionError("nobody there")]
    batch = held("red", "blue")
    with pytest.raises(ConnectionError):
        carry_out(handover, batch)
    assert batch.is_lost
    handover.write_down(batch)
    handover.free(batch, batch.batch.claimed)
    assert len(notes.said) == 1, "what is lost is not touched again"


def test_a_route_that_parks_parks(handover: Handover, bus: Bus, notes: Notes) -> None:
    bus.parks, bus.deeds = True, {1: refuse}
    carry_out(handover, held("red"))
    assert notes.said == [("parked", 1, ())]


def test_who_waits_until_the_one_before_is_written_down_is_not_taken_for_stuck(
    handover: Handover, notes: Notes
) -> None:
    batch = held("red", "red", losses=1)
    one = tray(batch)
    watch, seen = Watch(handover, lambda _: 1e-9), []
    complete = notes.complete

    def look_and_complete(fences: Sequence[Fence], left: Rows) -> int:
        seen.append(watch.look([one]))
        return complete(fences, left)

    notes.complete = look_and_complete  # type: ignore[method-assign]
    assert handover.carry_out(one) == 2
    assert seen == [[]]
    assert notes.said == [("complete", [1], (2,))]


@pytest.mark.parametrize("what", ["given up", "abandoned"])
def test_what_was_taken_away_while_the_one_before_it_was_written_down_is_not_begun(
    handover: Handover, bus: Bus, notes: Notes, what: str
) -> None:
    batch, begun = held("red", "red", losses=1), []
    bus.deeds = {2: lambda: not begun.append("the second")}
    complete = notes.complete

    def complete_and_take_away(fences: Sequence[Fence], left: Rows) -> int:
        batch.abandon() if what == "abandoned" else batch.forsake(batch.batch.claimed[1:])
        return complete(fences, left)

    notes.complete = complete_and_take_away  # type: ignore[method-assign]
    assert handover.carry_out(tray(batch)) == 1
    assert not begun
