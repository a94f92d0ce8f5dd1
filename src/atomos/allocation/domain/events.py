"""What allocation hears, and what it says."""

from __future__ import annotations

from datetime import date

from atomos.core.domain import Created, Event, Message, ValueObject

from .fields import OrderId, Quantity, Reference, Sku


class LineAllocation(ValueObject):
    """What became of an order line: the batch that will supply it, None when it is out of stock."""

    order_id: str
    sku: str
    quantity: int
    batch: str | None


class BatchDetails(ValueObject):
    """A batch: where it stands, and how much of it is not promised. `eta` is None for stock in the warehouse."""

    reference: str
    sku: str
    eta: date | None
    quantity: int
    available: int


class BatchFields(Message):
    """A batch of stock; `eta` is None when it is in the warehouse."""

    reference: Reference
    sku: Sku
    quantity: Quantity
    eta: date | None = None


class BatchQuantityFields(Message):
    """A batch, and how much of it there really is."""

    reference: Reference
    quantity: Quantity


class LineFields(Message):
    """A line of an order."""

    order_id: OrderId
    sku: Sku
    quantity: Quantity


class LineName(Message):
    """A line of an order, by its name: an order has one line for each SKU."""

    order_id: OrderId
    sku: Sku


class PlacedLine(LineFields):
    """A line of an order, and the batch that it has or had."""

    batch: Reference


class BatchReceived(
    BatchFields, Event[Created[BatchDetails] | BatchDetails], name="allocation.batch-received"
):
    """Stock arrived, or was announced."""


class BatchQuantityReported(
    BatchQuantityFields, Event[BatchDetails], name="allocation.batch-quantity-reported"
):
    """Somebody counted a batch."""


class OrderLineReceived(
    LineFields, Event[Created[LineAllocation] | LineAllocation], name="allocation.order-line-received"
):
    """A customer ordered something."""


class OrderLineCancelled(LineName, Event, name="allocation.order-line-cancelled"):
    """A customer does not want it any more."""


class Allocated(PlacedLine, Event, name="allocation.allocated"):
    """A batch was promised to an order line."""


class Deallocated(PlacedLine, Event, name="allocation.deallocated"):
    """An order line lost its batch."""


class LineReleased(PlacedLine, Event, name="allocation.line-released"):
    """A cancelled order line gave its stock back."""


class WentOutOfStock(Event, name="allocation.went-out-of-stock"):
    """No batch had enough for an order line."""

    sku: Sku
    quantity: Quantity
