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
)


class CreateBatch(BatchFields, Command[Created[BatchDetails] | BatchDetails], name="allocation.create-batch"):
    """Take a batch into stock."""


class ChangeBatchQuantity(
    BatchQuantityFields, Command[BatchDetails], name="allocation.change-batch-quantity"
):
    """Correct how much of a batch there is; lines that no longer fit lose it."""


class Allocate(LineFields, Command[Created[LineAllocation] | LineAllocation], name="allocation.allocate"):
    """Promise stock to an order line."""


class CancelLine(LineName, Command, name="allocation.cancel-line"):
    """Give back the stock of an order line."""
