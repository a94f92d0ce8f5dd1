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


def test_the_longer_a_claim_takes_however_few_it_finds_the_more_it_is_made_for() -> None:
    rooms = Pace(4)
    for _ in range(50):
        rooms.worked("mail", seconds=0.0, rows=10)
    rooms.claimed("mail", seconds=0.020, rows=500)
    assert rooms.room("mail", in_hand=0) == MOST_A_CLAIM
    rooms.claimed("mail", seconds=0.225, rows=500)
    assert rooms.room("mail", in_hand=0) == pytest.approx(2_000, abs=1)
    rooms.claimed("mail", seconds=10.0, rows=500)
    assert rooms.room("mail", in_hand=0) == MOST_A_DEAR_CLAIM
    rooms.claimed("mail", seconds=0.020, rows=500)
    assert rooms.room("mail", in_hand=0) == MOST_A_CLAIM


def test_what_is_in_hand_lasts_while_a_long_claim_is_under_way() -> None:
    rooms = Pace(4)
    for _ in range(50):
        rooms.worked("mail", seconds=0.04, rows=10)
    rooms.claimed("mail", seconds=0.025 + 0.5, rows=500)
    assert rooms.room("mail", in_hand=0) == 4 + 4 * 4 * 0.5 / 0.004
    assert rooms.room("mail", in_hand=900) > 0, "enough for half a second"


def test_a_look_at_the_log_takes_a_fifth_of_the_time_at_the_most() -> None:
    looks = Pace(4)
    assert looks.until_next_look(poll=1.0, took=0.01) == 1.0
    assert looks.until_next_look(poll=1.0, took=0.5) == 2.0
    assert looks.until_next_look(poll=1.0, took=100.0) == 10.0


def test_each_of_several_recipients_has_room_for_its_share_of_the_threads() -> None:
    rooms = Pace(8)
    for _ in range(50):
        rooms.worked("mail", seconds=0.5, rows=10)
    alone, among_four = rooms.room("mail", in_hand=0), rooms.room("mail", in_hand=0, others=3)
    assert among_four == pytest.approx(alone / 4, abs=1)
    assert rooms.room("mail", in_hand=0, others=100) == pytest.approx(1 + 0.25 / 0.05, abs=1)


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
