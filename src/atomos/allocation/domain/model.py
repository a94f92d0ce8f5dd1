"""A product, its batches, and the order lines to which their pieces are promised."""

from __future__ import annotations

from datetime import date

from atomos.core.domain import Aggregate, Entity, ValueObject

from .errors import BatchDiffers, LineDiffers, NotAllocated, UnknownBatch
from .events import Allocated, Deallocated, LineReleased, WentOutOfStock
from .fields import OrderId, Quantity, Sku


class OrderLine(ValueObject):
    """So many pieces of a SKU, wanted by an order."""

    order_id: OrderId
    sku: Sku
    quantity: Quantity


class PromisedLine(Entity):
    """Pieces of one batch that are promised to an order."""

    def __init__(self, order_id: str, sku: str, quantity: int) -> None:
        self.order_id = order_id
        self.sku = sku
        self.quantity = quantity

    @property
    def identity(self) -> str:
        """The order, since a product has one line for each."""
        return self.order_id


class Batch(Entity):
    """Stock of one SKU: in the warehouse, or on its way (`eta`, a date)."""

    def __init__(self, reference: str, sku: str, quantity: int, eta: date | None = None) -> None:
        self.reference = reference
        self.sku = sku
        self.quantity = quantity
        self.eta = eta
        self.lines: list[PromisedLine] = []

    @property
    def identity(self) -> str:
        """Its reference."""
        return self.reference

    @property
    def available(self) -> int:
        """Pieces that are not promised to anyone; negative while it has shrunk below its promises."""
        return self.quantity - sum(line.quantity for line in self.lines)

    @property
    def preference(self) -> tuple[date, str]:
        """What batches are chosen by: the warehouse first, then the earliest; the reference decides between equals."""
        return self.eta or date.min, self.reference

    def line_of(self, order_id: str) -> PromisedLine | None:
        """Find the line that is promised to an order, or None."""
        return next((line for line in self.lines if line.order_id == order_id), None)


class Product(Aggregate):
    """A SKU with its batches: what has to be right at once when stock is promised."""

    def __init__(self, sku: str) -> None:
        self.sku = sku
        self.batches: list[Batch] = []

    @property
    def identity(self) -> str:
        """Its SKU."""
        return self.sku

    def receive(self, reference: str, quantity: int, eta: date | None) -> tuple[Batch, bool]:
        """Take a batch in; the same one again changes nothing. Say whether it is new. Raises `BatchDiffers`."""
        batch = next((each for each in self.batches if each.reference == reference), None)
        if batch is None:
            batch = Batch(reference, self.sku, quantity, eta)
            self.batches.append(batch)
            return batch, True
        if (batch.quantity, batch.eta) != (quantity, eta):
            raise BatchDiffers(reference)
        return batch, False

    def allocate(self, line: OrderLine) -> tuple[Batch | None, bool]:
        """Promise stock to a line: the batch that has enough, None when none has; and whether that is new.

        The same line again gets the same batch. Raises `LineDiffers` when it had another quantity.
        """
        if (promised := self._find(line.order_id)) is not None:
            batch, before = promised
            if before.quantity != line.quantity:
                raise LineDiffers(line.order_id, self.sku, before.quantity)
            return batch, False
        enough = (batch for batch in self.batches if batch.available >= line.quantity)
        chosen = min(enough, key=lambda batch: batch.preference, default=None)
        if chosen is None:
            self.record(WentOutOfStock(sku=self.sku, quantity=line.quantity))
            return None, False
        chosen.lines.append(PromisedLine(line.order_id, self.sku, line.quantity))
        self.record(
            Allocated(order_id=line.order_id, sku=self.sku, quantity=line.quantity, batch=chosen.reference)
        )
        return chosen, True

    def change_quantity(self, reference: str, quantity: int) -> Batch:
        """Correct how much of a batch there is. Lines that no longer fit lose it, the newest first."""
        batch = next((each for each in self.batches if each.reference == reference), None)
        if batch is None:
            raise UnknownBatch(reference)
        batch.quantity = quantity
        while batch.available < 0:
            lost = batch.lines.pop()
            self.record(
                Deallocated(order_id=lost.order_id, sku=self.sku, quantity=lost.quantity, batch=reference)
            )
        return batch

    def cancel(self, order_id: str) -> None:
        """Give back the stock of a line. Raises `NotAllocated`."""
        if (promised := self._find(order_id)) is None:
            raise NotAllocated(order_id, self.sku)
        batch, line = promised
        batch.lines.remove(line)
        self.record(
            LineReleased(order_id=order_id, sku=self.sku, quantity=line.quantity, batch=batch.reference)
        )

    def _find(self, order_id: str) -> tuple[Batch, PromisedLine] | None:
        found = ((batch, batch.line_of(order_id)) for batch in self.batches)
        return next(((batch, line) for batch, line in found if line is not None), None)
