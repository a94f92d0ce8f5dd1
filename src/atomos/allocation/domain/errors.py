"""What allocation refuses."""

from __future__ import annotations

from atomos.core.domain import Contradiction, NotFound, RuleBroken


class UnknownSku(NotFound):
    """No batch of this SKU was ever received."""

    def __init__(self, sku: str) -> None:
        super().__init__(f"No batch of {sku} was ever received.")


class UnknownBatch(NotFound):
    """No batch has this reference."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"No batch has the reference {reference}.")


class NotAllocated(NotFound):
    """The order line has no stock promised to it."""

    def __init__(self, order_id: str, sku: str | None = None) -> None:
        line = (
            f"Order {order_id} has no allocated line"
            if sku is None
            else f"Order {order_id} has no allocated {sku}"
        )
        super().__init__(f"{line}.")


class BatchDiffers(Contradiction):
    """A batch of this reference was received before, with another content."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Batch {reference} was received before, with another SKU, quantity or ETA.")


class LineDiffers(Contradiction):
    """The order line was allocated before, with another quantity."""

    def __init__(self, order_id: str, sku: str, allocated: int) -> None:
        super().__init__(
            f"Order {order_id} has {allocated} of {sku} allocated; cancel that line to change it."
        )


class UnknownOrder(NotFound):
    """No order of this name was placed."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"No order {order_id} was placed.")


class OrderDiffers(Contradiction):
    """An order of this name was placed before, with another content."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"Order {order_id} was placed before, with another deadline or other lines.")


class SkuTwice(RuleBroken):
    """An order has one line for each SKU."""

    def __init__(self, order_id: str, sku: str) -> None:
        super().__init__(f"Order {order_id} has two lines of {sku}; send one, with the sum.")
