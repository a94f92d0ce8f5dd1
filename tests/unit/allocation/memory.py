"""Allocation in memory."""

from __future__ import annotations

from typing import cast

from atomos.allocation.domain.model import Product
from atomos.allocation.domain.order import Order
from atomos.allocation.service.ports import AllocationUnitOfWork, Orders, Products
from atomos.testing import MemoryRepository, MemoryStore, MemoryUnitOfWork


class MemoryProducts(MemoryRepository[Product], Products):
    """Products in memory."""

    def find_by_batch(self, reference: str) -> Product | None:
        return next((p for p in self.all() if any(b.reference == reference for b in p.batches)), None)


class MemoryOrders(MemoryRepository[Order], Orders):
    """Orders in memory."""

    def want(self, order_id: str, sku: str) -> bool:
        order = cast("Order | None", self._uow.store.aggregates.get((Order, order_id)))
        return order is not None and order.wants(sku)


class MemoryAllocationUnitOfWork(MemoryUnitOfWork, AllocationUnitOfWork):
    """An atomic update of products and orders in memory."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.products = MemoryProducts(self, Product)
        self.orders = MemoryOrders(self, Order)
