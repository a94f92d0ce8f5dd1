"""Claims of one worker: what a claim that found nothing does to the next."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from time import monotonic
from typing import Any, cast

import pytest

from atomos.core.service import claiming
from atomos.core.service.claiming import Claimers, Claims
from atomos.core.service.delivery import Batch, Claimed, Deliveries, Fence, Waiting
from atomos.core.service.envelope import Envelope
from atomos.core.service.handover import Handover
from atomos.core.service.in_hand import Held, InHand
from atomos.core.service.pace import Pace, Unread
from atomos.core.service.returns import Returns
from atomos.core.service.waking import Wake


class Vain:
    """Deliveries of which none can be claimed: each claim takes long. `suspects` are those who have some.

    Those in `fresh` are given a row that is none.
    """

    def __init__(self) -> None:
        self.suspects: set[str] = set()
        self.fresh: set[str] = set()
        self.asked: list[tuple[str, bool]] = []

    def claim(self, recipient: str, _room: int, _worker: str, _without: Any, *, suspects: bool) -> Batch:
        self.asked.append((recipient, suspects))
        passed_by = not suspects and recipient in self.suspects
        claimed = (row_of(recipient),) if recipient in self.fresh else ()
        return Batch(0, recipient, claimed, 1.0, passed_by=passed_by)


def row_of(recipient: str) -> Claimed:
    envelope = Envelope("id", "id", None, datetime.now(UTC), None, "test", None)
    return Claimed(Fence(1, recipient, 1), None, 0, envelope, None)


@pytest.fixture
def vain() -> Vain:
    return Vain()


@pytest.fixture
def pace() -> Pace:
    return Pace(threads=2)


@pytest.fixture
def in_hand() -> InHand:
    return InHand()


@pytest.fixture
def wake() -> Wake:
    return Wake()


@pytest.fixture
def claims(vain: Vain, pace: Pace, in_hand: InHand, wake: Wake) -> Claims:
    return Claims("me", 15.0, cast("Deliveries", vain), in_hand, pace, Unread(), wake)


def test_who_found_nothing_beside_another_claim_rests_where_there_are_no_suspects(
    claims: Claims, vain: Vain, pace: Pace, in_hand: InHand, wake: Wake
) -> None:
    assert in_hand.may_have_suspects(), "another claim may find some"
    assert claims.claim("mail", 10) is None
    in_hand.claimed()
    assert claims.claim("stock", 10) is None
    assert vain.asked == [("mail", False), ("stock", True)], "nobody is claimed twice"
    assert pace.rest("mail") > 5
    assert pace.rest("stock") > 5
    assert not wake.wait(0), "and nobody is woken for that"


def test_who_was_passed_by_with_its_suspects_is_looked_at_again_when_those_in_hand_have_ended(
    claims: Claims, vain: Vain, pace: Pace, in_hand: InHand, wake: Wake
) -> None:
    vain.suspects = {"mail"}
    assert in_hand.may_have_suspects(), "another claim may find some"
    assert claims.claim("mail", 10) is None
    assert pace.rest("mail") > 5
    in_hand.claimed()
    assert claims.claim("stock", 10) is None
    assert pace.rest("mail") == 0
    assert wake.wait(0)


def test_whose_turn_came_during_its_claim_is_claimed_again_at_once(
    claims: Claims, vain: Vain, in_hand: InHand
) -> None:
    vain.suspects = {"mail"}
    assert in_hand.may_have_suspects()
    found = vain.claim

    def ends_meanwhile(*args: Any, **more: Any) -> Batch:
        in_hand.claimed()
        return found(*args, **more)

    vain.claim = ends_meanwhile  # type: ignore[method-assign]
    claims.claim("mail", 10)
    assert vain.asked == [("mail", False), ("mail", True)]


def test_suspects_that_are_given_back_unbegun_let_those_who_were_passed_by_be_claimed(
    claims: Claims, vain: Vain, pace: Pace, in_hand: InHand, wake: Wake
) -> None:
    held = Held(Batch(1, "stock", (row_of("stock"),), losses=1), float("inf"))
    in_hand.add(held)
    vain.suspects = {"mail"}
    claims.claim("mail", 10)
    assert pace.rest("mail") > 5
    Returns(cast("Handover", Freeing()), claims).give([(held, held.runs())])
    assert pace.rest("mail") == 0
    assert wake.wait(0)
    assert in_hand.of("stock") == 0


def pass_by(claims: Claims, in_hand: InHand, *passed_by: str) -> None:
    """Have suspects of stock in hand, meanwhile claim others, and let those suspects end."""
    claims._had_suspects["stock"] = monotonic()
    held = Held(Batch(1, "stock", (row_of("stock"),), losses=1), float("inf"))
    in_hand.add(held)
    for recipient in passed_by:
        claims.claim(recipient, 10)
    Returns(cast("Handover", Freeing()), claims).give([(held, held.runs())])


@pytest.mark.parametrize(("seconds", "has_turn"), [(0.9, False), (1.1, True)])
@pytest.mark.parametrize("others", [[], ["bell"]])
def test_who_had_suspects_waits_for_whoever_was_passed_by_but_not_longer_than_a_second(
    claims: Claims,
    vain: Vain,
    in_hand: InHand,
    monkeypatch: pytest.MonkeyPatch,
    others: list[str],
    seconds: float,
    has_turn: bool,
) -> None:
    vain.suspects = {"mail"}
    pass_by(claims, in_hand, "mail")
    free = monotonic()
    monkeypatch.setattr(claiming, "monotonic", lambda: free + 0.6)
    for each in others:  # who may have suspects, and has none, is no reason to wait longer
        claims.claim(each, 10)
    monkeypatch.setattr(claiming, "monotonic", lambda: free + seconds)
    claims.claim("stock", 10)
    assert vain.asked[0] == ("mail", False)
    assert vain.asked[-1] == ("stock", has_turn)


def test_the_turn_of_who_was_passed_by_is_over_with_its_claim(
    claims: Claims, vain: Vain, in_hand: InHand
) -> None:
    vain.suspects = {"mail"}
    pass_by(claims, in_hand, "mail")
    for each in ("stock", "mail", "stock"):
        claims.claim(each, 10)
    assert vain.asked[1:] == [("stock", False), ("mail", True), ("stock", True)]


def test_who_was_given_fresh_rows_when_its_suspects_were_passed_by_has_its_turn_too(
    claims: Claims, vain: Vain, in_hand: InHand
) -> None:
    vain.suspects, vain.fresh = {"mail"}, {"mail"}
    pass_by(claims, in_hand, "mail")
    claims.claim("stock", 10)
    assert vain.asked == [("mail", False), ("stock", False)]


@pytest.mark.parametrize("woken", [True, False])
def test_who_is_woken_for_one_that_is_being_claimed_is_woken_again_when_that_claim_found_nothing(
    wake: Wake, woken: bool
) -> None:
    gate = threading.Event()
    claimers = Claimers(1, lambda _: not gate.wait(20), wake)
    claimers.ask(Waiting("mail", overdue=False))
    assert claimers.is_busy("mail", woken=woken)
    gate.set()
    claimers.end()
    claimers.join(monotonic() + 20)
    assert not claimers.is_busy("mail", woken=False)
    assert wake.wait(0) == woken


class Freeing:
    """Takes out of the lease what it is given."""

    def free(self, held: Held, rows: tuple[Claimed, ...]) -> None:
        with held.leaving(rows):
            pass
