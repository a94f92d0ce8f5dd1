"""What a worker has in hand: what is left of a lease, and who writes down what ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from atomos.core.service import in_hand
from atomos.core.service.delivery import Batch, Claimed, Fence
from atomos.core.service.envelope import Envelope
from atomos.core.service.in_hand import Ended, Held, InHand


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    moved = Clock()
    monkeypatch.setattr(in_hand, "monotonic", moved)
    yield moved


def rows(*keys: str | None, lease: int = 1) -> tuple[Claimed, ...]:
    envelope = Envelope("id", "id", None, datetime.now(UTC), None, "test", None)
    return tuple(Claimed(Fence(lease, "mail", seq), key, 0, envelope, None) for seq, key in enumerate(keys))


def held(*keys: str | None, lease: int = 1, until: float = float("inf")) -> Held:
    return Held(Batch(lease, "mail", rows(*keys, lease=lease)), until)


def test_rows_of_one_key_are_one_run_and_each_without_a_key_is_its_own() -> None:
    runs = held("red", None, "blue", "red", None, "red").runs()
    assert [[each.fence.seq for each in run] for run in runs] == [[0, 3, 5], [1], [2], [4]]


def test_a_lease_keeps_a_key_until_the_last_row_of_it_left() -> None:
    batch = held("red", "blue", "red", None)
    for leaving, left in (
        (0, ((1, 2, 3), ("blue", "red"))),
        (2, ((1, 3), ("blue",))),
        (3, ((1,), ("blue",))),
        (1, ((), ())),
    ):
        with batch.leaving([batch.batch.claimed[leaving]]) as rest:
            assert rest[:2] == left


def test_a_change_that_fails_takes_nothing_out_of_the_lease() -> None:
    batch = held("red", "blue")
    with pytest.raises(ConnectionError), batch.leaving(batch.batch.claimed):
        raise ConnectionError
    with batch.leaving([]) as rest:
        assert rest.seqs == (0, 1)


def test_nothing_of_a_batch_begins_after_its_lease_ran_out_unless_it_was_renewed(clock: Clock) -> None:
    batch = held("red", until=1010)
    clock.now = 1009
    assert batch.may_begin
    clock.now = 1010
    assert not batch.may_begin
    batch.renewed(1020)
    assert batch.may_begin


def test_nothing_of_an_abandoned_batch_begins() -> None:
    batch = held("red")
    batch.abandon()
    assert not batch.may_begin
    assert not batch.is_lost


def test_what_ended_is_written_by_one_thread_which_also_sees_to_what_ends_meanwhile() -> None:
    batch = held("red", "blue", None)
    red, blue, none = batch.batch.claimed
    assert batch.take_turn() is None, "there is nothing"
    batch.end(done=[red], leaving=[red])
    assert batch.take_turn() == Ended([red], [red])
    batch.end(done=[blue])
    batch.end(leaving=[none])
    assert batch.take_turn() is None, "the other is writing"
    batch.end_turn()
    assert batch.take_turn() == Ended([blue], [none])
    batch.end_turn()
    assert batch.take_turn() is None


def test_a_batch_is_in_hand_until_its_last_run_has_ended() -> None:
    hands, batch = InHand(), held("red", "blue", "red")
    hands.add(batch)
    red, blue = batch.runs()
    hands.end(batch, len(blue))
    assert (hands.of("mail"), hands.leases()) == (2, [1])
    hands.end(batch, len(red))
    assert (hands.of("mail"), hands.leases()) == (0, [])


def test_there_is_one_batch_of_suspects_at_a_time() -> None:
    hands = InHand()
    suspects = Held(Batch(1, "mail", rows("red"), losses=1), float("inf"))
    assert hands.may_have_suspects()
    assert not hands.may_have_suspects(), "a claim that may give some is under way"
    hands.add(suspects)
    hands.claimed()
    hands.add(held("blue", lease=2))
    assert not hands.may_have_suspects(), "some are in hand"
    with suspects.leaving(suspects.batch.claimed):
        pass
    assert hands.may_have_suspects(), "they have left the lease"


def test_a_lease_that_was_not_renewed_is_lost_and_named() -> None:
    hands = InHand()
    kept, lost, new = held("red", lease=1), held("blue", lease=2), held("green", lease=3)
    for each in (kept, lost, new):
        hands.add(each)
    assert hands.renewed(asked=[1, 2], found=[1], until=float("inf")) == [lost.batch]
    assert (kept.may_begin, lost.may_begin, new.may_begin) == (True, False, True)
    assert hands.leases() == [1, 3], "a lost lease is not renewed any more"


def test_a_lease_that_ended_by_itself_was_not_lost() -> None:
    hands, batch = InHand(), held("red")
    hands.add(batch)
    with batch.leaving(batch.batch.claimed):
        pass
    assert hands.renewed(asked=[1], found=[], until=0.0) == []


def test_of_two_changes_of_a_lease_the_later_one_is_without_the_rows_of_the_first() -> None:
    batch = held("red", "blue")
    red, blue = batch.batch.claimed
    seen = []

    def take_blue_out() -> None:
        with batch.leaving([blue]) as rest:
            seen.append(rest.seqs)

    other = threading.Thread(target=take_blue_out)
    with batch.leaving([red]) as rest:
        other.start()
        seen.append(rest.seqs)
    other.join(10)
    assert seen == [(1,), ()]


def test_it_says_how_many_other_recipients_have_rows_in_hand() -> None:
    hands = InHand()
    mail = held("red", "blue")
    stock = Held(Batch(2, "stock", rows("red", lease=2)), float("inf"))
    assert hands.beside("mail") == 0
    hands.add(mail)
    hands.add(stock)
    assert (hands.beside("mail"), hands.beside("stock"), hands.beside("buyers")) == (1, 1, 2)
    hands.end(mail, 1)
    assert hands.beside("stock") == 1
    hands.end(mail, 1)
    assert (hands.beside("stock"), hands.beside("buyers")) == (0, 1)
