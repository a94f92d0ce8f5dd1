"""The rules of an order, without anything around them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.allocation.domain.errors import OrderDiffers, SkuTwice
from atomos.allocation.domain.events import LineWanted, OrderFellShort, OrderFulfilled, OrderState
from atomos.allocation.domain.order import Order
from tests.factories import OrderFactory, OrderItemFactory

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def placed(**wants: int) -> Order:
    """An order of which everyone has heard."""
    order: Order = OrderFactory(order_id="order", wants=wants)
    order.take_recorded()
    return order


def test_an_order_asks_for_each_of_its_lines() -> None:
    order = OrderFactory(order_id="order", wants={"CHAIR": 2, "TABLE": 1})
    assert order.take_recorded() == (
        LineWanted(order_id="order", sku="CHAIR", quantity=2),
        LineWanted(order_id="order", sku="TABLE", quantity=1),
    )
    assert order.state is OrderState.OPEN


def test_an_order_has_one_line_for_each_sku() -> None:
    with pytest.raises(SkuTwice, match="Order order has two lines of CHAIR; send one, with the sum"):
        Order("order", NOON, [OrderItemFactory(), OrderItemFactory()])


def test_it_is_the_same_order_in_whatever_order_its_lines_come_and_whatever_the_zone() -> None:
    order = OrderFactory(deadline=NOON, wants={"CHAIR": 2, "TABLE": 1})
    items = (OrderItemFactory(sku="TABLE", quantity=1), OrderItemFactory())
    order.compare(NOON.astimezone(timezone(timedelta(hours=2))), items)
    for deadline, others in ((NOON + timedelta(hours=1), items), (NOON, items[:1])):
        with pytest.raises(OrderDiffers):
            order.compare(deadline, others)


def test_it_is_fulfilled_when_its_last_line_has_a_batch() -> None:
    order = placed(CHAIR=2, TABLE=1)
    order.note("CHAIR", "b1")
    assert (order.state, order.take_recorded()) == (OrderState.OPEN, ())
    order.note("TABLE", "b2")
    assert (order.state, order.take_recorded()) == (
        OrderState.FULFILLED,
        (OrderFulfilled(order_id="order"),),
    )


def test_another_batch_for_a_line_that_has_one_is_no_news() -> None:
    order = placed(CHAIR=2)
    order.note("CHAIR", "b1")
    order.take_recorded()
    order.note("CHAIR", "b2")
    assert (order.lines[0].batch, order.take_recorded()) == ("b2", ())


def test_a_line_that_lost_its_batch_opens_the_order_again() -> None:
    order = placed(CHAIR=2)
    order.note("CHAIR", "b1")
    order.note("CHAIR", None)
    assert order.state is OrderState.OPEN
    order.take_recorded()
    order.note("CHAIR", "b2")
    assert order.take_recorded() == (OrderFulfilled(order_id="order"),)


def test_the_deadline_reports_what_is_missing_once() -> None:
    order = placed(CHAIR=2, TABLE=1)
    order.note("TABLE", "b1")
    order.report()
    order.report()
    short = OrderFellShort(order_id="order", lines=(OrderItemFactory(sku="CHAIR", quantity=2),))
    assert (order.state, order.take_recorded()) == (OrderState.SHORT, (short,))


def test_a_settled_order_has_nothing_to_report() -> None:
    order = placed(CHAIR=2)
    order.note("CHAIR", "b1")
    order.take_recorded()
    order.report()
    assert (order.state, order.take_recorded()) == (OrderState.FULFILLED, ())


def test_a_batch_that_comes_after_the_deadline_fulfils_the_order() -> None:
    order = placed(CHAIR=2)
    order.report()
    order.note("CHAIR", "b1")
    assert order.state is OrderState.FULFILLED


def test_it_is_not_reported_again_when_it_loses_a_batch_after_its_deadline() -> None:
    order = placed(CHAIR=2)
    order.report()
    order.note("CHAIR", "b1")
    order.note("CHAIR", None)
    order.take_recorded()
    order.report()
    assert (order.state, order.take_recorded()) == (OrderState.SHORT, ())


def test_an_order_whose_only_open_line_is_cancelled_is_fulfilled() -> None:
    order = placed(CHAIR=2, TABLE=1)
    order.note("TABLE", "b1")
    order.forget("CHAIR")
    assert order.take_recorded() == (OrderFulfilled(order_id="order"),)


def test_an_order_without_a_line_is_cancelled() -> None:
    order = placed(CHAIR=2)
    order.forget("CHAIR")
    order.report()
    assert (order.state, order.is_settled, order.take_recorded()) == (OrderState.CANCELLED, True, ())


def test_news_of_a_line_that_is_not_wanted_any_more_changes_nothing() -> None:
    order = placed(CHAIR=2)
    order.forget("CHAIR")
    order.note("CHAIR", "b1")
    order.forget("CHAIR")
    assert (order.lines, order.take_recorded()) == ([], ())


@given(
    st.lists(
        st.tuples(st.sampled_from(["note", "lose", "forget", "report"]), st.sampled_from("ABC")), max_size=30
    )
)
def test_whatever_happens_an_order_is_reported_once_and_says_when_it_becomes_whole(
    steps: list[tuple[str, str]],
) -> None:
    order = placed(A=1, B=2, C=3)
    reports = 0
    for action, sku in steps:
        before = order.state
        {
            "note": lambda sku=sku: order.note(sku, "b"),
            "lose": lambda sku=sku: order.note(sku, None),
            "forget": lambda sku=sku: order.forget(sku),
            "report": order.report,
        }[action]()
        said = [type(event) for event in order.take_recorded()]
        became_whole = order.state is OrderState.FULFILLED and before is not OrderState.FULFILLED
        assert (OrderFulfilled in said) == became_whole
        reports += said.count(OrderFellShort)
        assert reports <= 1
        assert order.is_settled == (order.state in (OrderState.FULFILLED, OrderState.CANCELLED))
