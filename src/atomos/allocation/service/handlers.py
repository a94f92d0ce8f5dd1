"""What allocation does when told something, and when something has happened."""

from __future__ import annotations

from atomos.core.domain import Created
from atomos.core.service import Envelope, Notifications, Routes, optional

from ..domain.commands import Allocate, CancelLine, ChangeBatchQuantity, CreateBatch
from ..domain.errors import BatchDiffers, UnknownBatch
from ..domain.events import (
    Allocated,
    BatchDetails,
    BatchQuantityReported,
    BatchReceived,
    Deallocated,
    LineAllocation,
    LineReleased,
    OrderFulfilled,
    OrderLineCancelled,
    OrderLineChanged,
    OrderLineReceived,
    WentOutOfStock,
)
from ..domain.model import Batch, OrderLine, Product
from .fulfilment import DEADLINE
from .ports import AllocationUnitOfWork, Buyers


def create_batch(command: CreateBatch, uow: AllocationUnitOfWork) -> Created[BatchDetails] | BatchDetails:
    """Take a batch into stock; its first makes the product. Lines that wait are served at once."""
    with uow:
        product = uow.products.find_by_batch(command.reference)
        if product is not None and product.sku != command.sku:
            raise BatchDiffers(command.reference)
        product = product or uow.products.take(command.sku)
        batch, is_new = product.receive(command.reference, command.quantity, command.eta)
        details = _details(uow, product, batch)
        return uow.commit(Created(value=details) if is_new else details)


def change_batch_quantity(command: ChangeBatchQuantity, uow: AllocationUnitOfWork) -> BatchDetails:
    """Correct how much of a batch there is; lines that no longer fit get another, or wait."""
    with uow:
        product = uow.products.find_by_batch(command.reference)
        if product is None:
            raise UnknownBatch(command.reference)
        batch = product.change_quantity(command.reference, command.quantity)
        return uow.commit(_details(uow, product, batch))


def allocate(command: Allocate, uow: AllocationUnitOfWork) -> Created[LineAllocation] | LineAllocation:
    """Promise stock to an order line. Running out is news, not an error."""
    with uow:
        product = uow.products.get(command.sku)
        line = OrderLine(order_id=command.order_id, sku=command.sku, quantity=command.quantity)
        batch, is_new = product.allocate(line)
        answer = LineAllocation(
            order_id=line.order_id,
            sku=line.sku,
            quantity=line.quantity,
            batch=batch.reference if batch else None,
        )
        return uow.commit(Created(value=answer) if is_new else answer)


def cancel_line(command: CancelLine, uow: AllocationUnitOfWork) -> None:
    """Give back the stock of an order line, or its place among those who wait.

    The product may not have heard of an order's line yet: then the order forgets it, and never asks. There may be a
    single line besides, which the order would have taken over.
    """
    with uow:
        product = uow.products.take(command.sku)
        order = None if product.tells(command.order_id) else uow.orders.find(command.order_id)
        wanting = order if order is not None and order.wants(command.sku) else None
        if wanting is not None:
            wanting.forget(command.sku)
            if wanting.is_settled:
                uow.cancel(DEADLINE, wanting.order_id)
        if wanting is None or product.has_line_of(command.order_id):
            product.cancel(command.order_id)
        return uow.commit()


def warn_buyers(
    event: WentOutOfStock, notifications: Notifications, buyers: Buyers, envelope: Envelope
) -> None:
    """Ask the buyers to restock."""
    notifications.send(
        to=buyers.address,
        subject=f"Out of stock: {event.sku}",
        text=f"Nobody can be promised {event.quantity} of {event.sku}. Please order more.",
        effect_id=envelope.effect_id(),
    )


def _details(uow: AllocationUnitOfWork, product: Product, batch: Batch) -> BatchDetails:
    return BatchDetails(
        reference=batch.reference,
        version=uow.version_of(product),
        sku=batch.sku,
        eta=batch.eta,
        quantity=batch.quantity,
        available=product.available(batch),
    )


ROUTES = Routes(
    triggers={
        BatchReceived: [CreateBatch],
        BatchQuantityReported: [ChangeBatchQuantity],
        OrderLineReceived: [Allocate],
        OrderLineCancelled: [CancelLine],
    },
    commands={
        CreateBatch: create_batch,
        ChangeBatchQuantity: change_batch_quantity,
        Allocate: allocate,
        CancelLine: cancel_line,
    },
    records={
        CreateBatch: [Allocated, OrderLineChanged],
        ChangeBatchQuantity: [Deallocated, Allocated, WentOutOfStock, OrderLineChanged],
        Allocate: [Allocated, WentOutOfStock],
        CancelLine: [LineReleased, Allocated, OrderLineChanged, OrderFulfilled],
    },
    reactions={WentOutOfStock: [warn_buyers]},
    publishes={WentOutOfStock: optional("allocation.went-out-of-stock")},
    subscribes={
        "stock.batch-received": BatchReceived,
        "stock.batch-quantity-reported": BatchQuantityReported,
    },
    requires={
        BatchReceived: "stock:write",
        BatchQuantityReported: "stock:write",
        OrderLineReceived: "orders:write",
        OrderLineCancelled: "orders:write",
    },
)
