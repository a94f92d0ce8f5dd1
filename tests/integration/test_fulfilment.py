"""Order fulfilment over HTTP, with a moved clock: what is promised, what waits, what is reported, and every race."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from atomos.core.service import MessageBus
from atomos.testing import MovedClock, RecordedNotifications
from atomos.testing.processes import wait_until
from tests.factories import BatchQuantityReportedFactory, BatchReceivedFactory

WANTS = {"CHAIR": 2, "TABLE": 1}


class Shop:
    """The service, its clock, its worker, and what it told the buyers."""

    def __init__(
        self, atomos: Any, http: FlaskClient, clock: MovedClock, sent: RecordedNotifications
    ) -> None:
        self.bus: MessageBus = atomos.bus
        self._app = http.application
        self.clock = clock
        self.drain: Callable[[], int] = atomos.worker().drain
        self._sent = sent
        self._inspection = atomos.container.core.inspection()
        self._database = atomos.container.core.database()
        self._deadline = (clock.now() + timedelta(hours=1)).isoformat()

    @property
    def http(self) -> FlaskClient:
        """A client of its own for each request, so that threads do not share one."""
        return self._app.test_client()

    def place(self, order_id: str = "order-1", deadline: str = "", **wants: int) -> Any:
        """Place an order, that is due in an hour."""
        lines = [{"sku": sku, "quantity": quantity} for sku, quantity in (wants or WANTS).items()]
        body = {"order_id": order_id, "deadline": deadline or self._deadline, "lines": lines}
        return self.http.post("/allocation/orders", json=body)

    def receive(self, sku: str, quantity: int, reference: str = "") -> None:
        """Receive a batch."""
        self.bus.emit(BatchReceivedFactory(reference=reference or f"{sku}-1", sku=sku, quantity=quantity))

    def count(self, reference: str, quantity: int) -> None:
        """Correct how much of a batch there is."""
        self.bus.emit(BatchQuantityReportedFactory(reference=reference, quantity=quantity))

    def cancel(self, sku: str) -> int:
        """Cancel a line of the order; give the status of the answer."""
        return self.http.delete(f"/allocation/orders/order-1/lines/{sku}").status_code

    def after(self, **by: float) -> str:
        """Let time pass and everything be delivered; say how the order stands."""
        self.clock.move(**by)
        self.drain()
        return self.state

    @property
    def state(self) -> str:
        """How the order stands."""
        return str(self.order["state"])

    @property
    def order(self) -> Any:
        """The order as it is shown."""
        answer = self.http.get("/allocation/orders/order-1")
        assert answer.status_code == 200
        return answer.json

    @property
    def batches(self) -> dict[str, str | None]:
        """Which batch each line of the order has."""
        return {line["sku"]: line["batch"] for line in self.order["lines"]}

    @property
    def told(self) -> list[str]:
        """What the buyers were told of orders."""
        return [each.text for each in self._sent.sent if each.subject.startswith("Order ")]

    def damages(self) -> Any:
        """What the audit finds."""
        return tuple(self._inspection.audit(self.bus.flow.deciding()).damages)

    def is_idle(self) -> bool:
        """Whether nothing is on its way; timers may wait."""
        return not self.rows("select 1 from atomos_delivery where status in ('ready', 'retrying')")

    def rows(self, statement: str) -> list[Any]:
        """What a statement finds in the database."""
        with self._database.look() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]


@pytest.fixture
def shop(atomos: Any, http: FlaskClient, clock: MovedClock, override: Any) -> Shop:
    return Shop(atomos, http, clock, override(atomos.container.core.notifications, RecordedNotifications()))


# What is promised


def test_a_line_that_is_cancelled_before_its_order_takes_it_over_is_wanted_no_more(shop: Shop) -> None:
    shop.receive("CHAIR", 10)
    shop.http.post("/allocation/orders/order-1/lines", json={"sku": "CHAIR", "quantity": 2})
    shop.place(CHAIR=2)
    assert shop.cancel("CHAIR") == 204
    assert shop.after() == "cancelled"
    assert shop.rows("select * from allocation_line") == []


def test_an_order_changes_the_line_that_it_had_alone(shop: Shop) -> None:
    shop.receive("CHAIR", 10)
    shop.http.post("/allocation/orders/order-1/lines", json={"sku": "CHAIR", "quantity": 7})
    shop.place(CHAIR=2)
    assert shop.after() == "fulfilled"
    shown = shop.http.get("/allocation/orders/order-1/allocations").json
    assert shown == [{"sku": "CHAIR", "quantity": 2, "batch": "CHAIR-1"}]
    assert shop.rows("select * from atomos_delivery where status = 'dead'") == []


def test_an_order_is_created_and_can_be_read_at_once(shop: Shop) -> None:
    answer = shop.place()
    assert (answer.status_code, answer.headers["Location"]) == (201, "/allocation/orders/order-1")
    assert answer.json == shop.order
    assert shop.batches == {"CHAIR": None, "TABLE": None}


def test_an_order_for_which_there_is_stock_is_fulfilled(shop: Shop) -> None:
    shop.receive("CHAIR", 10)
    shop.receive("TABLE", 10)
    shop.place()
    assert shop.after() == "fulfilled"
    assert shop.batches == {"CHAIR": "CHAIR-1", "TABLE": "TABLE-1"}
    allocations = shop.http.get("/allocation/orders/order-1/allocations").json
    assert [line["sku"] for line in allocations] == ["CHAIR", "TABLE"]


def test_a_fulfilled_order_has_no_deadline_any_more(shop: Shop) -> None:
    shop.receive("CHAIR", 10)
    shop.place(CHAIR=2)
    shop.after()
    timers = shop.rows("select status from atomos_delivery where timer = 'allocation.deadline order-1'")
    assert timers == [("discarded",)]
    assert shop.after(hours=2) == "fulfilled"
    assert shop.told == []


def test_a_line_without_stock_waits_for_a_batch(shop: Shop) -> None:
    shop.receive("CHAIR", 10)
    shop.receive("TABLE", 1)
    shop.place(CHAIR=2, TABLE=3)
    assert shop.after() == "open"
    assert shop.batches == {"CHAIR": "CHAIR-1", "TABLE": None}
    shop.receive("TABLE", 3, "TABLE-2")
    assert shop.after() == "fulfilled"
    assert shop.batches["TABLE"] == "TABLE-2"


def test_the_first_batch_of_a_sku_serves_who_waited_for_it(shop: Shop) -> None:
    shop.place(CHAIR=2)
    shop.drain()
    assert shop.http.get("/allocation/products/CHAIR").status_code == 404
    shop.receive("CHAIR", 10)
    assert shop.after() == "fulfilled"


def test_a_counted_batch_serves_who_waited_for_more(shop: Shop) -> None:
    shop.receive("CHAIR", 1)
    shop.place(CHAIR=2)
    shop.drain()
    shop.count("CHAIR-1", 2)
    assert shop.after() == "fulfilled"


def test_a_cancellation_serves_who_waited_for_the_stock(shop: Shop) -> None:
    shop.receive("CHAIR", 2)
    shop.http.post("/allocation/orders/single/lines", json={"sku": "CHAIR", "quantity": 2})
    shop.place(CHAIR=2)
    assert shop.after() == "open"
    shop.http.delete("/allocation/orders/single/lines/CHAIR")
    assert shop.after() == "fulfilled"


def test_the_order_that_was_placed_first_is_served_first(shop: Shop) -> None:
    for order_id in ("order-2", "order-1", "order-3"):
        shop.place(order_id, CHAIR=2)
    shop.drain()
    shop.receive("CHAIR", 4)
    served = shop.rows("select order_id from allocation_line where batch is not null order by number")
    assert served == [("order-2",), ("order-1",)]


def test_a_line_that_lost_its_batch_waits_and_the_order_is_open_again(shop: Shop) -> None:
    shop.receive("CHAIR", 2)
    shop.place(CHAIR=2)
    assert shop.after() == "fulfilled"
    shop.count("CHAIR-1", 1)
    assert shop.after() == "open"
    assert shop.batches == {"CHAIR": None}
    assert shop.after(hours=2) == "short"
    assert len(shop.told) == 1


def test_a_line_that_lost_its_batch_after_the_deadline_is_reported_at_once(shop: Shop) -> None:
    shop.receive("CHAIR", 2)
    shop.place(CHAIR=2)
    shop.after()
    assert shop.after(hours=2) == "fulfilled"
    shop.count("CHAIR-1", 1)
    assert shop.after() == "short"
    assert len(shop.told) == 1


# The deadline


def test_an_order_that_lacks_something_at_its_deadline_is_short_and_the_buyers_are_told_once(
    shop: Shop,
) -> None:
    shop.receive("CHAIR", 10)
    shop.place()
    assert shop.after(minutes=59) == "open"
    assert shop.told == []
    assert shop.after(minutes=2) == "short"
    [told] = shop.told
    assert "1 of TABLE" in told
    assert "CHAIR" not in told
    assert shop.after(hours=2) == "short"
    assert len(shop.told) == 1


def test_a_line_goes_on_waiting_after_the_deadline(shop: Shop) -> None:
    shop.place(CHAIR=2)
    assert shop.after(hours=2) == "short"
    shop.receive("CHAIR", 2)
    assert shop.after() == "fulfilled"
    assert len(shop.told) == 1


def test_a_deadline_that_has_passed_already_is_due_at_once(shop: Shop) -> None:
    shop.place(deadline="2020-01-01T00:00:00Z", CHAIR=2)
    assert shop.after() == "short"


def test_a_deadline_comes_back_as_the_instant_that_it_is(shop: Shop) -> None:
    answer = shop.place(deadline="2030-07-01T14:30:00.123456+02:00")
    assert answer.json["deadline"] == shop.order["deadline"] == "2030-07-01T12:30:00.123456Z"


# Races


def test_an_allocation_at_the_instant_of_the_deadline_ends_well_in_either_order(shop: Shop) -> None:
    shop.place(CHAIR=2)
    shop.drain()
    shop.receive("CHAIR", 2)
    assert shop.after(hours=2) == "fulfilled"
    assert len(shop.told) <= 1


def test_a_deadline_that_is_on_its_way_when_the_order_is_fulfilled_finds_nothing_to_report(
    atomos: Any, shop: Shop
) -> None:
    shop.receive("CHAIR", 2)
    shop.place(CHAIR=2)
    shop.clock.move(hours=2)
    deliveries = atomos.container.core.deliveries()
    trigger = "trigger:allocation.deadline-passed:allocation.report-short"
    deliveries.enrol([trigger])
    deliveries.tidy(trigger)
    held = deliveries.claim(trigger, 10, "another worker")
    assert len(held.claimed) == 1
    shop.drain()
    assert shop.state == "fulfilled"
    assert atomos.bus.deliver(held.claimed[0])
    assert (shop.after(), shop.told) == ("fulfilled", [])


def test_a_batch_that_arrives_before_the_product_heard_of_the_line_serves_it(shop: Shop) -> None:
    shop.place(CHAIR=2)
    shop.receive("CHAIR", 2)
    assert shop.after() == "fulfilled"


@pytest.mark.parametrize("status", [200, 409])
def test_an_order_may_be_placed_again_with_the_same_content_only(shop: Shop, status: int) -> None:
    first = shop.place()
    again = shop.place(**(WANTS if status == 200 else {"CHAIR": 3}))
    assert (first.status_code, again.status_code) == (201, status)
    shop.drain()
    assert shop.rows("select count(*) from allocation_line") == [(2,)]


def test_an_order_with_two_lines_of_a_sku_is_refused(shop: Shop) -> None:
    line = {"sku": "CHAIR", "quantity": 1}
    body = {"order_id": "order-1", "deadline": "2030-01-01T00:00:00Z", "lines": [line, line]}
    answer = shop.http.post("/allocation/orders", json=body)
    assert answer.status_code == 422
    assert "two lines of CHAIR" in answer.json["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lines": []},
        {"deadline": "2030-01-01T00:00:00"},
        *({"order_id": order_id} for order_id in ("", "a/b", ".", "..")),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(shop: Shop, wrong: dict[str, Any]) -> None:
    body = {
        "order_id": "order-1",
        "deadline": "2030-01-01T00:00:00Z",
        "lines": [{"sku": "CHAIR", "quantity": 1}],
    }
    assert shop.http.post("/allocation/orders", json={**body, **wrong}).status_code == 422


def test_an_order_that_was_never_placed_is_not_found(shop: Shop) -> None:
    assert shop.http.get("/allocation/orders/order-1").status_code == 404


# Cancelled lines


def test_a_line_can_be_cancelled_before_its_product_heard_of_it(shop: Shop) -> None:
    shop.receive("CHAIR", 2)
    shop.place()
    assert shop.cancel("CHAIR") == 204
    shop.drain()
    assert shop.batches == {"TABLE": None}
    assert shop.rows("select sku from allocation_line") == [("TABLE",)]


def test_a_line_that_waits_can_be_cancelled(shop: Shop) -> None:
    shop.receive("TABLE", 1)
    shop.place()
    shop.drain()
    assert shop.cancel("CHAIR") == 204
    assert shop.after() == "fulfilled"
    shop.receive("CHAIR", 2)
    assert shop.http.get("/allocation/products/CHAIR").json["available"] == 2


def test_a_line_that_has_a_batch_can_be_cancelled(shop: Shop) -> None:
    shop.receive("CHAIR", 2)
    shop.place(CHAIR=2)
    shop.drain()
    assert shop.cancel("CHAIR") == 204
    assert shop.after() == "cancelled"
    assert shop.http.get("/allocation/products/CHAIR").json["available"] == 2
    assert shop.cancel("CHAIR") == 404
    assert (shop.after(hours=2), shop.told) == ("cancelled", [])


def test_an_order_takes_over_a_single_line_of_its_name(shop: Shop) -> None:
    shop.receive("CHAIR", 2)
    shop.http.post("/allocation/orders/order-1/lines", json={"sku": "CHAIR", "quantity": 2})
    shop.place(CHAIR=2)
    assert shop.after() == "fulfilled"
    assert shop.rows("select count(*) from allocation_line") == [(1,)]


def test_the_log_is_whole_whatever_became_of_the_timers(shop: Shop) -> None:
    shop.receive("CHAIR", 2)
    shop.place(CHAIR=2)
    shop.drain()
    for number in (2, 3):
        shop.count("CHAIR-1", 1)
        shop.drain()
        shop.receive("CHAIR", 2, f"CHAIR-{number}")
        shop.drain()
        shop.count(f"CHAIR-{number}", 1)
        shop.drain()
    assert shop.after(hours=2) == "short"
    statuses = shop.rows("select distinct status from atomos_delivery order by status")
    assert statuses == [("discarded",), ("done",)]
    assert shop.damages() == ()


def test_whatever_happens_at_once_orders_and_products_agree_in_the_end(atomos: Any, shop: Shop) -> None:
    skus, orders = ["A", "B", "C"], [f"order-{number}" for number in range(12)]

    def place(seed: int) -> None:
        for order_id in random.Random(seed).sample(orders, len(orders)):
            shop.place(order_id, A=2, B=3, C=1)

    def stock(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(24):
            sku = chance.choice(skus)
            if number % 3:
                shop.receive(sku, chance.randint(1, 6), f"{sku}-{number}")
            else:
                shop.receive(sku, 5, f"{sku}-0-{number}")
                shop.count(f"{sku}-0-{number}", chance.randint(1, 5))

    def cancel(seed: int) -> None:
        chance = random.Random(seed)
        for order_id in chance.sample(orders, 6):
            shop.http.delete(f"/allocation/orders/{order_id}/lines/{chance.choice(skus)}")

    worker = atomos.worker()
    worker.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda work: work(7), (place, stock, cancel, place)))
    wait_until(shop.is_idle, 60, "everything to be delivered")
    assert shop.rows("select status from atomos_delivery where status in ('dead', 'parked')") == []
    assert shop.damages() == ()
    assert (
        shop.rows(
            "select b.reference from allocation_batch b join allocation_line l on l.batch = b.reference "
            "group by b.reference, b.quantity having sum(l.quantity) > b.quantity"
        )
        == []
    )
    assert (
        shop.rows(
            "select l.order_id from allocation_line l join allocation_batch b on b.sku = l.sku "
            "where l.batch is null and b.quantity - l.quantity >= "
            "(select coalesce(sum(quantity), 0) from allocation_line p where p.batch = b.reference)"
        )
        == []
    )
    kept = "select order_id, sku, quantity, batch from {} order by order_id, sku"
    wanted = shop.rows(kept.format("allocation_order_line"))
    assert wanted == shop.rows(kept.format("allocation_line"))
    assert [row for row in wanted if row[3]] == shop.rows(kept.format("allocation_view"))
