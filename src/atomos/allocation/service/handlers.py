"""What allocation does when told something, and when something has happened."""

from __future__ import annotations

from atomos.core.domain import Created
from atomos.core.service import Envelope, Notifications, Routes

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
    OrderLineCancelled,
    OrderLineReceived,
    WentOutOfStock,
)
from ..domain.model import Batch, OrderLine, Product
from .ports import AllocationUnitOfWork, Buyers


def create_batch(command: CreateBatch, uow: AllocationUnitOfWork) -> Created[BatchDetails] | BatchDetails:
    """Take a batch into stock; its first makes the product."""
    with uow:
        product = uow.products.find_by_batch(command.reference)
        if product is not None and product.sku != command.sku:
            raise BatchDiffers(command.reference)
        if product is None and (product := uow.products.find(command.sku)) is None:
            uow.products.add(product := Product(command.sku))
        batch, is_new = product.receive(command.reference, command.quantity, command.eta)
        return uow.commit(Created(value=_details(batch)) if is_new else _details(batch))


def change_batch_quantity(command: ChangeBatchQuantity, uow: AllocationUnitOfWork) -> BatchDetails:
    """Correct how much of a batch there is; lines that no longer fit lose it."""
    with uow:
        product = uow.products.find_by_batch(command.reference)
        if product is None:
            raise UnknownBatch(command.reference)
        return uow.commit(_details(product.change_quantity(command.reference, command.quantity)))


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
    """Give back the stock of an order line."""
    with uow:
        uow.products.get(command.sku).cancel(command.order_id)
        return uow.commit()


def reallocate(event: Deallocated) -> Allocate:
    """An order line that lost its batch looks for another."""
    return Allocate(order_id=event.order_id, sku=event.sku, quantity=event.quantity)


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


def _details(batch: Batch) -> BatchDetails:
    return BatchDetails(
        reference=batch.reference,
        sku=batch.sku,
        eta=batch.eta,
        quantity=batch.quantity,
        available=batch.available,
    )


ROUTES = Routes(
    triggers={
        BatchReceived: [CreateBatch],
        BatchQuantityReported: [ChangeBatchQuantity],
        OrderLineReceived: [Allocate],
        OrderLineCancelled: [CancelLine],
        Deallocated: [reallocate],
    },
    commands={
        CreateBatch: create_batch,
        ChangeBatchQuantity: change_batch_quantity,
        Allocate: allocate,
        CancelLine: cancel_line,
    },
    records={
        ChangeBatchQuantity: [Deallocated],
        Allocate: [Allocated, WentOutOfStock],
        CancelLine: [LineReleased],
    },
    reactions={WentOutOfStock: [warn_buyers]},
    requires={
        BatchReceived: "stock:write",
        BatchQuantityReported: "stock:write",
        OrderLineReceived: "orders:write",
        OrderLineCancelled: "orders:write",
    },
)
