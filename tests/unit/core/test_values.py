"""Values: what breaks a constraint is never made, and all that is wrong is said at once."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Annotated

import pytest

from atomos.core.domain import AtLeast, InvalidMessage, Length, Problem, Sensitive, ValueObject


class Money(ValueObject):
    amount: Annotated[int, AtLeast(0)]
    currency: Annotated[str, Length(3, 3)] = "EUR"


class Login(ValueObject):
    user: str
    pin: Sensitive[str]
    codes: tuple[Sensitive[str], ...] = ()


class Price(Money):
    note: Later | None = None


class Later(ValueObject):
    text: str


def test_a_value_has_defaults() -> None:
    assert Money(amount=5) == Money(amount=5, currency="EUR")


def test_a_value_that_breaks_constraints_is_not_made_and_all_problems_are_named() -> None:
    with pytest.raises(InvalidMessage) as raised:
        Money(amount=-1, currency="EURO")

    assert raised.value.title == "Money"
    assert raised.value.problems == (
        Problem("/amount", "must be at least 0, is -1"),
        Problem("/currency", "must have at most 3, has 4"),
    )
    assert str(raised.value) == (
        "Money cannot be made: /amount: must be at least 0, is -1; /currency: must have at most 3, has 4."
    )


def test_a_refusal_is_a_value_error_and_travels() -> None:
    with pytest.raises(ValueError, match="Money cannot be made") as raised:
        Money(amount=-1)

    arrived = pickle.loads(pickle.dumps(raised.value))  # noqa: S301
    assert isinstance(arrived, InvalidMessage)
    assert (str(arrived), arrived.problems) == (str(raised.value), raised.value.problems)  # type: ignore[attr-defined]


def test_a_subclass_keeps_the_constraints_of_its_parent() -> None:
    assert Price(amount=5, note=Later(text="new")).note == Later(text="new")
    with pytest.raises(InvalidMessage, match="/amount"):
        Price(amount=-1)


def test_an_annotation_may_name_what_is_defined_below() -> None:
    with pytest.raises(InvalidMessage, match="/note: must be a Later"):
        Price(amount=1, note="new")  # type: ignore[arg-type]


def test_a_wrong_default_is_found_when_it_is_used() -> None:
    class Wrong(ValueObject):
        size: Annotated[int, AtLeast(1)] = 0

    with pytest.raises(InvalidMessage, match="/size"):
        Wrong()


def test_a_value_has_no_mutable_default() -> None:
    with pytest.raises(ValueError, match="mutable default"):

        class Basket(ValueObject):
            lines: list[str] = []  # noqa: RUF012


def test_what_is_sensitive_is_not_written() -> None:
    login = Login(user="ana", pin="s3cret", codes=("1234",))

    assert repr(login) == "Login(user='ana', pin=..., codes=...)"
    assert login.pin == "s3cret"


def test_what_is_sensitive_is_not_written_by_a_process_that_only_unpickled_it() -> None:
    class Fresh(ValueObject):
        pin: Sensitive[str]

    value = object.__new__(Fresh)
    object.__setattr__(value, "pin", "s3cret")

    assert "s3cret" not in repr(value)


def test_what_is_sensitive_is_not_in_a_refusal() -> None:
    with pytest.raises(InvalidMessage) as raised:
        Login(user="ana", pin=5511)  # type: ignore[arg-type]

    assert "5511" not in str(raised.value)
    assert raised.value.problems == (Problem("/pin", "is not accepted; what was given is not shown"),)


def test_values_are_copied_and_compared_by_their_fields() -> None:
    money = Money(amount=5)

    assert copy.deepcopy(money) == money
    assert len({money, copy.copy(money), Money(amount=6)}) == 2


def test_threads_that_make_the_first_values_of_a_class_at_once_are_all_checked() -> None:
    class New(ValueObject):
        size: Annotated[int, AtLeast(1)]

    refused, barrier = [], threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        try:
            New(size=0)
        except InvalidMessage as error:
            refused.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 8
