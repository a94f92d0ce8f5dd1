"""An order with a deadline: it asks for stock for each of its lines, and hears what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from atomos.core.domain import Aggregate, Entity

from .errors import OrderDiffers, SkuTwice
from .events import LineWanted, OrderFellShort, OrderFulfilled, OrderItem, OrderState


class WantedLine(Entity):
    """Pieces of a SKU that an order wants; `batch` is what they were promised from, None while they are not."""

    def __init__(self, sku: str, quantity: int) -> None:
        self.sku = sku
        self.quantity = quantity
        self.batch: str | None = None

    @property
    def identity(self) -> str:
        """The SKU, since an order has one line for each."""
        return self.sku


class Order(Aggregate):
    """An order is fulfilled when every line has a batch. Where its deadline finds lines without, it says so, once.

    They go on waiting: what is reported is what was missing then, and a batch that comes late is still welcome.
    Who does not want it any more cancels the line.
    """

    def __init__(self, order_id: str, deadline: datetime, items: Sequence[OrderItem]) -> None:
        """Ask for stock for every line. Raises `SkuTwice`."""
        self.order_id = order_id
        self.deadline = deadline.astimezone(UTC)
        self.is_reported = False
        self.lines: list[WantedLine] = []
        for item in items:
            if self.wants(item.sku):
                raise SkuTwice(order_id, item.sku)
            self.lines.append(WantedLine(item.sku, item.quantity))
            self.record(LineWanted(order_id=order_id, sku=item.sku, quantity=item.quantity))

    @property
    def identity(self) -> str:
        """Its name."""
        return self.order_id

    @property
    def state(self) -> OrderState:
        """How it stands."""
        return state_of([line.batch for line in self.lines], is_reported=self.is_reported)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is open: every line that is left has its batch."""
        return all(line.batch is not None for line in self.lines)

    def compare(self, deadline: datetime, items: Sequence[OrderItem]) -> None:
        """Raise `OrderDiffers` unless this is what the order wants."""
        wanted = {line.sku: line.quantity for line in self.lines}
        if (self.deadline, wanted) != (deadline, {item.sku: item.quantity for item in items}):
            raise OrderDiffers(self.order_id)

    def wants(self, sku: str) -> bool:
        """Whether it has a line of a SKU."""
        return self._line(sku) is not None

    def note(self, sku: str, batch: str | None) -> None:
        """Note the batch that a line has now; one that was forgotten meanwhile changes nothing."""
        if (line := self._line(sku)) is not None:
            was_settled, line.batch = self.is_settled, batch
            self._conclude(was_settled)

    def forget(self, sku: str) -> None:
        """Want a line no more."""
        if (line := self._line(sku)) is not None:
            was_settled = self.is_settled
            self.lines.remove(line)
            self._conclude(was_settled)

    def report(self) -> None:
        """Say which lines have no stock; once, and only where there are any."""
        if self.is_settled or self.is_reported:
            return
        self.is_reported = True
        short = (line for line in self.lines if line.batch is None)
        lines = tuple(OrderItem(sku=line.sku, quantity=line.quantity) for line in short)
        self.record(OrderFellShort(order_id=self.order_id, lines=lines))

    def _conclude(self, was_settled: bool) -> None:
        if self.state is OrderState.FULFILLED and not was_settled:
            self.record(OrderFulfilled(order_id=self.order_id))

    def _line(self, sku: str) -> WantedLine | None:
        return next((line for line in self.lines if line.sku == sku), None)


def state_of(batches: Sequence[str | None], *, is_reported: bool) -> OrderState:
    """Say how an order stands, from the batches of its lines and whether it was reported short."""
    if not batches:
        return OrderState.CANCELLED
    if None not in batches:
        return OrderState.FULFILLED
    return OrderState.SHORT if is_reported else OrderState.OPEN
