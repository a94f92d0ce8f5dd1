"""The bus on a real log: what is stored together, what a repeat is told, who is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from atomos.allocation.domain.errors import LineDiffers, UnknownSku
from atomos.allocation.domain.events import LineAllocation
from atomos.allocation.service.queries import AllocatedLine, AllocationsOf, ProductOf
from atomos.core.domain import Created, DomainError
from atomos.core.service import MessageBus, NotPermitted, Origin, Principal, Reused
from atomos.core.service.envelope import new_id
from atomos.testing import MovedClock, RecordedNotifications
from tests.factories import (
    BatchQuantityReportedFactory,
    BatchReceivedFactory,
    OrderLineCancelledFactory,
    OrderLineReceivedFactory,
)

Rows = Callable[[str], list[Any]]


@pytest.fixture
def rows(atomos: Any) -> Rows:
    """What a statement finds in the database."""

    def rows(statement: str) -> list[Any]:
        with atomos.container.core.database().look() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    return rows


def test_a_change_is_stored_with_its_event_its_command_and_what_it_caused(
    bus: MessageBus, rows: Rows
) -> None:
    bus.emit(BatchReceivedFactory())
    bus.emit(OrderLineReceivedFactory())
    stored = rows("select kind, name from atomos_message order by recorded_at, name")
    assert sorted(stored) == [
        ("command", "allocation.allocate"),
        ("command", "allocation.create-batch"),
        ("event", "allocation.allocated"),
        ("event", "allocation.batch-received"),
        ("event", "allocation.order-line-received"),
    ]


def test_a_conversation_has_one_correlation_id_and_each_message_its_cause(
    bus: MessageBus, rows: Rows
) -> None:
    bus.emit(BatchReceivedFactory(), Origin(correlation_id=(conversation := new_id())))
    found = rows("select kind, id, causation_id, correlation_id from atomos_message order by kind")
    [(_, command_id, cause, _), (_, event_id, none, _)] = found
    assert (str(cause), none) == (str(event_id), None)
    assert command_id != event_id
    assert {str(row[3]) for row in found} == {conversation}


def test_what_is_refused_leaves_nothing_behind(bus: MessageBus, rows: Rows) -> None:
    with pytest.raises(UnknownSku):
        bus.emit(OrderLineReceivedFactory())
    assert rows("select count(*) from atomos_message") == [(0,)]


def test_what_was_written_can_be_read_at_once(bus: MessageBus) -> None:
    bus.emit(BatchReceivedFactory(reference="b1"))
    bus.emit(OrderLineReceivedFactory(order_id="o1"))
    assert bus.ask(AllocationsOf(order_id="o1")) == (AllocatedLine(sku="CHAIR", quantity=2, batch="b1"),)


def test_a_repeat_is_told_what_the_first_was_told(bus: MessageBus, rows: Rows) -> None:
    bus.emit(BatchReceivedFactory(reference="b1"))
    line, origin = OrderLineReceivedFactory(order_id="o1"), Origin(id=new_id())
    first = bus.emit(line, origin)
    again = bus.emit(line, origin)
    assert first == again == Created(value=LineAllocation(order_id="o1", sku="CHAIR", quantity=2, batch="b1"))
    assert rows("select count(*) from atomos_message where kind = 'event' and causation_id is not null") == [
        (1,)
    ]


def test_a_repeat_is_answered_also_when_the_handler_would_refuse_it(bus: MessageBus) -> None:
    bus.emit(BatchReceivedFactory())
    bus.emit(OrderLineReceivedFactory(order_id="order-1"))
    cancelled, origin = OrderLineCancelledFactory(order_id="order-1"), Origin(id=new_id())
    bus.emit(cancelled, origin)
    with pytest.raises(DomainError):
        bus.emit(cancelled)  # under another id, the handler refuses what is cancelled already
    bus.emit(cancelled, origin)


def test_an_id_belongs_to_one_content(bus: MessageBus) -> None:
    origin = Origin(id=new_id())
    bus.emit(BatchReceivedFactory(reference="b1"), origin)
    with pytest.raises(Reused, match="ATM038"):
        bus.emit(BatchReceivedFactory(reference="b2"), origin)


def test_what_was_refused_may_be_judged_again_under_its_id(bus: MessageBus) -> None:
    line, origin = OrderLineReceivedFactory(), Origin(id=new_id())
    with pytest.raises(UnknownSku):
        bus.emit(line, origin)
    bus.emit(BatchReceivedFactory())
    assert isinstance(bus.emit(line, origin), Created)


def test_of_two_repeats_at_the_same_instant_both_get_the_one_answer(bus: MessageBus, rows: Rows) -> None:
    bus.emit(BatchReceivedFactory(quantity=100))
    for _ in range(20):
        line, origin, start = OrderLineReceivedFactory(), Origin(id=new_id()), threading.Barrier(2)

        def send(_: int, line: Any = line, origin: Origin = origin, start: threading.Barrier = start) -> Any:
            start.wait(5)
            return bus.emit(line, origin)

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(send, range(2))
        assert first == second
        assert isinstance(first, Created)
    assert rows("select count(*) from allocation_line") == [(20,)]


def test_two_that_make_the_same_product_at_the_same_instant_both_succeed(bus: MessageBus) -> None:
    for number in range(10):
        start = threading.Barrier(2)

        def receive(each: int, sku: str = f"sku-{number}", start: threading.Barrier = start) -> None:
            start.wait(5)
            bus.emit(BatchReceivedFactory(reference=f"{sku}-{each}", sku=sku))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(receive, range(2)))
        assert len(bus.ask(ProductOf(sku=f"sku-{number}")).batches) == 2


def test_on_one_product_eight_threads_lose_nothing(bus: MessageBus, rows: Rows) -> None:
    bus.emit(BatchReceivedFactory(quantity=150))

    def order(client: int) -> None:
        for number in range(10):
            bus.emit(OrderLineReceivedFactory(order_id=f"{client}-{number}", quantity=1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(order, range(8)))
    assert rows("select count(*), sum(quantity) from allocation_line") == [(80, 80)]
    assert rows("select count(*) from allocation_view") == [(80,)]
    assert bus.ask(ProductOf(sku="CHAIR")).available == 70


def test_a_message_needs_the_permission_that_the_routes_require(bus: MessageBus, rows: Rows) -> None:
    reader = Origin(Principal("ana", frozenset({"stock:read"})))
    with pytest.raises(NotPermitted, match=r"requires stock:write, which ana does not have"):
        bus.emit(BatchReceivedFactory(), reader)
    with pytest.raises(NotPermitted):
        bus.send_later(BatchReceivedFactory(), reader)
    with pytest.raises(NotPermitted):
        bus.ask(AllocationsOf(order_id="o1"), reader)
    assert rows("select count(*) from atomos_message") == [(0,)]


def test_who_asked_is_kept_through_the_conversation(bus: MessageBus, rows: Rows) -> None:
    bus.emit(BatchReceivedFactory(), Origin(Principal("ana")))
    assert rows("select distinct principal from atomos_message") == [("ana",)]


def test_lines_that_lost_their_batch_find_another(bus: MessageBus) -> None:
    bus.emit(BatchReceivedFactory(reference="b1", quantity=10))
    bus.emit(OrderLineReceivedFactory(order_id="o1", quantity=6))
    bus.emit(BatchReceivedFactory(reference="b2", quantity=10))
    bus.emit(BatchQuantityReportedFactory(reference="b1", quantity=5))
    assert bus.ask(AllocationsOf(order_id="o1")) == (AllocatedLine(sku="CHAIR", quantity=6, batch="b2"),)


def test_the_buyers_are_told_once_when_stock_runs_out(
    atomos: Any, bus: MessageBus, drain: Callable[[], int], override: Any
) -> None:
    notifications = override(atomos.container.core.notifications, RecordedNotifications())
    bus.emit(BatchReceivedFactory(quantity=1))
    bus.emit(OrderLineReceivedFactory(quantity=2))
    assert (drain(), drain()) == (2, 0)  # the buyers, and the topic
    assert [sent.subject for sent in notifications.sent] == ["Out of stock: CHAIR"]


def test_what_is_sent_later_waits_for_its_time(
    bus: MessageBus, drain: Callable[[], int], clock: MovedClock
) -> None:
    bus.send_later(BatchReceivedFactory(), delay=timedelta(hours=1))
    assert drain() == 0
    clock.move(hours=1, seconds=1)
    assert drain() == 1
    assert bus.ask(ProductOf(sku="CHAIR")).available == 10


def test_a_delay_counts_from_where_a_test_moved_the_clock(
    bus: MessageBus, drain: Callable[[], int], clock: MovedClock
) -> None:
    clock.move(days=1)
    bus.send_later(BatchReceivedFactory(), delay=timedelta(hours=1))
    assert drain() == 0
    clock.move(hours=1, seconds=1)
    assert drain() == 1


def test_what_is_sent_later_twice_under_one_id_is_heard_once(
    bus: MessageBus, drain: Callable[[], int], rows: Rows
) -> None:
    origin, event = Origin(id=new_id()), BatchReceivedFactory()
    assert bus.send_later(event, origin) == bus.send_later(event, origin)
    assert drain() == 1
    assert rows("select count(*) from allocation_batch") == [(1,)]


def test_an_error_of_the_domain_reaches_the_sender(bus: MessageBus) -> None:
    bus.emit(BatchReceivedFactory())
    bus.emit(OrderLineReceivedFactory(order_id="o1", quantity=2))
    with pytest.raises(LineDiffers):
        bus.emit(OrderLineReceivedFactory(order_id="o1", quantity=3))
