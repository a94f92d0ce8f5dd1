"""What a route may say about retries and limits, and what of it makes no sense."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from atomos.core.domain import Command, DomainError, Event
from atomos.core.service import (
    Backoff,
    NotYet,
    Recipient,
    Routes,
    Unavailable,
    WiringError,
    at_once,
    by,
    gives_up,
    join,
    named,
    parks,
    quickly,
    retries,
    within,
)
from atomos.core.service.checks import check
from atomos.core.service.plans import Flow
from atomos.core.service.retry import NO_POLICY, Policy
from atomos.testing.probing import SilentMeter

USUAL = Backoff(attempts=7)
ONCE_MORE = Backoff(attempts=2)


class Sold(Event, name="policies.sold"):
    sku: str = "red-chair"


class Sell(Command, name="policies.sell"):
    sku: str = "red-chair"


class Busy(Exception):
    """Busy."""


def listen(event: Sold) -> None: ...


def test_a_domain_error_is_final_and_everything_else_is_tried_again_as_usual() -> None:
    assert NO_POLICY.backoff_for(DomainError(), USUAL) is None
    assert NO_POLICY.backoff_for(Busy(), USUAL) == USUAL


def test_what_is_said_last_of_an_error_counts_first() -> None:
    policy = retries(ONCE_MORE, gives_up(Exception, listen), on=Busy).policy
    assert policy.backoff_for(Busy(), USUAL) == ONCE_MORE
    assert policy.backoff_for(ValueError(), USUAL) is None


def test_without_a_kind_a_route_retries_after_domain_errors_too() -> None:
    assert retries(ONCE_MORE, listen).policy.backoff_for(DomainError(), USUAL) == ONCE_MORE


def test_several_kinds_may_be_given_up_at_once() -> None:
    policy = gives_up((Busy, KeyError), listen).policy
    assert [policy.backoff_for(each, USUAL) for each in (Busy(), KeyError(), ValueError())] == [
        None,
        None,
        USUAL,
    ]


def test_a_row_may_be_tried_as_often_as_the_most_patient_rule_says() -> None:
    assert retries(Backoff(attempts=50), listen, on=Busy).policy.most_attempts(USUAL) == 50
    assert retries(ONCE_MORE, listen).policy.most_attempts(USUAL) == 7


def test_everything_can_be_said_of_one_recipient_in_any_order() -> None:
    one = named("buyer", by("sku", parks(at_once(3, within(9, quickly(1, listen))))))
    other = quickly(1, within(9, at_once(3, parks(by("sku", named("buyer", listen))))))
    assert one == other
    assert one == Recipient(listen, "buyer", "sku", True, Policy(quickly=1, at_once=3, limit=9))


BAD: list[tuple[Any, str]] = [
    (retries(Backoff(attempts=0), listen), "attempts=0"),
    (retries(Backoff(attempts=1.5), listen), "attempts=1.5"),  # type: ignore[arg-type]
    (retries(Backoff(first=0), listen), "first=0"),
    (retries(Backoff(first=10, cap=5), listen), "longer than cap"),
    (retries(Backoff(cap=float("nan")), listen), "cap=nan"),
    (retries(3, listen), "expected a Backoff"),  # type: ignore[arg-type]
    (gives_up("Busy", listen), "expected a class of errors"),  # type: ignore[arg-type]
    (gives_up((), listen), "expected a class of errors"),
    (gives_up(int, listen), "expected a class of errors"),  # type: ignore[arg-type]
    (quickly(-1, listen), "quickly(-1"),
    (quickly(1000, listen), "quickly(1000"),
    (at_once(0, listen), "at_once(0"),
    (at_once(True, listen), "at_once(True"),
    (within(-3, listen), "within(-3"),
    (within(float("inf"), listen), "within(inf"),
]


@pytest.mark.parametrize(("recipient", "said"), BAD)
def test_a_value_that_makes_no_sense_is_a_mistake_at_boot(recipient: Recipient, said: str) -> None:
    [finding] = _findings(Routes(reactions={Sold: [recipient]}))
    assert finding.code == "ATM065"
    assert said in finding.detail
    assert finding.place.endswith("listen")


@pytest.mark.parametrize("recipient", [parks(listen), at_once(2, listen), retries(ONCE_MORE, listen)])
def test_a_policy_of_something_that_gets_no_deliveries_is_a_mistake(recipient: Recipient) -> None:
    findings = _findings(Routes(projections={Sold: [recipient]}))
    assert "a projection gets no deliveries" in " ".join(each.detail for each in findings)


def test_a_commands_recipient_has_policies_and_neither_a_name_nor_a_key_of_its_own() -> None:
    def sell(command: Sell) -> None: ...

    routes = join(shop=[Routes(commands={Sell: at_once(2, sell)})])
    assert routes.recipients()["command:policies.sell"].policy.at_once == 2
    for wrong in (named("seller", sell), by("sku", sell)):
        routes = join(shop=[Routes(triggers={Sold: [Sell]}, commands={Sell: wrong})])
        assert "ATM065" in [each.code for each in check(routes, {"shop": {}})]


def test_a_recipient_of_two_events_has_one_policy() -> None:
    def hear(event: Sold | Resold) -> None: ...

    routes = join(shop=[Routes(reactions={Sold: [at_once(2, hear)], Resold: [hear]})])
    assert [(each.code, "in two ways" in each.detail) for each in check(routes, {"shop": {}})] == [
        ("ATM025", True)
    ]


class Resold(Event, name="policies.resold"):
    sku: str = "red-chair"


def test_a_flawed_policy_starts_nothing() -> None:
    routes = join(shop=[Routes(reactions={Sold: [at_once(0, listen)]})])
    with pytest.raises(WiringError, match="ATM065"):
        Flow(routes, {"shop": {}}, SilentMeter())


@pytest.mark.parametrize(("after", "seconds"), [(3, 3.0), (0.5, 0.5), (timedelta(minutes=2), 120.0)])
def test_not_yet_says_when_to_try_again(after: Any, seconds: float) -> None:
    error = NotYet(after)
    assert error.retry_after == seconds
    assert isinstance(error, Unavailable), "over HTTP it is a 503 that says when to try again"
    assert f"{seconds:g} s" in str(error)


@pytest.mark.parametrize("after", [0, -1, float("nan"), float("inf"), timedelta(0)])
def test_not_yet_needs_a_time_to_wait(after: Any) -> None:
    with pytest.raises(ValueError, match="NotYet"):
        NotYet(after)


def _findings(routes: Routes) -> list[Any]:
    return [each for each in check(join(shop=[routes]), {"shop": {}}) if each.code in ("ATM065",)]
