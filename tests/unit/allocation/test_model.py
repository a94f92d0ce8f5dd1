"""The rules of allocation, without anything around them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.allocation.domain.errors import BatchDiffers, LineDiffers, NotAllocated, UnknownBatch
from atomos.allocation.domain.events import Allocated, Deallocated, LineReleased, WentOutOfStock
from atomos.allocation.domain.model import Product
from tests.factories import OrderLineFactory, ProductFactory

TODAY = date(2026, 7, 1)
TOMORROW = TODAY + timedelta(days=1)
LATER = TODAY + timedelta(days=10)


def test_the_warehouse_is_preferred_to_what_is_on_its_way() -> None:
    product = ProductFactory(stock={"ship": (10, TODAY), "warehouse": (10, None)})
    batch, _ = product.allocate(OrderLineFactory())
    assert batch.reference == "warehouse"


def test_among_shipments_the_earliest_is_preferred() -> None:
    product = ProductFactory(stock={"slow": (10, LATER), "fast": (10, TODAY), "medium": (10, TOMORROW)})
    assert product.allocate(OrderLineFactory())[0].reference == "fast"


def test_a_batch_that_has_too_little_is_passed_over() -> None:
    product = ProductFactory(stock={"warehouse": (1, None), "ship": (10, TODAY)})
    assert product.allocate(OrderLineFactory(quantity=2))[0].reference == "ship"


def test_between_equals_the_reference_decides() -> None:
    product = ProductFactory(stock={"b": (10, None), "a": (10, None)})
    assert product.allocate(OrderLineFactory())[0].reference == "a"


def test_allocating_reduces_what_is_available_and_is_recorded() -> None:
    product = ProductFactory(stock={"batch": (20, None)})
    product.allocate(OrderLineFactory(order_id="order", quantity=2))
    assert product.batches[0].available == 18
    assert product.take_recorded() == (Allocated(order_id="order", sku="CHAIR", quantity=2, batch="batch"),)


def test_all_that_a_batch_has_may_be_promised() -> None:
    product = ProductFactory(stock={"batch": (2, None)})
    assert product.allocate(OrderLineFactory(quantity=2))[0].available == 0


def test_allocating_twice_is_the_same_as_once() -> None:
    product = ProductFactory(stock={"batch": (20, None)})
    line = OrderLineFactory()
    first, is_new = product.allocate(line)
    product.take_recorded()
    again, is_new_again = product.allocate(line)
    assert (first, is_new, again, is_new_again) == (first, True, first, False)
    assert first.available == 18
    assert product.take_recorded() == ()


def test_an_allocated_line_cannot_be_sent_again_with_another_quantity() -> None:
    product = ProductFactory(stock={"batch": (20, None)})
    product.allocate(OrderLineFactory(order_id="order", quantity=2))
    with pytest.raises(LineDiffers, match="has 2 of CHAIR allocated"):
        product.allocate(OrderLineFactory(order_id="order", quantity=3))


def test_running_out_of_stock_is_news_and_not_an_error() -> None:
    product = ProductFactory(stock={"batch": (1, None)})
    assert product.allocate(OrderLineFactory(quantity=2)) == (None, False)
    assert product.take_recorded() == (WentOutOfStock(sku="CHAIR", quantity=2),)


def test_a_line_that_found_no_stock_may_be_sent_again_with_any_quantity() -> None:
    product = ProductFactory(stock={"batch": (1, None)})
    product.allocate(OrderLineFactory(order_id="order", quantity=2))
    batch, is_new = product.allocate(OrderLineFactory(order_id="order", quantity=1))
    assert (batch.reference, is_new) == ("batch", True)


def test_the_same_batch_again_changes_nothing() -> None:
    product = ProductFactory(stock={"batch": (10, TODAY)})
    batch, is_new = product.receive("batch", 10, TODAY)
    assert (batch.quantity, is_new, len(product.batches)) == (10, False, 1)


@pytest.mark.parametrize(("quantity", "eta"), [(11, TODAY), (10, None), (10, TOMORROW)])
def test_a_batch_cannot_be_received_again_with_another_content(quantity: int, eta: date | None) -> None:
    product = ProductFactory(stock={"batch": (10, TODAY)})
    with pytest.raises(BatchDiffers):
        product.receive("batch", quantity, eta)


def test_a_batch_that_shrinks_loses_its_newest_lines_first() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    for order_id, quantity in (("first", 4), ("second", 3), ("third", 3)):
        product.allocate(OrderLineFactory(order_id=order_id, quantity=quantity))
    product.take_recorded()
    batch = product.change_quantity("batch", 5)
    assert [line.order_id for line in batch.lines] == ["first"]
    assert [event.order_id for event in product.take_recorded() if isinstance(event, Deallocated)] == [
        "third",
        "second",
    ]


def test_a_batch_that_still_has_enough_keeps_its_lines() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    product.allocate(OrderLineFactory(quantity=4))
    product.take_recorded()
    assert product.change_quantity("batch", 4).available == 0
    assert product.take_recorded() == ()


def test_a_batch_that_is_not_there_cannot_change() -> None:
    with pytest.raises(UnknownBatch, match="No batch has the reference nothing"):
        ProductFactory().change_quantity("nothing", 5)


def test_cancelling_gives_the_stock_back() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    product.allocate(OrderLineFactory(order_id="order", quantity=4))
    product.take_recorded()
    product.cancel("order")
    assert product.batches[0].available == 10
    assert product.take_recorded() == (
        LineReleased(order_id="order", sku="CHAIR", quantity=4, batch="batch"),
    )


def test_a_line_that_has_no_stock_cannot_be_cancelled() -> None:
    with pytest.raises(NotAllocated, match="Order order has no allocated CHAIR"):
        ProductFactory(stock={"batch": (10, None)}).cancel("order")


@given(
    stock=st.lists(st.tuples(st.integers(1, 20), st.none() | st.dates()), min_size=1, max_size=5),
    steps=st.lists(
        st.tuples(st.sampled_from(["allocate", "shrink", "cancel"]), st.integers(0, 9), st.integers(1, 20)),
        max_size=40,
    ),
)
def test_whatever_happens_no_batch_promises_more_than_it_has(
    stock: list[tuple[int, date | None]], steps: list[tuple[str, int, int]]
) -> None:
    product: Product = ProductFactory(stock={f"b{n}": each for n, each in enumerate(stock)})
    for action, which, quantity in steps:
        before = {line.order_id for batch in product.batches for line in batch.lines}
        if action == "allocate" and f"o{which}" not in before:
            product.allocate(OrderLineFactory(order_id=f"o{which}", quantity=quantity))
        elif action == "shrink":
            product.change_quantity(f"b{which % len(stock)}", quantity)
        elif action == "cancel" and f"o{which}" in before:
            product.cancel(f"o{which}")
        assert all(batch.available >= 0 for batch in product.batches)
        orders = [line.order_id for batch in product.batches for line in batch.lines]
        assert len(orders) == len(set(orders))
