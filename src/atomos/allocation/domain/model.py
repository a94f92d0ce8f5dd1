"""A product, its batches, and the order lines that want its pieces."""

from __future__ import annotations

from collections import Counter
from datetime import date

from atomos.core.domain import Aggregate, Entity, ValueObject

from .errors import BatchDiffers, LineDiffers, NotAllocated, UnknownBatch, UnknownSku
from .events import Allocated, Deallocated, LineReleased, OrderLineChanged, WentOutOfStock
from .fields import OrderId, Quantity, Sku


class OrderLine(ValueObject):
    """So many pieces of a SKU, wanted by an order."""

    order_id: OrderId
    sku: Sku
    quantity: Quantity


class ProductLine(Entity):
    """Pieces that are promised to an order, from the batch of this reference; without one (None) the line waits.

    `is_followed` says that the order was placed whole, and hears how the line stands.
    """

    def __init__(self, order_id: str, sku: str, quantity: int, *, is_followed: bool = False) -> None:
        self.order_id = order_id
        self.sku = sku
        self.quantity = quantity
        self.is_followed = is_followed
        self.batch: str | None = None

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

    @property
    def identity(self) -> str:
        """Its reference."""
        return self.reference

    @property
    def preference(self) -> tuple[date, str]:
        """What batches are chosen by: the warehouse first, then the earliest; the reference decides between equals."""
        return self.eta or date.min, self.reference


class Product(Aggregate):
    """A SKU with its batches and lines: what has to be right at once when stock is promised.

    Lines are in the order in which they came. One that waits is tried again whenever pieces become free, in the
    same transaction, so that no wake-up is lost: first come, first served, and one that is too large does not
    hold up a smaller one behind it. So no line ever waits for what is there.
    """

    def __init__(self, sku: str) -> None:
        self.sku = sku
        self.batches: list[Batch] = []
        self.lines: list[ProductLine] = []

    @property
    def identity(self) -> str:
        """Its SKU."""
        return self.sku

    def receive(self, reference: str, quantity: int, eta: date | None) -> tuple[Batch, bool]:
        """Take a batch in; the same one again changes nothing. Say whether it is new. Raises `BatchDiffers`."""
        if (batch := self._batch(reference)) is None:
            self.batches.append(batch := Batch(reference, self.sku, quantity, eta))
            self._serve()
            return batch, True
        if (batch.quantity, batch.eta) != (quantity, eta):
            raise BatchDiffers(reference)
        return batch, False

    def available(self, batch: Batch) -> int:
        """Count the pieces of a batch that are not promised to anyone."""
        return self._free()[batch.reference]

    def allocate(self, line: OrderLine) -> tuple[Batch | None, bool]:
        """Promise stock to a line: the batch that has enough, None when none has; and whether that is new.

        The same line again has the batch that it has. A line that finds none is not kept. Raises `LineDiffers`
        when it had another quantity, and `UnknownSku` when no batch was ever received.
        """
        if not self.batches:
            raise UnknownSku(self.sku)
        if (known := self._line(line.order_id)) is not None:
            if known.quantity != line.quantity:
                raise LineDiffers(line.order_id, self.sku, known.quantity)
            return self._batch(known.batch), False
        wanted = ProductLine(line.order_id, self.sku, line.quantity)
        if not self._promise(wanted, self._free()):
            self._run_out(wanted)
            return None, False
        self.lines.append(wanted)
        return self._batch(wanted.batch), True

    def promise(self, line: OrderLine) -> None:
        """Promise stock to a line of an order that follows it, now or as soon as there is enough.

        A line that was allocated alone before is the order's from now on, and so is its quantity: it gives back
        what it had if the order wants more or fewer.
        """
        if (known := self._line(line.order_id)) is None:
            known = ProductLine(line.order_id, self.sku, line.quantity, is_followed=True)
            self.lines.append(known)
            if not self._promise(known, self._free()):
                self._run_out(known)
        elif not known.is_followed:
            known.is_followed = True
            if known.quantity == line.quantity:
                self._tell(known)
            else:
                self._resize(known, line.quantity)

    def change_quantity(self, reference: str, quantity: int) -> Batch:
        """Correct how much of a batch there is.

        Lines that no longer fit lose it, the newest first; each gets another, or waits. What has become more
        goes to those who wait.
        """
        if (batch := self._batch(reference)) is None:
            raise UnknownBatch(reference)
        batch.quantity = quantity
        missing = -self.available(batch)
        lost = []
        for line in [line for line in reversed(self.lines) if line.batch == reference]:
            if missing <= 0:
                break
            missing -= line.quantity
            lost.append(line)
            self._lose(line)
        self._serve()
        for line in lost:
            if line.batch is None:
                self._run_out(line)
        return batch

    def cancel(self, order_id: str) -> None:
        """Give back the stock of a line, or its place among those who wait. Raises `NotAllocated`."""
        if (line := self._line(order_id)) is None:
            raise NotAllocated(order_id, self.sku)
        self.lines.remove(line)
        self.record(LineReleased(order_id=order_id, sku=self.sku, quantity=line.quantity, batch=line.batch))
        if line.is_followed:
            self.record(OrderLineChanged(order_id=order_id, sku=self.sku, batch=None, is_wanted=False))
        self._serve()

    def has_line_of(self, order_id: str) -> bool:
        """Whether an order has a line here, with a batch or waiting."""
        return self._line(order_id) is not None

    def tells(self, order_id: str) -> bool:
        """Whether an order has a line here, and hears how it stands."""
        line = self._line(order_id)
        return line is not None and line.is_followed

    def _serve(self) -> None:
        waiting = [line for line in self.lines if line.batch is None]
        free = self._free() if waiting else Counter()
        for line in waiting:
            self._promise(line, free)

    def _promise(self, line: ProductLine, free: Counter[str]) -> bool:
        enough = (batch for batch in self.batches if free[batch.reference] >= line.quantity)
        chosen = min(enough, key=lambda batch: batch.preference, default=None)
        if chosen is None:
            return False
        line.batch = chosen.reference
        free[chosen.reference] -= line.quantity
        self.record(
            Allocated(order_id=line.order_id, sku=self.sku, quantity=line.quantity, batch=chosen.reference)
        )
        self._tell(line)
        return True

    def _lose(self, line: ProductLine) -> None:
        assert line.batch is not None  # noqa: S101 - whoever waits has nothing to lose
        self.record(
            Deallocated(order_id=line.order_id, sku=self.sku, quantity=line.quantity, batch=line.batch)
        )
        line.batch = None
        self._tell(line)

    def _resize(self, line: ProductLine, quantity: int) -> None:
        if line.batch is not None:
            self._lose(line)
        line.quantity = quantity
        self._serve()
        if line.batch is None:
            self._run_out(line)

    def _run_out(self, line: ProductLine) -> None:
        self.record(WentOutOfStock(sku=self.sku, quantity=line.quantity))

    def _tell(self, line: ProductLine) -> None:
        if line.is_followed:
            self.record(OrderLineChanged(order_id=line.order_id, sku=self.sku, batch=line.batch))

    def _line(self, order_id: str) -> ProductLine | None:
        return next((line for line in self.lines if line.order_id == order_id), None)

    def _batch(self, reference: str | None) -> Batch | None:
        return next((batch for batch in self.batches if batch.reference == reference), None)

    def _free(self) -> Counter[str]:
        free = Counter({batch.reference: batch.quantity for batch in self.batches})
        for line in self.lines:
            if line.batch is not None:
                free[line.batch] -= line.quantity
        return free
