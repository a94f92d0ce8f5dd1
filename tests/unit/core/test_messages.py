"""Messages: frozen, keyword-only values with declared names, and the answers that they promise."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from atomos.core.domain import Command, Created, Event, InvalidMessage, Message, Page, Query, ValueObject
from atomos.core.domain.messages import answer_of


class Line(Message):
    order_id: str
    sku: str


class LineReceived(Line, Event[Created[str] | str], name="shop.line-received", version=3):
    quantity: int = 1


class LineDropped(Line, Event, name="shop.line-dropped"):
    pass


class Drop(Line, Command[int], name="shop.drop"):
    pass


class LinesOf(Query[tuple[str, ...]], name="shop.lines-of"):
    order_id: str


LINE = LineReceived(order_id="o-1", sku="red", quantity=2)


def test_a_message_has_the_shared_fields_and_its_own() -> None:
    assert [field.name for field in dataclasses.fields(LINE)] == ["order_id", "sku", "quantity"]
    assert repr(LINE) == "LineReceived(order_id='o-1', sku='red', quantity=2)"


def test_a_declared_name_and_version_belong_to_the_class_and_not_to_its_fields() -> None:
    assert (LineReceived.wire_name, LineReceived.wire_version) == ("shop.line-received", 3)
    assert (LineDropped.wire_name, LineDropped.wire_version) == ("shop.line-dropped", 1)
    assert "wire_name" not in dataclasses.asdict(LINE)


def test_shared_fields_have_no_name() -> None:
    assert Line.wire_name == ""


@pytest.mark.parametrize("kind", [Event, Command, Query, Event[int], Command[int], Query[int]])
def test_a_message_without_a_name_fails_at_import(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"Nameless has no wire name: write class Nameless\(\.\.\., name="):

        class Nameless(kind):
            pass


def test_a_subclass_of_a_message_needs_a_name_of_its_own() -> None:
    with pytest.raises(TypeError, match="has no wire name"):

        class Another(LineReceived):
            pass


@pytest.mark.parametrize("version", [0, -1])
def test_versions_count_from_one(version: int) -> None:
    with pytest.raises(TypeError, match=f"version must be at least 1, is {version}"):

        class Older(Event, name="shop.older", version=version):
            pass


# Frozen, keyword-only, slotted.


@pytest.mark.parametrize("field", ["sku", "quantity", "unknown"])
def test_a_message_cannot_be_changed(field: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"{field} of LineReceived cannot be changed"):
        setattr(LINE, field, "blue")
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"{field} of LineReceived cannot be changed"):
        delattr(LINE, field)


def test_another_message_is_made_by_replacing_a_field() -> None:
    assert dataclasses.replace(LINE, sku="blue").sku == "blue"
    with pytest.raises(InvalidMessage):
        dataclasses.replace(LINE, sku=5)  # type: ignore[arg-type]


def test_fields_are_given_by_name_only() -> None:
    with pytest.raises(TypeError, match="positional"):
        LineReceived("o-1", "red")  # type: ignore[call-arg,misc]


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(TypeError, match="ordre_id"):
        LineDropped(ordre_id="o-1", sku="red")  # type: ignore[call-arg]


def test_a_message_has_no_dictionary() -> None:
    assert not hasattr(LINE, "__dict__")


# Equality is by class and fields.


def test_messages_are_equal_by_class_and_fields() -> None:
    same = LineReceived(order_id="o-1", sku="red", quantity=2)

    assert same == LINE
    assert hash(same) == hash(LINE)
    assert {same, LINE} == {same}


def test_messages_of_two_classes_differ_though_their_fields_do_not() -> None:
    assert LineDropped(order_id="o-1", sku="red") != Drop(order_id="o-1", sku="red")


@pytest.mark.parametrize("field", [{"order_id": "o-2"}, {"sku": "blue"}, {"quantity": 3}])
def test_messages_with_another_field_differ(field: dict[str, Any]) -> None:
    assert dataclasses.replace(LINE, **field) != LINE


# They travel.


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_message_is_pickled(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(LINE, protocol)) == LINE  # noqa: S301


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_a_message_is_copied(way: Any) -> None:
    assert way(LINE) == LINE


def test_a_message_read_from_json_is_checked_like_any_other() -> None:
    read = msgspec.json.decode(b'{"order_id":"o-1","sku":"red","quantity":2}', type=LineReceived)

    assert read == LINE
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"order_id":"o-1","sku":null}', type=LineReceived)


# Messages are plain.


def test_a_message_that_uses_super_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Clever uses super\(\), __class__ or __post_init__"):

        class Clever(Event, name="shop.clever"):
            def __eq__(self, other: object) -> bool:
                return super().__eq__(other)


def test_a_message_that_judges_for_itself_is_refused() -> None:
    with pytest.raises(TypeError, match="put constraints into annotations"):

        class Judging(Event, name="shop.judging"):
            def __post_init__(self) -> None: ...


def test_a_message_may_have_methods_and_properties() -> None:
    class Priced(Event, name="shop.priced"):
        cents: int

        @property
        def euros(self) -> float:
            return self.cents / 100

    assert Priced(cents=250).euros == 2.5


# Answers.


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (LineReceived, Created[str] | str),
        (LineDropped, None),
        (Drop, int),
        (LinesOf, tuple[str, ...]),
        (Line, None),
    ],
)
def test_a_message_promises_the_answer_in_its_brackets(message: type[Message], answer: Any) -> None:
    assert answer_of(message) == answer


def test_a_subclass_promises_what_its_parent_promised() -> None:
    class Later(LineReceived, name="shop.later"):
        pass

    assert answer_of(Later) == Created[str] | str


def test_an_answer_may_be_defined_below_its_message() -> None:
    class Wants(Event[list["Below"]], name="shop.wants"):
        pass

    class Below(ValueObject):
        pass

    assert answer_of(Wants) == list["Below"]


def test_what_is_created_and_what_is_paged_are_values() -> None:
    assert Created(value=5) == Created[int](value=5)
    assert Page[str](items=("a",)) == Page(items=("a",), cursor=None)
    with pytest.raises(InvalidMessage, match="/items: must be a list"):
        Page(items=["a"])  # type: ignore[arg-type]


def test_a_domain_needs_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import atomos.core.domain; print(*set(sys.modules) - before)"
    )
    printed = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)

    roots = {name.partition(".")[0] for name in printed.stdout.split()}
    assert roots - sys.stdlib_module_names == {"atomos"}
