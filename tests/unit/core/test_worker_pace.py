"""How much a worker claims, how often, and which rows it leaves to others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from atomos.core.service import pace
from atomos.core.service.delivery import NO_ROWS, Claimed, Fence, Rows
from atomos.core.service.envelope import Envelope
from atomos.core.service.pace import MOST_A_CLAIM, MOST_A_DEAR_CLAIM, Pace, Unread


class Clock:
    """Goes on when it is told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    moved = Clock()
    monkeypatch.setattr(pace, "monotonic", moved)
    yield moved


def test_room_is_what_the_threads_begin_within_a_quarter_of_a_second() -> None:
    rooms = Pace(4)
    for _ in range(50):
        rooms.worked("mail", seconds=0.5, rows=10)
    assert rooms.room("mail", in_hand=0) == pytest.approx(4 + 4 * 0.25 / 0.05, abs=1)


def test_room_is_never_more_than_one_claim_may_have() -> None:
    rooms = Pace(4)
    for _ in range(50):
        rooms.worked("mail", seconds=0.0, rows=10)
    assert rooms.room("mail", in_hand=0) == MOST_A_CLAIM


@pytest.mark.parametrize(
    ("seconds", "queued", "runs"),
    [
        (0.001, 2, 10),  # what takes a hundredth of a second, however few are queued
        (0.02, 2, 1),  # never none
        (0.02, 12, 3),  # a fair share
        (0.02, 400, 5),  # what takes a tenth of a second
        (30.0, 400, 1),
    ],
)
def test_a_thread_takes_what_is_quick_together_and_more_where_there_is_enough_for_all(
    seconds: float, queued: int, runs: int
) -> None:
    rooms = Pace(4)
    rooms.worked("mail", seconds=seconds, rows=1)
    assert rooms.portion("mail", queued) == runs


def test_of_what_nobody_knows_how_long_it_takes_a_thread_takes_one() -> None:
    assert Pace(4).portion("mail", 400) == 1


def quick() -> Pace:
    rooms = Pace(4)
    for _ in range(50):
        rooms.worked("mail", seconds=0.0, rows=10)
    return rooms


def claims(rooms: Pace, fixed: float, a_row: float, times: int = 12) -> list[int]:
    """Claim as many as there is room for, again and again, where a claim and each of its rows take so long."""
    sizes = []
    for _ in range(times):
        sizes.append(room := rooms.room("mail", in_hand=0))
        rooms.claimed("mail", fixed + room * a_row, room)
    return sizes


def test_a_claim_that_takes_long_however_few_it_finds_is_made_for_more() -> None:
    assert claims(quick(), fixed=0.5, a_row=0.000_025)[:5] == [500, 1000, 2000, 4000, MOST_A_DEAR_CLAIM]
    assert claims(quick(), fixed=0.06, a_row=0.000_025)[-3:] == [2 * MOST_A_CLAIM] * 3


def test_a_claim_whose_rows_are_dear_themselves_is_not_made_for_more_and_more() -> None:
    for a_row in (0.000_06, 0.000_3, 0.01):
        assert max(claims(quick(), fixed=0.005, a_row=a_row)) <= 2 * MOST_A_CLAIM


def test_a_cheap_claim_is_never_made_for_more() -> None:
    assert set(claims(quick(), fixed=0.01, a_row=0.000_02)) == {MOST_A_CLAIM}


def test_when_it_takes_longer_and_longer_it_is_tried_with_more_again() -> None:
    rooms = quick()
    claims(rooms, fixed=0.06, a_row=0.000_025)
    assert claims(rooms, fixed=0.5, a_row=0.000_025)[-1] == MOST_A_DEAR_CLAIM


def test_when_it_is_cheap_again_it_is_made_for_as_many_as_usual() -> None:
    rooms = quick()
    claims(rooms, fixed=0.5, a_row=0.000_025)
    assert claims(rooms, fixed=0.001, a_row=0.000_025)[1:3] == [MOST_A_CLAIM] * 2


def test_a_claim_that_found_little_says_little() -> None:
    rooms = quick()
    rooms.claimed("mail", seconds=1.0, rows=10)
    assert rooms.room("mail", in_hand=0) == MOST_A_CLAIM


def test_what_is_in_hand_lasts_while_a_long_claim_is_under_way() -> None:
    rooms = quick()
    claims(rooms, fixed=0.5, a_row=0.000_025)
    for _ in range(100):
        rooms.worked("mail", seconds=0.08, rows=10)
    assert rooms.room("mail", in_hand=0) > 4 * 4 * 0.5 / 0.008


def test_several_recipients_share_what_waits_for_a_thread_and_not_the_threads() -> None:
    rooms = Pace(8)
    for _ in range(50):
        rooms.worked("mail", seconds=0.5, rows=10)
    assert rooms.room("mail", in_hand=0) == pytest.approx(8 + 40, abs=1)
    assert rooms.room("mail", in_hand=0, others=3) == pytest.approx(8 + 10, abs=1)
    assert rooms.room("mail", in_hand=0, others=100) == 8
    assert [rooms.room("mail", in_hand, others=100) for in_hand in (5, 7, 8)] == [3, 1, 0]


def test_what_is_slow_has_room_for_each_thread_and_no_more() -> None:
    rooms = Pace(4)
    for _ in range(50):
        rooms.worked("mail", seconds=3, rows=1)
    assert [rooms.room("mail", in_hand) for in_hand in range(6)] == [4, 3, 2, 1, 0, 0]


def test_who_was_passed_by_rests_until_the_suspects_in_hand_are_over(clock: Clock) -> None:
    rests = Pace(4)
    rests.claimed("mail", seconds=0.5, passed_by=True)
    rests.claimed("stock", seconds=0.5)
    assert (rests.rest("mail"), rests.rest("stock")) == (5.0, 5.0)
    assert rests.end_rest()
    assert (rests.rest("mail"), rests.rest("stock")) == (0.0, 5.0)
    assert not rests.end_rest()


def test_who_was_passed_by_and_failed_since_rests_as_after_any_failure(clock: Clock) -> None:
    rests = Pace(4)
    rests.claimed("mail", seconds=0.5, passed_by=True)
    rests.failed("mail")
    assert not rests.end_rest()
    assert rests.rest("mail") > 0


def test_there_is_no_room_before_half_of_what_is_in_hand_is_over() -> None:
    rooms = Pace(4)
    most = rooms.room("mail", in_hand=0)
    assert rooms.room("mail", in_hand=most // 2 + 1) == 0
    assert rooms.room("mail", in_hand=most // 2) == most - most // 2


def test_one_that_runs_for_long_leaves_room_for_the_other_threads_only() -> None:
    rooms = Pace(4)
    assert rooms.room("mail", in_hand=1, running=0.0) > 3
    assert rooms.room("mail", in_hand=1, running=60.0) == 3


def test_room_is_never_less_than_nothing() -> None:
    assert Pace(4).room("mail", in_hand=3, running=60.0) == 1
    assert Pace(1).room("mail", in_hand=30, running=60.0) == 0


def test_a_recipient_rests_for_ten_times_what_its_claim_took(clock: Clock) -> None:
    rests = Pace(4)
    rests.claimed("mail", seconds=0.2)
    assert rests.rest("mail") == pytest.approx(2.0)
    clock.now += 1.5
    assert rests.rest("mail") == pytest.approx(0.5)
    clock.now += 1
    assert rests.rest("mail") == 0
    assert rests.rest("stock") == 0


def test_no_claim_rests_for_longer_than_ten_seconds(clock: Clock) -> None:
    rests = Pace(4)
    rests.claimed("mail", seconds=60)
    assert rests.rest("mail") == pytest.approx(10)


def test_what_cannot_be_read_is_left_with_its_key_for_half_a_minute(clock: Clock) -> None:
    unread = Unread()
    unread.add(claimed(seq=7, key="red"))
    unread.add(claimed(seq=9, key=None))
    assert unread.of("mail") == Rows((7, 9), ("red",))
    assert unread.of("stock") == NO_ROWS
    clock.now += 31
    assert unread.of("mail") == NO_ROWS


def test_many_that_cannot_be_read_are_passed_by_together_with_their_keys(clock: Clock) -> None:
    unread = Unread()
    for seq in range(1, 1002):
        unread.add(claimed(seq=seq, key="red" if seq == 5 else None))
    assert unread.of("mail") == Rows((), ("red",), 1001)
    clock.now += 31
    assert unread.of("mail") == NO_ROWS


def test_far_too_many_that_cannot_be_read_leave_the_recipient_alone_for_a_while(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomos.core.service.pace._MOST_UNREAD", 1500)
    unread = Unread()
    for seq in range(1500):
        assert not unread.is_full("mail")
        unread.add(claimed(seq=seq, key=None))
    assert unread.is_full("mail")
    clock.now += 31
    assert not unread.is_full("mail")


def claimed(seq: int, key: str | None) -> Claimed:
    envelope = Envelope("id", "id", None, datetime.now(UTC), key, "test", None)
    return Claimed(Fence(1, "mail", seq), key, 0, envelope, None, "not read")
