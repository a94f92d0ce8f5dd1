"""Messages and values are made by keyword, of the right types, and never changed."""

from __future__ import annotations

from datetime import date
from typing import reveal_type

from atomos.allocation.domain.commands import Allocate
from atomos.allocation.domain.events import BatchReceived, OrderLineReceived
from atomos.core.domain import Command, Created, Event, Message, Page, Query, ValueObject


class Fields(Message):
    sku: str


class Counted(Fields, Event, name="test.counted", version=2):
    quantity: int = 1


class Count(Fields, Command[int], name="test.count"):
    pass


class CountOf(Query[int], name="test.count-of"):
    sku: str


def fields_are_known() -> None:
    line = Allocate(order_id="o-1", sku="red", quantity=2)
    reveal_type(line.quantity)  # R: int
    reveal_type(line.sku)  # R: str
    reveal_type(Counted(sku="red").quantity)  # R: int
    reveal_type(Counted.wire_name)  # R: str


def a_misspelt_keyword() -> None:
    Allocate(order_id="o-1", skuu="red", quantity=2)  # E: call-arg reportCallIssue


def a_missing_keyword() -> None:
    Allocate(order_id="o-1", sku="red")  # E: call-arg reportCallIssue


def a_positional_argument() -> None:
    Allocate("o-1", "red", 2)  # E: call-arg reportCallIssue


def a_field_of_another_type() -> None:
    Allocate(order_id="o-1", sku="red", quantity="2")  # E: arg-type reportArgumentType
    BatchReceived(reference="b-1", sku="red", quantity=1, eta="2026-01-31")  # E: arg-type reportArgumentType
    BatchReceived(reference="b-1", sku="red", quantity=1, eta=date(2026, 1, 31))


def an_optional_field_may_be_none(event: BatchReceived) -> None:
    print(event.eta.year)  # E: union-attr reportOptionalMemberAccess


def an_assignment(event: OrderLineReceived) -> None:
    event.sku = "blue"  # E: misc reportAttributeAccessIssue


def a_deletion(event: OrderLineReceived) -> None:
    del event.sku  # E: reportAttributeAccessIssue


def a_field_that_is_not_there(event: OrderLineReceived) -> None:
    print(event.colour)  # E: attr-defined reportAttributeAccessIssue


def answers_are_generic() -> None:
    reveal_type(Created(value=5).value)  # R: int
    reveal_type(Page(items=("a",)).items)  # R: tuple[str, ...]
    reveal_type(Page(items=("a",)).cursor)  # R: str | None


class Money(ValueObject):
    amount: int


def values_are_frozen(money: Money) -> None:
    money.amount = 5  # E: misc reportAttributeAccessIssue
    Money(5)  # E: call-arg reportCallIssue


def names_are_texts_and_versions_numbers() -> None:
    class A(Event, name=5):  # E: arg-type reportArgumentType,reportGeneralTypeIssues
        pass

    class B(Event, name="test.b", version="1"):  # E: arg-type reportArgumentType,reportGeneralTypeIssues
        pass

    class C(Event, name="test.c", topic="t"):  # E: call-arg reportCallIssue,reportGeneralTypeIssues
        pass
