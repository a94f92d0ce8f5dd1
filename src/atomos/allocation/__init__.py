"""The reference context: promise stock to order lines. It exports its public events, and nothing else."""

from .domain.events import (
    Allocated,
    Deallocated,
    LineReleased,
    OrderFellShort,
    OrderFulfilled,
    WentOutOfStock,
)

__all__ = [
    "Allocated",
    "Deallocated",
    "LineReleased",
    "OrderFellShort",
    "OrderFulfilled",
    "WentOutOfStock",
]
