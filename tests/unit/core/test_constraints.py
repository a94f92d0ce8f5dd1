"""Constraints: said once, in the annotation, and judged by the constructor."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.core.domain import AtLeast, AtMost, Length, Pattern, Sensitive, ValueObject
from atomos.core.domain.constraints import checks_of, is_sensitive


class Colour(Enum):
    RED = "red"


class Address(ValueObject):
    street: str


Grams = NewType("Grams", int)
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@given(text=st.text(), least=st.integers(0, 20), most=st.none() | st.integers(0, 20))
def test_a_length_is_judged_by_its_bounds(text: str, least: int, most: int | None) -> None:
    fits = least <= len(text) and (most is None or len(text) <= most)

    assert (Length(least, most).problem(text) is None) == fits


@given(number=st.integers() | st.decimals(allow_nan=False), bound=st.integers())
def test_a_number_is_judged_by_its_bounds(number: int | Decimal, bound: int) -> None:
    assert (AtLeast(bound).problem(number) is None) == (number >= bound)
    assert (AtMost(bound).problem(number) is None) == (number <= bound)


@given(text=st.text(alphabet="ab\n", max_size=6))
def test_a_pattern_is_judged_by_the_whole_text(text: str) -> None:
    assert (Pattern("a+b*").problem(text) is None) == (re.compile("a+b*").fullmatch(text) is not None)


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (Annotated[str, Length(1)], "", "must not be empty"),
        (Annotated[str, Length(3)], "ab", "must have at least 3, has 2"),
        (Annotated[str, Length(0, 2)], "abc", "must have at most 2, has 3"),
        (Annotated[tuple[int, ...], Length(1)], (), "must not be empty"),
        (Annotated[int, AtLeast(1)], 0, "must be at least 1, is 0"),
        (Annotated[int, AtMost(1)], 2, "must be at most 1, is 2"),
        (Annotated[str, Pattern("[a-z]+")], "A", "must match [a-z]+"),
        (Annotated[str, Pattern("[a-z]+", "must be in small letters")], "A", "must be in small letters"),
        (Annotated[int, AtLeast(1), AtMost(5)], 6, "must be at most 5, is 6"),
        (Annotated[Annotated[int, AtLeast(1)], AtMost(5)], 0, "must be at least 1, is 0"),
        (Annotated[str, Length(1)] | None, "", "must not be empty"),
        (Annotated[str | None, Length(1)], "", "must not be empty"),
        (str, 5, "must be a text, is 5"),
        (str, b"a", "must be a text, is b'a'"),
        (int, "5", "must be an integer, is '5'"),
        (int, True, "must be an integer, is True"),
        (int, 5.0, "must be an integer, is 5.0"),
        (float, "5", "must be a number, is '5'"),
        (float, True, "must be a number, is True"),
        (float, math.nan, "must be a number, is nan"),
        (float, math.inf, "must be a number, is inf"),
        (bool, 1, "must be true or false, is 1"),
        (Decimal, 5, "must be a decimal number, is 5"),
        (Annotated[Decimal, AtLeast(0)], Decimal("NaN"), "must be a decimal number, is Decimal('NaN')"),
        (Decimal, Decimal("-Infinity"), "must be a decimal number, is Decimal('-Infinity')"),
        (date, NOW, f"must be a date, is {NOW!r}"),
        (date, "2026-01-31", "must be a date, is '2026-01-31'"),
        (datetime, "now", "must be a date and time, is 'now'"),
        (datetime, datetime(2026, 1, 31), "must have a time zone"),
        (Colour, "red", "must be a Colour, is 'red'"),
        (Address, "Elm", "must be a Address, is 'Elm'"),
        (Literal["a", "b"], "c", "must be one of 'a', 'b', is 'c'"),
        (tuple[int, ...], [1], "must be a list, is [1]"),
        (tuple[int, ...], (1, "2"), "item 1 must be an integer, is '2'"),
        (tuple[int, str], (1,), "must be a list of 2, is (1,)"),
        (tuple[int, str], ("a", 1), "item 0 must be an integer, is 'a'"),
        (tuple, [1], "must be a list, is [1]"),
        (dict[str, int], [], "must be a dict, is []"),
        (str | None, 5, "must be a text, is 5"),
        (int | Address, "a", "must be a Address, is 'a'"),
        (None, 5, "must be null, is 5"),
        (Grams, "5", "must be an integer, is '5'"),
    ],
)
def test_a_value_that_breaks_its_annotation_is_told_what_was_expected(
    annotation: Any, value: Any, problem: str
) -> None:
    assert checks_of(annotation)(value) == problem


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[str, Length(1, 3)], "abc"),
        (Annotated[str, Length(1)] | None, None),
        (Annotated[str | None, Length(1)], None),
        (Annotated[str, "a remark"], "abc"),
        (float, 5),
        (float, 5.5),
        (bool, False),
        (Decimal, Decimal("12.50")),
        (Annotated[Decimal, AtLeast(0)], Decimal("0.00")),
        (date, date(2026, 1, 31)),
        (datetime, NOW),
        (Colour, Colour.RED),
        (Address, Address(street="Elm")),
        (Literal["a", "b"], "b"),
        (tuple[int, ...], ()),
        (tuple[int, ...], (1, 2)),
        (tuple[int, str], (1, "a")),
        (dict[str, int], {}),
        (int | str, "a"),
        (None, None),
        (Grams, 5),
        (Any, object()),
    ],
)
def test_a_value_that_keeps_its_annotation_has_no_problem(annotation: Any, value: Any) -> None:
    assert checks_of(annotation)(value) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_check_judges_whatever_it_is_given(value: Any) -> None:
    class_of = {"text": Annotated[str, Length(1, 5), Pattern("[a-z]*")], "count": Annotated[int, AtLeast(0)]}
    judged = {name: checks_of(annotation)(value) for name, annotation in class_of.items()}

    is_short = isinstance(value, str) and re.fullmatch("[a-z]{1,5}", value) is not None
    assert (judged["text"] is None) == is_short
    assert (judged["count"] is None) == (type(value) is int and value >= 0)


@pytest.mark.parametrize("value", [98765, "9"])
def test_what_is_sensitive_is_not_shown(value: Any) -> None:
    problem = checks_of(Annotated[Sensitive[str], Length(4)])(value)

    assert problem is not None
    assert str(value) not in problem or problem == "must have at least 4, has 1"
    assert checks_of(Sensitive[Annotated[str, Pattern("[a-z]+")]])("9876") == (
        "is not accepted; what was given is not shown"
    )


@pytest.mark.parametrize(
    ("annotation", "is_hidden"),
    [
        (Sensitive[str], True),
        (Sensitive[str] | None, True),
        (tuple[Sensitive[str], ...], True),
        (Annotated[str, Length(1)], False),
        (Literal["a"], False),
        (str, False),
    ],
)
def test_an_annotation_is_sensitive_when_a_part_of_it_is(annotation: Any, is_hidden: bool) -> None:
    assert is_sensitive(annotation) is is_hidden
