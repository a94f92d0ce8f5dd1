"""Fields from annotations: what each type takes from JSON and from a URL, and what it refuses."""

from __future__ import annotations

from dataclasses import field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from flask.json import dumps
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from atomos.core.api.kinds import KINDS, Unfit
from atomos.core.api.schemas import Shapes, maker
from atomos.core.domain import (
    AtLeast,
    Created,
    Event,
    InvalidMessage,
    Length,
    Message,
    Page,
    Pattern,
    Sensitive,
    ValueObject,
)

from .api_samples import Author, BookArrived, BooksOf


class Level(IntEnum):
    NONE = 0
    SOME = 1


class Mixed(Enum):
    NUMBER = 1
    TEXT = "1"


class Tree(ValueObject):
    label: Annotated[str, Length(1, 5)]
    branches: tuple[Tree, ...] = ()
    next: Tree | None = None


class Once:
    """A constraint that changes its mind about the letter a."""

    seen = 0

    def problem(self, value: Any) -> str | None:
        self.seen += value == "a"
        return "is seen a second time" if self.seen > 1 else None


ONCE = Once()


class Fussy(ValueObject):
    label: Annotated[str, ONCE]


class Fussed(Event, name="schemas.fussed"):
    one: Fussy


class Lost(Event, name="schemas.lost"):
    one: Nowhere  # type: ignore[name-defined]  # noqa: F821


class Secrets(ValueObject):
    code: Annotated[Sensitive[str], Pattern("[a-z]+")]
    number: Sensitive[int] = 0


class Planted(Event, name="schemas.planted"):
    tree: Tree
    secrets: Secrets | None = None
    labels: tuple[str, ...] = field(default_factory=tuple)
    amounts: tuple[Annotated[Decimal, AtLeast(0)], ...] = ()


def read(kind: Any, given: Any, *, text: bool = False) -> Any:
    return Shapes().field(kind, text=text).deserialize(given)


def problems(message: type[Message], given: dict[str, Any], texts: tuple[str, ...] = ()) -> dict[str, str]:
    with pytest.raises(InvalidMessage) as raised:
        maker(message, Shapes().message(message, texts))(given)
    return {each.pointer: each.detail for each in raised.value.problems}


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (str, " a ", "a"),
        (str, "ü\U0001f600", "ü\U0001f600"),
        (int, -(2**63), -(2**63)),
        (int, 1.0, 1),
        (int, 1.0 - 2**53, 1 - 2**53),
        (float, 2, 2.0),
        (float, 2.5, 2.5),
        (bool, False, False),
        (Decimal, "12.50", Decimal("12.50")),
        (Decimal, " -0 ", Decimal("-0")),
        (date, "2026-01-31", date(2026, 1, 31)),
        (datetime, "2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        (datetime, "2026-01-31T13:30:00.5+01:00", datetime(2026, 1, 31, 12, 30, 0, 500_000, tzinfo=UTC)),
        (UUID, "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e", UUID("0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e")),
        (Level, 0, Level.NONE),
        (Mixed, 1, Mixed.NUMBER),
        (Mixed, 1.0, Mixed.NUMBER),
        (Mixed, "1 ", Mixed.TEXT),
        (str | None, None, None),
        (Annotated[str, Length(1)] | None, "a", "a"),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[Level, ...], [1], (Level.SOME,)),
        (Author, {"name": "Jane"}, Author(name="Jane")),
        (tuple[Author, ...], [], ()),
    ],
)
def test_what_a_type_takes_from_json(kind: Any, given: Any, expected: Any) -> None:
    assert read(kind, given) == expected
    assert type(read(kind, given)) is type(expected)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (str, 1),
        (str, None),
        (str, ["a"]),
        (int, True),
        (int, 1.5),
        (int, float(2**53)),
        (int, float("nan")),
        (int, "1"),
        (int, 2**63),
        (int, None),
        (float, True),
        (float, "1"),
        (float, float("inf")),
        (float, 10**400),
        (bool, 0),
        (bool, "true"),
        (Decimal, 1),
        (Decimal, 1.5),
        (Decimal, "1e5"),
        (Decimal, "NaN"),
        (Decimal, "1_000"),
        (Decimal, "٣"),
        (Decimal, ".5"),
        (Decimal, ""),
        (date, "20260131"),
        (date, "2026-01-31T00:00:00Z"),
        (date, 1),
        (datetime, "2026-01-31T12:30:00"),
        (datetime, "2026-01-31"),
        (datetime, "0001-01-01T00:00:00+23:00"),
        (datetime, 1_700_000_000),
        (UUID, "0190b3a2"),
        (Level, True),
        (Level, "0"),
        (Level, 2),
        (Level, [0]),
        (Mixed, 1.5),
        (tuple[int, ...], (1,)),
        (tuple[int, ...], "12"),
        (tuple[int, ...], {"0": 1}),
        (tuple[int, ...], None),
        (Author, "Jane"),
        (Author, [["name", "Jane"]]),
        (Author, None),
    ],
)
def test_what_a_type_does_not_take_from_json(kind: Any, given: Any) -> None:
    with pytest.raises(ValidationError):
        read(kind, given)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (str, " a ", "a"),
        (str, 7, "7"),
        (int, " -12 ", -12),
        (int, 12, 12),
        (float, "1e3", 1000.0),
        (bool, "true", True),
        (bool, "false", False),
        (Decimal, "12.50", Decimal("12.50")),
        (date, "2026-01-31", date(2026, 1, 31)),
        (datetime, "2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        (UUID, UUID(int=1), UUID(int=1)),
        (Level, "1", Level.SOME),
        (Mixed, "1", Mixed.TEXT),
        (int | None, "1", 1),
        (tuple[int, ...], ["1", "2"], (1, 2)),
    ],
)
def test_what_a_type_takes_from_a_url(kind: Any, given: Any, expected: Any) -> None:
    assert read(kind, given, text=True) == expected


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (int, "1.0"),
        (int, "1_0"),
        (int, "٣"),
        (int, "+1"),
        (int, "9" * 30),
        (float, "inf"),
        (float, '"1"'),
        (float, "true"),
        (bool, "1"),
        (bool, "True"),
        (Level, "SOME"),
        (int | None, "null"),
    ],
)
def test_what_a_type_does_not_take_from_a_url(kind: Any, given: Any) -> None:
    with pytest.raises(ValidationError):
        read(kind, given, text=True)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (object, "object has no form in JSON; use str, int, "),
        (bytes, "bytes has no form in JSON"),
        (int | str, "one of several types"),
        (tuple[int, str], "a tuple of fixed length"),
        (dict[str, int], "has no form in JSON"),
        (list[int], "has no form in JSON"),
        (Any, "has no form in JSON"),
    ],
)
def test_a_type_that_no_request_can_say_is_refused_at_start(kind: Any, said: str) -> None:
    with pytest.raises(Unfit, match=said):
        Shapes().field(kind)


def test_answers_may_have_lists_dictionaries_and_pages() -> None:
    shapes = Shapes(open_=True)
    for kind in (list[Author], dict[str, int], Page[Author], Page[tuple[int, ...]], Created[int], Tree):
        shapes.field(kind)
    assert set(shapes.schema(Page[Author])().fields) == {"items", "cursor"}


def test_a_value_that_holds_itself_is_read_to_its_end() -> None:
    tree = {"label": "a", "branches": [{"label": "b", "next": {"label": "c"}}, {"label": "d", "next": None}]}
    made = maker(Planted, Shapes().message(Planted))({"tree": tree})
    assert made.tree.branches[0].next == Tree(label="c")


def test_problems_deep_inside_have_their_pointers() -> None:
    tree = {"label": "a", "branches": [{"label": "b", "next": {"label": "too long", "x": 1}}, {}]}
    assert problems(Planted, {"tree": tree, "amounts": ["1", "-1"]}) == {
        "/tree/branches/0/next/label": "must have at most 5, has 8",
        "/tree/branches/0/next/x": "is unknown; the fields are: label, branches, next",
        "/tree/branches/1/label": "is missing",
        "/amounts/1": "must be at least 0, is -1",
    }


def test_what_only_a_constructor_refuses_has_its_pointer_too() -> None:
    assert problems(Fussed, {"one": {"label": "a"}}) == {"/one/label": "is seen a second time"}


def test_an_annotation_that_cannot_be_read_is_refused_at_start() -> None:
    with pytest.raises(Unfit, match="'Nowhere' is not defined, in Lost; is it imported under TYPE_CHECKING"):
        Shapes().message(Lost)


def test_secrets_deep_inside_are_hidden() -> None:
    given = {"tree": {"label": "a"}, "secrets": {"code": "S3CR3T", "number": "S3CR3T"}}
    found = problems(Planted, given)
    assert set(found) == {"/secrets/code", "/secrets/number"}
    assert "S3CR3T" not in str(found)


def test_what_may_be_none_is_none_when_a_url_leaves_it_out() -> None:
    class Optional(Event, name="schemas.optional"):
        limit: int | None

    make = maker(Optional, Shapes().message(Optional, ("limit",)))
    assert make({}) == Optional(limit=None)
    assert problems(Optional, {}) == {"/limit": "is missing"}


def test_defaults_are_the_messages_own() -> None:
    make = maker(BooksOf, Shapes().message(BooksOf, tuple(each.name for each in fields(BooksOf))))
    assert make({"shelf": "a"}) == BooksOf(shelf="a")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 200)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", " a ", "1", "12.50", "true", "paper", "2026-01-31", "2026-01-31T12:30:00Z", "x" * 101, "\0"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "born", "x"]), inner)
    ),
    max_leaves=4,
)
NAMES = [each.name for each in fields(BookArrived)]
SCHEMA = Shapes().message(BookArrived)
some_fields = st.dictionaries(st.sampled_from([*NAMES, "x"]), json_values)
good = st.fixed_dictionaries(
    {"isbn": st.just("12-X"), "title": st.sampled_from(["Emma", " a "]), "copies": st.integers(1, 3)},
    optional={
        "price": st.sampled_from(["12.50", 1, 0.5]),
        "binding": st.just("paper"),
        "bought_at": st.sampled_from([None, "2026-01-31T12:30:00Z", "2026-01-31T12:30:00+02:00"]),
        "authors": st.lists(st.just({"name": "Jane", "born": "1775-12-16"}), max_size=2),
        "tags": st.lists(st.just("old"), max_size=2),
        "rare": st.booleans(),
    },
)
# At random alone, no message would ever be taken: only refusals would be compared.
nearly_good = st.builds(
    lambda all_good, some: {**all_good, **some},
    good,
    st.dictionaries(st.sampled_from([*NAMES, "x"]), json_values, max_size=1),
)


@given(nearly_good | some_fields)
def test_the_short_way_and_marshmallows_agree(given: dict[str, Any]) -> None:
    long_way: Any
    try:
        long_way = BookArrived(**SCHEMA.load(given))
    except (ValidationError, InvalidMessage):
        long_way = None
    try:
        assert maker(BookArrived, SCHEMA)(given) == long_way
    except InvalidMessage as error:
        assert long_way is None
        assert error.problems


@given(
    st.fixed_dictionaries(
        {
            "isbn": st.from_regex(r"[0-9X-]{1,20}", fullmatch=True),
            "title": st.text(
                st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=100
            ).filter(str.strip),
            "copies": st.integers(1, 100),
            "price": st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
            "bought_at": st.none() | st.datetimes(timezones=st.timezones()).map(datetime.isoformat),
            "authors": st.lists(
                st.fixed_dictionaries({"name": st.just("Jane"), "born": st.dates().map(str)}), max_size=3
            ),
        }
    )
)
def test_what_is_as_it_should_be_is_taken(given: dict[str, Any]) -> None:
    try:
        made = maker(BookArrived, SCHEMA)(given)
    except InvalidMessage as error:
        # Only an instant at the very end of time cannot be told in UTC; seconds in a zone are not RFC 3339.
        assert {each.pointer for each in error.problems} == {"/bought_at"}, error
        return
    assert dumps(made.title) == dumps(given["title"].strip())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_is_in_a_document(kind: type) -> None:
    assert "type" in KINDS[kind].keywords
