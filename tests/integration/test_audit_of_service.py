"""The audit of the reference service: after real runs, with orders, deadlines and failures, nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient

from atomos.testing import MovedClock


def test_after_all_that_the_service_does_the_audit_is_clean(
    atomos: Any, http: FlaskClient, drain: Callable[[], int], clock: MovedClock
) -> None:
    def post(path: str, content: dict[str, Any], **headers: str) -> None:
        assert http.post(f"/allocation/{path}", json=content, headers=headers).status_code in (200, 201)

    batch = {"reference": "b-1", "sku": "CHAIR", "quantity": 10}
    post("batches", batch)
    for number, quantity in enumerate([3, 3, 30, 4]):
        for _ in range(2):  # a repeat, too
            key = {"Idempotency-Key": f"k-{number}"}
            post(f"orders/o-{number}/lines", {"sku": "CHAIR", "quantity": quantity}, **key)
    deadline = (clock.now() + timedelta(hours=1)).isoformat()
    for number in range(2):
        lines = [{"sku": "CHAIR", "quantity": 5}, {"sku": "TABLE", "quantity": 1}]
        order = {"order_id": f"p-{number}", "lines": lines, "deadline": deadline}
        post("orders", order)
    drain()
    post("batches", {**batch, "reference": "b-2", "sku": "TABLE", "quantity": 1})
    drain()
    clock.move(hours=2)
    drain()
    report = atomos.container.core.inspection().audit(atomos.bus.flow.deciding())
    assert report.damages == ()
    assert report.messages > 10
    assert report.ages == ()
