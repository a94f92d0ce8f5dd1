"""The handlers of order fulfilment, each tested by calling it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from atomos.allocation.domain.errors import NotAllocated, OrderDiffers, SkuTwice, UnknownOrder
from atomos.allocation.domain.events import (
    Allocated,
    DeadlinePassed,
    LineWanted,
    OrderDetails,
    OrderedLine,
    OrderFellShort,
    OrderFulfilled,
    OrderItem,
    OrderState,
    WentOutOfStock,
)
from atomos.allocation.service import fulfilment, handlers
from atomos.allocation.service.ports import Buyers
from atomos.core.domain import Created
from atomos.testing import MemoryStore, RecordedNotifications, handling
from tests.factories import (
    CancelLineFactory,
    CreateBatchFactory,
    NoteLineFactory,
    OrderItemFactory,
    PlaceOrderFactory,
    PromiseLineFactory,
    ReportShortFactory,
)

from .memory import MemoryAllocationUnitOfWork

NewUow = Callable[[], MemoryAllocationUnitOfWork]
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def uow(store: MemoryStore) -> NewUow:
    return lambda: MemoryAllocationUnitOfWork(store)


@pytest.fixture
def place(uow: NewUow) -> Callable[..., Any]:
    """What places the order `order-1`."""
    return lambda **wants: fulfilment.place_order(
        PlaceOrderFactory(order_id="order-1", deadline=NOON, wants=wants), uow()
    )


def timers(store: MemoryStore) -> list[Any]:
    return [(later.event, later.until, later.name, later.key) for later in store.later]


def test_an_order_that_is_placed_asks_for_its_lines_and_winds_its_timer(
    place: Callable[..., Any], store: MemoryStore
) -> None:
    lines = (
        OrderedLine(sku="CHAIR", quantity=2, batch=None),
        OrderedLine(sku="TABLE", quantity=1, batch=None),
    )
    details = OrderDetails(order_id="order-1", version=1, state=OrderState.OPEN, deadline=NOON, lines=lines)
    assert place(TABLE=1, CHAIR=2) == Created(value=details)
    assert [type(event) for event in store.events] == [LineWanted, LineWanted]
    assert timers(store) == [(DeadlinePassed(order_id="order-1"), NOON, "deadline", "order-1")]


def test_the_same_order_again_changes_nothing(place: Callable[..., Any], store: MemoryStore) -> None:
    first, again = place(CHAIR=2), place(CHAIR=2)
    assert again == first.value
    assert (len(store.events), len(store.later)) == (1, 1)


def test_an_order_cannot_be_placed_again_with_another_content(place: Callable[..., Any]) -> None:
    place(CHAIR=2)
    with pytest.raises(OrderDiffers):
        place(CHAIR=3)


def test_an_order_with_two_lines_of_a_sku_is_refused(uow: NewUow, store: MemoryStore) -> None:
    items = (OrderItemFactory(), OrderItemFactory())
    with pytest.raises(SkuTwice):
        fulfilment.place_order(PlaceOrderFactory(lines=items), uow())
    assert store.aggregates == {}


def test_a_line_is_promised_from_stock(place: Callable[..., Any], uow: NewUow, store: MemoryStore) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    place(CHAIR=2)
    fulfilment.promise_line(PromiseLineFactory(order_id="order-1"), uow())
    assert Allocated(order_id="order-1", sku="CHAIR", quantity=2, batch="b1") in store.events


def test_a_line_of_an_unknown_sku_waits_for_its_first_batch(
    place: Callable[..., Any], uow: NewUow, store: MemoryStore
) -> None:
    place(CHAIR=2)
    fulfilment.promise_line(PromiseLineFactory(order_id="order-1"), uow())
    assert store.events[-1] == WentOutOfStock(sku="CHAIR", quantity=2)
    answer = handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    assert answer.value.available == 8  # type: ignore[union-attr]
    assert Allocated(order_id="order-1", sku="CHAIR", quantity=2, batch="b1") in store.events


def test_a_line_that_was_cancelled_before_its_product_heard_of_it_is_not_promised(
    place: Callable[..., Any], uow: NewUow, store: MemoryStore
) -> None:
    handlers.create_batch(CreateBatchFactory(), uow())
    place(CHAIR=2)
    handlers.cancel_line(CancelLineFactory(order_id="order-1"), uow())
    fulfilment.promise_line(PromiseLineFactory(order_id="order-1"), uow())
    assert not [event for event in store.events if isinstance(event, Allocated)]
    assert store.later == []
    with pytest.raises(NotAllocated):
        handlers.cancel_line(CancelLineFactory(order_id="order-1"), uow())


def test_the_timer_is_taken_back_when_the_order_is_whole_and_wound_again_when_it_is_not(
    place: Callable[..., Any], uow: NewUow, store: MemoryStore
) -> None:
    place(CHAIR=2)
    fulfilment.note_line(NoteLineFactory(), uow())
    assert store.events[-1] == OrderFulfilled(order_id="order-1")
    assert store.later == []
    fulfilment.note_line(NoteLineFactory(batch=None), uow())
    assert timers(store) == [(DeadlinePassed(order_id="order-1"), NOON, "deadline", "order-1")]


def test_an_order_that_lost_all_its_lines_needs_no_timer(
    place: Callable[..., Any], uow: NewUow, store: MemoryStore
) -> None:
    place(CHAIR=2)
    fulfilment.note_line(NoteLineFactory(batch=None, is_wanted=False), uow())
    assert store.later == []


def test_at_its_deadline_an_order_is_reported_short_once(
    place: Callable[..., Any], uow: NewUow, store: MemoryStore
) -> None:
    place(CHAIR=2)
    for _ in range(2):
        fulfilment.report_short(ReportShortFactory(), uow())
    short = [event for event in store.events if isinstance(event, OrderFellShort)]
    assert short == [OrderFellShort(order_id="order-1", lines=(OrderItem(sku="CHAIR", quantity=2),))]


def test_news_of_an_order_that_was_never_placed_is_an_error(uow: NewUow) -> None:
    with pytest.raises(UnknownOrder, match="No order order-1 was placed"):
        fulfilment.note_line(NoteLineFactory(), uow())


def test_the_buyers_are_told_which_lines_are_short() -> None:
    notifications = RecordedNotifications()
    event = OrderFellShort(order_id="order-1", lines=(OrderItem(sku="CHAIR", quantity=2),))
    with handling() as probe:
        fulfilment.tell_buyers(event, notifications, Buyers("buyers@example.org"), probe.envelope)
    [sent] = notifications.sent
    assert (sent.to, sent.subject) == ("buyers@example.org", "Order order-1 is short")
    assert "- 2 of CHAIR" in sent.text
    assert sent.effect_id is not None
