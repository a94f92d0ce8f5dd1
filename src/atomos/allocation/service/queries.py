"""What allocation can be asked."""

from __future__ import annotations

from typing import Annotated

from atomos.core.domain import AtLeast, AtMost, Page, Query, ValueObject, Version

from ..domain.events import BatchDetails, OrderDetails
from ..domain.fields import OrderId, Reference, Sku


class AllocatedLine(ValueObject):
    """A line of an order, and the batch that will supply it."""

    sku: str
    quantity: int
    batch: str


class ProductDetails(ValueObject):
    """A product: pieces that can still be promised, pieces that are, and its batches in the order of choice."""

    sku: str
    version: Version
    available: int
    allocated: int
    batches: tuple[BatchDetails, ...]


class AllocationsOf(Query[tuple[AllocatedLine, ...]], name="allocation.allocations-of"):
    """Which batches will supply an order?"""

    order_id: OrderId


class BatchesOf(Query[Page[BatchDetails]], name="allocation.batches-of"):
    """Which batches are there, by reference? `limit` is the size of a page, `cursor` where it begins."""

    sku: Sku | None = None
    limit: Annotated[int, AtLeast(1), AtMost(500)] = 50
    cursor: Reference | None = None


class BatchOf(Query[BatchDetails], name="allocation.batch-of"):
    """How does a batch stand?"""

    reference: Reference


class ProductOf(Query[ProductDetails], name="allocation.product-of"):
    """How does a product stand?"""

    sku: Sku


class OrderOf(Query[OrderDetails], name="allocation.order-of"):
    """How does an order stand, that was placed with all its lines?"""

    order_id: OrderId
