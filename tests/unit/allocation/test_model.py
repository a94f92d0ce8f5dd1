"""The rules of allocation, without anything around them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.allocation.domain.errors import (
    BatchDiffers,
    LineDiffers,
    NotAllocated,
    UnknownBatch,
    UnknownSku,
)
from atomos.allocation.domain.events import (
    Allocated,
    Deallocated,
    LineReleased,
    OrderLineChanged,
    WentOutOfStock,
)
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
    assert product.available(product.batches[0]) == 18
    assert product.take_recorded() == (Allocated(order_id="order", sku="CHAIR", quantity=2, batch="batch"),)


def test_all_that_a_batch_has_may_be_promised() -> None:
    product = ProductFactory(stock={"batch": (2, None)})
    batch, _ = product.allocate(OrderLineFactory(quantity=2))
    assert product.available(batch) == 0


def test_allocating_twice_is_the_same_as_once() -> None:
    product = ProductFactory(stock={"batch": (20, None)})
    line = OrderLineFactory()
    first, is_new = product.allocate(line)
    product.take_recorded()
    again, is_new_again = product.allocate(line)
    assert (first, is_new, again, is_new_again) == (first, True, first, False)
    assert product.available(first) == 18
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
    product.change_quantity("batch", 5)
    assert [line.order_id for line in product.lines if line.batch] == ["first"]
    assert [event.order_id for event in product.take_recorded() if isinstance(event, Deallocated)] == [
        "third",
        "second",
    ]


def test_a_batch_that_still_has_enough_keeps_its_lines() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    product.allocate(OrderLineFactory(quantity=4))
    product.take_recorded()
    assert product.available(product.change_quantity("batch", 4)) == 0
    assert product.take_recorded() == ()


def test_a_batch_that_is_not_there_cannot_change() -> None:
    with pytest.raises(UnknownBatch, match="No batch has the reference nothing"):
        ProductFactory().change_quantity("nothing", 5)


def test_cancelling_gives_the_stock_back() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    product.allocate(OrderLineFactory(order_id="order", quantity=4))
    product.take_recorded()
    product.cancel("order")
    assert product.available(product.batches[0]) == 10
    assert product.take_recorded() == (
        LineReleased(order_id="order", sku="CHAIR", quantity=4, batch="batch"),
    )


def test_a_line_that_has_no_stock_cannot_be_cancelled() -> None:
    with pytest.raises(NotAllocated, match="Order order has no allocated CHAIR"):
        ProductFactory(stock={"batch": (10, None)}).cancel("order")


# Lines that wait


def test_a_line_of_an_order_waits_where_a_single_one_does_not() -> None:
    product = ProductFactory(stock={"batch": (1, None)})
    product.allocate(OrderLineFactory(order_id="single"))
    product.promise(OrderLineFactory(order_id="followed"))
    assert [line.order_id for line in product.lines] == ["followed"]
    assert product.lines[0].batch is None
    assert product.take_recorded() == (WentOutOfStock(sku="CHAIR", quantity=2),) * 2


def test_a_line_may_wait_for_the_first_batch_of_its_product() -> None:
    product = ProductFactory()
    product.promise(OrderLineFactory())
    with pytest.raises(UnknownSku):
        product.allocate(OrderLineFactory())
    product.receive("batch", 2, None)
    assert product.lines[0].batch == "batch"


def test_an_order_hears_of_its_line_and_of_no_other() -> None:
    product = ProductFactory(stock={"batch": (4, None)})
    product.allocate(OrderLineFactory(order_id="single"))
    product.promise(OrderLineFactory(order_id="followed"))
    product.change_quantity("batch", 1)
    product.cancel("single")
    product.cancel("followed")
    assert [event for event in product.take_recorded() if isinstance(event, OrderLineChanged)] == [
        OrderLineChanged(order_id="followed", sku="CHAIR", batch="batch"),
        OrderLineChanged(order_id="followed", sku="CHAIR", batch=None),
        OrderLineChanged(order_id="followed", sku="CHAIR", batch=None, is_wanted=False),
    ]


def test_the_same_line_of_an_order_again_changes_nothing() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    line = OrderLineFactory()
    product.promise(line)
    product.take_recorded()
    product.promise(line)
    assert (len(product.lines), product.take_recorded()) == (1, ())


def test_an_order_takes_over_the_line_that_was_allocated_before_it() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    product.allocate(OrderLineFactory(order_id="order"))
    product.take_recorded()
    product.promise(OrderLineFactory(order_id="order"))
    assert product.take_recorded() == (OrderLineChanged(order_id="order", sku="CHAIR", batch="batch"),)


def test_an_order_that_takes_over_a_line_says_how_much_it_is() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    product.allocate(OrderLineFactory(order_id="order", quantity=2))
    product.take_recorded()
    product.promise(OrderLineFactory(order_id="order", quantity=3))
    line = {"order_id": "order", "sku": "CHAIR"}
    assert product.take_recorded() == (
        Deallocated(**line, quantity=2, batch="batch"),
        OrderLineChanged(**line, batch=None),
        Allocated(**line, quantity=3, batch="batch"),
        OrderLineChanged(**line, batch="batch"),
    )


def test_an_order_that_takes_over_a_line_and_wants_too_much_waits() -> None:
    product = ProductFactory(stock={"batch": (10, None)})
    product.allocate(OrderLineFactory(order_id="order", quantity=8))
    waiting(product, other=5)
    product.take_recorded()
    product.promise(OrderLineFactory(order_id="order", quantity=11))
    assert [line.batch for line in product.lines] == [None, "batch"]
    assert product.take_recorded()[-1] == WentOutOfStock(sku="CHAIR", quantity=11)


def waiting(product: Product, **quantities: int) -> None:
    for order_id, quantity in quantities.items():
        product.promise(OrderLineFactory(order_id=order_id, quantity=quantity))


def served(product: Product) -> list[str]:
    return [event.order_id for event in product.take_recorded() if isinstance(event, Allocated)]


def test_who_came_first_is_served_first() -> None:
    product = ProductFactory()
    waiting(product, z=2, a=2, m=2)
    product.receive("batch", 4, None)
    assert served(product) == ["z", "a"]
    product.change_quantity("batch", 6)
    assert served(product) == ["m"]


def test_a_large_line_does_not_hold_up_a_small_one() -> None:
    product = ProductFactory()
    waiting(product, large=10, small=2)
    product.receive("batch", 5, None)
    assert served(product) == ["small"]


def test_a_cancellation_serves_who_waits() -> None:
    product = ProductFactory(stock={"batch": (2, None)})
    waiting(product, first=2, second=2)
    product.take_recorded()
    product.cancel("first")
    assert served(product) == ["second"]


def test_whoever_waits_may_be_cancelled() -> None:
    product = ProductFactory()
    waiting(product, order=2)
    product.take_recorded()
    product.cancel("order")
    assert product.lines == []
    assert product.take_recorded()[0] == LineReleased(order_id="order", sku="CHAIR", quantity=2)


def test_a_line_that_lost_its_batch_gets_another_at_once() -> None:
    product = ProductFactory(stock={"a": (2, None), "b": (2, None)})
    product.allocate(OrderLineFactory(order_id="order"))
    product.change_quantity("a", 1)
    assert served(product) == ["order", "order"]
    assert product.lines[0].batch == "b"


def test_a_line_that_lost_its_batch_is_before_those_who_came_after_it() -> None:
    product = ProductFactory(stock={"batch": (2, None)})
    product.allocate(OrderLineFactory(order_id="first"))
    waiting(product, second=2)
    product.change_quantity("batch", 1)
    product.take_recorded()
    product.receive("other", 2, None)
    assert served(product) == ["first"]


STEPS = ["allocate", "promise", "count", "cancel", "receive"]


@given(
    stock=st.lists(st.tuples(st.integers(1, 20), st.none() | st.dates()), min_size=1, max_size=5),
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(1, 20)),
        max_size=40,
    ),
)
def test_whatever_happens_nothing_is_promised_twice_and_nobody_waits_for_what_is_there(
    stock: list[tuple[int, date | None]], steps: list[tuple[str, int, int]]
) -> None:
    product: Product = ProductFactory(stock={f"b{n}": each for n, each in enumerate(stock)})
    came: list[str] = []
    for action, which, quantity in steps:
        order_id = f"o{which}"
        line = OrderLineFactory(order_id=order_id, quantity=quantity)
        before = {line.order_id: line.batch for line in product.lines}
        if action == "allocate" and order_id not in before:
            product.allocate(line)
        elif action == "promise":
            product.promise(line)
        elif action == "count":
            product.change_quantity(f"b{which % len(stock)}", quantity)
        elif action == "cancel" and order_id in before:
            product.cancel(order_id)
        elif action == "receive" and all(batch.reference != f"n{which}" for batch in product.batches):
            product.receive(f"n{which}", quantity, None)
        came = [*(o for o in came if product.has_line_of(o)), *(n.order_id for n in product.lines)]
        came = list(dict.fromkeys(came))
        is_right(product, came)
        fits_first_come_first_served(product, before)


def is_right(product: Product, came: list[str]) -> None:
    """Nothing is promised twice, nobody waits for what is there, and the order of arrival is kept."""
    assert all(product.available(batch) >= 0 for batch in product.batches)
    assert [line.order_id for line in product.lines] == came
    most = max((product.available(batch) for batch in product.batches), default=0)
    assert all(line.quantity > most for line in product.lines if line.batch is None)


def fits_first_come_first_served(product: Product, before: dict[str, str | None]) -> None:
    """Of two that waited for as much, the one who came later was not served alone."""
    waited = [line for line in product.lines if before.get(line.order_id, "") is None]
    for place, line in enumerate(waited):
        later = [each for each in waited[place + 1 :] if each.quantity >= line.quantity]
        assert line.batch is not None or all(each.batch is None for each in later)
