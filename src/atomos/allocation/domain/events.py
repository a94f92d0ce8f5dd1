"""What allocation hears, and what it says."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from atomos.core.domain import Created, Event, Length, Message, ValueObject, Version

from .fields import NewOrderId, OrderId, Quantity, Reference, Sku


class LineAllocation(ValueObject):
    """What became of an order line: the batch that will supply it, None when it is out of stock."""

    order_id: str
    sku: str
    quantity: int
    batch: str | None


class BatchDetails(ValueObject):
    """A batch: where it stands, and how much of it is not promised. `eta` is None for stock in the warehouse.

    `version` is that of its product, which guards all its batches.
    """

    reference: str
    version: Version
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


class LineReleased(LineFields, Event, name="allocation.line-released"):
    """A cancelled order line gave its stock back; `batch` is None when it waited for some."""

    batch: Reference | None = None


class WentOutOfStock(Event, name="allocation.went-out-of-stock"):
    """No batch had enough for an order line."""

    sku: Sku
    quantity: Quantity


class OrderState(StrEnum):
    """How an order stands."""

    OPEN = "open"
    """Lines wait for stock, and the deadline has not come."""
    FULFILLED = "fulfilled"
    """Every line has a batch."""
    SHORT = "short"
    """The deadline found lines without stock; they go on waiting."""
    CANCELLED = "cancelled"
    """No line is left."""


class OrderItem(ValueObject):
    """So many pieces of a SKU."""

    sku: Sku
    quantity: Quantity


class OrderedLine(ValueObject):
    """A line of an order, and the batch that will supply it; None while it waits for stock."""

    sku: str
    quantity: int
    batch: str | None


class OrderDetails(ValueObject):
    """How an order stands, with its lines by SKU."""

    order_id: str
    version: Version
    state: OrderState
    deadline: datetime
    lines: tuple[OrderedLine, ...]


class OrderFields(Message):
    """An order with all its lines, each with a SKU of its own; at `deadline` it is looked at."""

    order_id: NewOrderId
    deadline: datetime
    lines: Annotated[tuple[OrderItem, ...], Length(1, 500)]


class OrderName(Message):
    """An order, by its name."""

    order_id: OrderId


class LineNews(LineName):
    """How a line of an order stands: the batch that it has, None while it waits; or nobody wants it any more."""

    batch: Reference | None
    is_wanted: bool = True


class OrderPlaced(OrderFields, Event[Created[OrderDetails] | OrderDetails], name="allocation.order-placed"):
    """A customer ordered several things, and wants them by a deadline."""


class LineWanted(LineFields, Event, name="allocation.line-wanted"):
    """An order that was placed wants stock for a line."""


class OrderLineChanged(LineNews, Event, name="allocation.order-line-changed"):
    """A product tells an order how a line of it stands."""


class DeadlinePassed(OrderName, Event, name="allocation.deadline-passed"):
    """The time of an order has come."""


class OrderFulfilled(OrderName, Event, name="allocation.order-fulfilled"):
    """The last line of an order got its batch; again, when one was lost in between."""


class OrderFellShort(OrderName, Event, name="allocation.order-fell-short"):
    """At its deadline an order had lines without stock. An order says so once."""

    lines: tuple[OrderItem, ...]
