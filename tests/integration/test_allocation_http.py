"""Allocation over HTTP: every row of the table that the README promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

BATCH = {"reference": "batch-1", "sku": "CHAIR", "quantity": 10}
LINE = {"sku": "CHAIR", "quantity": 3}


@pytest.fixture
def stocked(http: FlaskClient) -> FlaskClient:
    """A client of a service with ten chairs."""
    http.post("/allocation/batches", json=BATCH)
    return http


def order(http: FlaskClient, order_id: str = "order-1", **line: Any) -> Any:
    return http.post(f"/allocation/orders/{order_id}/lines", json={**LINE, **line})


def test_a_new_batch_is_created(http: FlaskClient) -> None:
    answer = http.post("/allocation/batches", json={**BATCH, "eta": "2026-12-24"})
    assert (answer.status_code, answer.json) == (
        201,
        {**BATCH, "version": 1, "eta": "2026-12-24", "available": 10},
    )
    assert answer.headers["Location"] == "/allocation/batches/batch-1"


def test_the_same_batch_again_is_fine(stocked: FlaskClient) -> None:
    answer = stocked.post("/allocation/batches", json=BATCH)
    assert (answer.status_code, answer.json) == (200, {**BATCH, "version": 1, "eta": None, "available": 10})


@pytest.mark.parametrize("other", [{"quantity": 11}, {"eta": "2026-12-24"}, {"sku": "TABLE"}])
def test_a_batch_with_another_content_is_a_contradiction(stocked: FlaskClient, other: dict[str, Any]) -> None:
    answer = stocked.post("/allocation/batches", json={**BATCH, **other})
    assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
    assert "batch-1 was received before" in answer.json["detail"]


def test_a_batch_can_be_counted(stocked: FlaskClient) -> None:
    answer = stocked.patch("/allocation/batches/batch-1", json={"quantity": 4})
    assert (answer.status_code, answer.json["quantity"], answer.json["available"]) == (200, 4, 4)


def test_an_unknown_batch_cannot_be_counted(http: FlaskClient) -> None:
    assert http.patch("/allocation/batches/nothing", json={"quantity": 4}).status_code == 404


def test_batches_come_in_pages_by_reference(http: FlaskClient) -> None:
    for number in range(5):
        sku = "CHAIR" if number % 2 == 0 else "TABLE"
        http.post("/allocation/batches", json={"reference": f"b{number}", "sku": sku, "quantity": 1})
    first = http.get("/allocation/batches?limit=2").json
    second = http.get(f"/allocation/batches?limit=2&cursor={first['cursor']}").json
    third = http.get(f"/allocation/batches?limit=2&cursor={second['cursor']}").json
    pages = [[each["reference"] for each in page["items"]] for page in (first, second, third)]
    assert pages == [["b0", "b1"], ["b2", "b3"], ["b4"]]
    assert third["cursor"] is None
    only = http.get("/allocation/batches?sku=TABLE").json
    assert [each["reference"] for each in only["items"]] == ["b1", "b3"]


def test_an_order_line_gets_a_batch(stocked: FlaskClient) -> None:
    answer = order(stocked)
    expected = {"order_id": "order-1", "sku": "CHAIR", "quantity": 3, "batch": "batch-1"}
    assert (answer.status_code, answer.json) == (201, expected)


def test_the_same_line_again_gets_the_same_batch(stocked: FlaskClient) -> None:
    first, again = order(stocked), order(stocked)
    assert (again.status_code, again.json) == (200, first.json)


def test_the_same_line_with_another_quantity_is_a_contradiction(stocked: FlaskClient) -> None:
    order(stocked)
    answer = order(stocked, quantity=4)
    assert answer.status_code == 409
    assert "has 3 of CHAIR allocated" in answer.json["detail"]


def test_without_stock_there_is_no_batch(stocked: FlaskClient) -> None:
    answer = order(stocked, quantity=11)
    assert (answer.status_code, answer.json["batch"]) == (200, None)


def test_an_unknown_sku_is_not_found(http: FlaskClient) -> None:
    answer = order(http)
    assert answer.status_code == 404
    assert "No batch of CHAIR was ever received" in answer.json["detail"]


def test_a_line_can_be_cancelled_once(stocked: FlaskClient) -> None:
    order(stocked)
    path = "/allocation/orders/order-1/lines/CHAIR"
    first = stocked.delete(path)
    assert (first.status_code, first.data) == (204, b"")
    assert stocked.delete(path).status_code == 404
    assert stocked.get("/allocation/products/CHAIR").json["available"] == 10


def test_allocations_are_readable_at_once(stocked: FlaskClient) -> None:
    order(stocked)
    answer = stocked.get("/allocation/orders/order-1/allocations")
    assert (answer.status_code, answer.json) == (200, [{"sku": "CHAIR", "quantity": 3, "batch": "batch-1"}])


def test_an_order_without_an_allocated_line_is_not_found(stocked: FlaskClient) -> None:
    order(stocked, quantity=11)
    assert stocked.get("/allocation/orders/order-1/allocations").status_code == 404


def test_a_product_is_shown_with_its_batches(stocked: FlaskClient) -> None:
    later = {"reference": "later", "sku": "CHAIR", "quantity": 5, "eta": "2026-12-24"}
    stocked.post("/allocation/batches", json=later)
    order(stocked)
    assert stocked.get("/allocation/products/CHAIR").json == {
        "sku": "CHAIR",
        "version": 3,
        "available": 12,
        "allocated": 3,
        "batches": [
            {**BATCH, "version": 3, "eta": None, "available": 7},
            {**later, "version": 3, "available": 5},
        ],
    }


def test_an_unknown_product_is_not_found(http: FlaskClient) -> None:
    assert http.get("/allocation/products/CHAIR").status_code == 404


def test_text_is_trimmed_at_the_edge(stocked: FlaskClient) -> None:
    assert order(stocked, order_id="order-1%20", sku=" CHAIR ").json["order_id"] == "order-1"
    assert stocked.get("/allocation/orders/order-1/allocations").status_code == 200


@pytest.mark.parametrize(
    ("line", "pointer"),
    [
        ({"quantity": 0}, "/quantity"),
        ({"quantity": -1}, "/quantity"),
        ({"quantity": "3"}, "/quantity"),
        ({"quantity": True}, "/quantity"),
        ({"sku": ""}, "/sku"),
        ({"sku": "   "}, "/sku"),
        ({"sku": "x" * 101}, "/sku"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_what_is_wrong_is_named(stocked: FlaskClient, line: dict[str, Any], pointer: str) -> None:
    answer = order(stocked, **line)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_a_repeat_with_the_same_key_gets_the_same_answer(stocked: FlaskClient) -> None:
    key = {"Idempotency-Key": "one"}
    path = "/allocation/orders/order-1/lines"
    first, again = stocked.post(path, json=LINE, headers=key), stocked.post(path, json=LINE, headers=key)
    assert (first.status_code, again.status_code, first.json) == (201, 201, again.json)


def test_a_deletion_can_be_repeated_with_its_key(stocked: FlaskClient) -> None:
    order(stocked)
    key = {"Idempotency-Key": "one"}
    path = "/allocation/orders/order-1/lines/CHAIR"
    assert [stocked.delete(path, headers=key).status_code for _ in range(2)] == [204, 204]


def test_a_key_belongs_to_one_content(stocked: FlaskClient) -> None:
    key = {"Idempotency-Key": "one"}
    path = "/allocation/orders/order-1/lines"
    stocked.post(path, json=LINE, headers=key)
    assert stocked.post(path, json={**LINE, "quantity": 4}, headers=key).status_code == 422


def test_a_failed_request_may_try_again_with_its_key(http: FlaskClient) -> None:
    key = {"Idempotency-Key": "one"}
    path = "/allocation/orders/order-1/lines"
    assert http.post(path, json=LINE, headers=key).status_code == 404
    http.post("/allocation/batches", json=BATCH)
    assert http.post(path, json=LINE, headers=key).status_code == 201


def test_lines_that_lost_their_batch_are_moved(stocked: FlaskClient) -> None:
    order(stocked)
    stocked.post("/allocation/batches", json={**BATCH, "reference": "batch-2"})
    stocked.patch("/allocation/batches/batch-1", json={"quantity": 2})
    assert stocked.get("/allocation/orders/order-1/allocations").json[0]["batch"] == "batch-2"


def test_a_line_that_lost_its_batch_waits_for_another(stocked: FlaskClient) -> None:
    order(stocked)
    stocked.patch("/allocation/batches/batch-1", json={"quantity": 2})
    assert stocked.get("/allocation/orders/order-1/allocations").status_code == 404
    again = order(stocked)
    assert (again.status_code, again.json["batch"]) == (200, None)
    stocked.post("/allocation/batches", json={**BATCH, "reference": "batch-2"})
    assert stocked.get("/allocation/orders/order-1/allocations").json[0]["batch"] == "batch-2"


def test_a_line_that_lost_its_batch_can_be_cancelled_for_good(
    stocked: FlaskClient, drain: Callable[[], int]
) -> None:
    order(stocked)
    stocked.patch("/allocation/batches/batch-1", json={"quantity": 2})
    assert stocked.delete("/allocation/orders/order-1/lines/CHAIR").status_code == 204
    stocked.post("/allocation/batches", json={**BATCH, "reference": "batch-2"})
    drain()
    assert stocked.get("/allocation/orders/order-1/allocations").status_code == 404
    assert stocked.delete("/allocation/orders/order-1/lines/CHAIR").status_code == 404


def test_a_line_that_finds_no_stock_does_not_wait(stocked: FlaskClient, drain: Callable[[], int]) -> None:
    order(stocked, quantity=11)
    stocked.post("/allocation/batches", json={**BATCH, "reference": "batch-2", "quantity": 20})
    drain()
    assert stocked.get("/allocation/orders/order-1/allocations").status_code == 404
    assert stocked.delete("/allocation/orders/order-1/lines/CHAIR").status_code == 404


def test_the_service_says_that_it_is_ready(http: FlaskClient) -> None:
    assert http.get("/health/live").status_code == 200
    assert http.get("/health/ready").status_code == 200


def test_a_service_without_its_migrations_is_not_ready(atomos: Any, http: FlaskClient) -> None:
    with atomos.container.core.database().transaction() as connection:
        connection.exec_driver_sql("drop table allocation_version")
    answer = http.get("/health/ready")
    assert answer.status_code == 503
    assert "allocation 0001" in str(answer.json)
