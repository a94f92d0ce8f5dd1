"""What senders are told: `emit` and `ask` give the answer that the message declares."""

from __future__ import annotations

from typing import reveal_type

from atomos.allocation.domain.commands import Allocate
from atomos.allocation.domain.events import (
    BatchDetails,
    BatchQuantityReported,
    LineAllocation,
    OrderLineCancelled,
    OrderLineReceived,
)
from atomos.allocation.service.queries import AllocationsOf, BatchesOf, ProductDetails, ProductOf
from atomos.core.api import Entrypoints, ask, emit
from atomos.core.domain import Created
from atomos.core.service import MessageBus

LINE = OrderLineReceived(order_id="o-1", sku="red", quantity=2)


def a_bus_answers_an_event_with_what_it_promises(bus: MessageBus) -> None:
    reveal_type(bus.emit(LINE))  # R: Created[LineAllocation] | LineAllocation
    reveal_type(bus.emit(BatchQuantityReported(reference="b-1", quantity=2)))  # R: BatchDetails


def a_plain_event_is_answered_with_nothing(bus: MessageBus) -> None:
    answer = bus.emit(OrderLineCancelled(order_id="o-1", sku="red"))
    reveal_type(answer)  # R: None


def a_bus_answers_a_query(bus: MessageBus) -> None:
    reveal_type(bus.ask(AllocationsOf(order_id="o-1")))  # R: tuple[AllocatedLine, ...]
    reveal_type(bus.ask(BatchesOf()))  # R: Page[BatchDetails]
    reveal_type(bus.ask(BatchesOf()).items[0].available)  # R: int


def what_is_sent_later_is_answered_with_its_id(bus: MessageBus) -> None:
    reveal_type(bus.send_later(LINE))  # R: str


def a_command_is_not_emitted_and_an_event_is_not_asked(bus: MessageBus) -> None:
    bus.emit(Allocate(order_id="o-1", sku="red", quantity=2))  # E: arg-type reportArgumentType
    bus.emit(ProductOf(sku="red"))  # E: arg-type reportArgumentType
    bus.ask(LINE)  # E: arg-type reportArgumentType
    bus.ask(Allocate(order_id="o-1", sku="red", quantity=2))  # E: arg-type reportArgumentType


def an_answer_has_to_be_looked_into(bus: MessageBus) -> None:
    answer = bus.emit(LINE)
    print(answer.batch)  # E: union-attr reportAttributeAccessIssue
    if isinstance(answer, Created):
        reveal_type(answer.value.batch)  # R: str | None
    else:
        reveal_type(answer.batch)  # R: str | None


blueprint = Entrypoints("shop", __name__)


@blueprint.post("/lines")
def a_view_emits(event: OrderLineReceived) -> Created[LineAllocation] | LineAllocation:
    reveal_type(emit(event))  # R: Created[LineAllocation] | LineAllocation
    return emit(event)


@blueprint.get("/products/<sku>")
def a_view_asks(query: ProductOf) -> ProductDetails:
    reveal_type(ask(query))  # R: ProductDetails
    return ask(query)


@blueprint.post("/others")
def a_view_promises_something_else(event: OrderLineReceived) -> LineAllocation:
    return emit(event)  # E: return-value reportReturnType


@blueprint.get("/batches")
def a_view_asks_for_something_else(query: ProductOf) -> BatchDetails:
    return ask(query)  # E: return-value reportReturnType


def a_view_neither_asks_an_event_nor_emits_a_query(event: OrderLineReceived, query: ProductOf) -> None:
    ask(event)  # E: arg-type reportArgumentType
    emit(query)  # E: arg-type reportArgumentType
