"""Factories of the reference context's messages and models."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import factory

from atomos.allocation.domain.commands import (
    Allocate,
    CancelLine,
    ChangeBatchQuantity,
    CreateBatch,
    NoteLine,
    PlaceOrder,
    PromiseLine,
    ReportShort,
)
from atomos.allocation.domain.events import (
    BatchQuantityReported,
    BatchReceived,
    OrderItem,
    OrderLineCancelled,
    OrderLineReceived,
)
from atomos.allocation.domain.model import OrderLine, Product
from atomos.allocation.domain.order import Order


class _Batch(factory.Factory[Any]):
    reference = factory.Sequence(lambda n: f"batch-{n}")
    sku = "CHAIR"
    quantity = 10
    eta = None


class _Line(factory.Factory[Any]):
    order_id = factory.Sequence(lambda n: f"order-{n}")
    sku = "CHAIR"
    quantity = 2


class BatchReceivedFactory(_Batch):
    class Meta:
        model = BatchReceived


class CreateBatchFactory(_Batch):
    class Meta:
        model = CreateBatch


class BatchQuantityReportedFactory(factory.Factory[Any]):
    class Meta:
        model = BatchQuantityReported

    reference = "batch-1"
    quantity = 5


class ChangeBatchQuantityFactory(BatchQuantityReportedFactory):
    class Meta:
        model = ChangeBatchQuantity


class OrderLineReceivedFactory(_Line):
    class Meta:
        model = OrderLineReceived


class AllocateFactory(_Line):
    class Meta:
        model = Allocate


class OrderLineFactory(_Line):
    class Meta:
        model = OrderLine


class OrderLineCancelledFactory(factory.Factory[Any]):
    class Meta:
        model = OrderLineCancelled

    order_id = "order-1"
    sku = "CHAIR"


class CancelLineFactory(OrderLineCancelledFactory):
    class Meta:
        model = CancelLine


class ProductFactory(factory.Factory[Any]):
    """A product; `stock` maps references to (quantity, ETA)."""

    class Meta:
        model = Product

    sku = "CHAIR"

    @factory.post_generation
    def stock(self, _create: bool, stock: dict[str, Any] | None, **_: Any) -> None:
        for reference, (quantity, eta) in (stock or {}).items():
            self.receive(reference, quantity, eta)  # type: ignore[attr-defined]


class OrderItemFactory(factory.Factory[Any]):
    class Meta:
        model = OrderItem

    sku = "CHAIR"
    quantity = 2


class _Order(factory.Factory[Any]):
    """An order; `wants` maps SKUs to quantities."""

    class Params:
        wants = MappingProxyType({"CHAIR": 2})

    order_id = factory.Sequence(lambda n: f"order-{n}")
    deadline = datetime(2026, 7, 1, 12, tzinfo=UTC)

    @factory.lazy_attribute
    def lines(self) -> tuple[OrderItem, ...]:
        return tuple(OrderItemFactory(sku=sku, quantity=n) for sku, n in self.wants.items())  # type: ignore[attr-defined]


class PlaceOrderFactory(_Order):
    class Meta:
        model = PlaceOrder


class OrderFactory(_Order):
    class Meta:
        model = Order
        rename = MappingProxyType({"lines": "items"})


class PromiseLineFactory(_Line):
    class Meta:
        model = PromiseLine


class NoteLineFactory(factory.Factory[Any]):
    class Meta:
        model = NoteLine

    order_id = "order-1"
    sku = "CHAIR"
    batch = "batch-1"


class ReportShortFactory(factory.Factory[Any]):
    class Meta:
        model = ReportShort

    order_id = "order-1"
