"""What allocation can be told to do."""

from __future__ import annotations

from atomos.core.domain import Command, Created

from .events import (
    BatchDetails,
    BatchFields,
    BatchQuantityFields,
    LineAllocation,
    LineFields,
    LineName,
    LineNews,
    OrderDetails,
    OrderFields,
    OrderName,
)


class CreateBatch(BatchFields, Command[Created[BatchDetails] | BatchDetails], name="allocation.create-batch"):
    """Take a batch into stock."""


class ChangeBatchQuantity(
    BatchQuantityFields, Command[BatchDetails], name="allocation.change-batch-quantity"
):
    """Correct how much of a batch there is; lines that no longer fit get another, or wait."""


class Allocate(LineFields, Command[Created[LineAllocation] | LineAllocation], name="allocation.allocate"):
    """Promise stock to an order line."""


class CancelLine(LineName, Command, name="allocation.cancel-line"):
    """Give back the stock of an order line, or its place among those who wait."""


class PlaceOrder(OrderFields, Command[Created[OrderDetails] | OrderDetails], name="allocation.place-order"):
    """Take an order in, and ask for stock for each of its lines."""


class PromiseLine(LineFields, Command, name="allocation.promise-line"):
    """Promise stock to a line of an order, or let it wait for some."""


class NoteLine(LineNews, Command, name="allocation.note-line"):
    """Note how a line of an order stands."""


class ReportShort(OrderName, Command, name="allocation.report-short"):
    """Say which lines of an order have no stock, if any."""
