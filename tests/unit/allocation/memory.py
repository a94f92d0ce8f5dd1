"""Allocation in memory."""

from __future__ import annotations

from atomos.allocation.domain.model import Product
from atomos.allocation.service.ports import AllocationUnitOfWork, Products
from atomos.testing import MemoryRepository, MemoryStore, MemoryUnitOfWork


class MemoryProducts(MemoryRepository[Product], Products):
    """Products in memory."""

    def find_by_batch(self, reference: str) -> Product | None:
        return next((p for p in self.all() if any(b.reference == reference for b in p.batches)), None)


class MemoryAllocationUnitOfWork(MemoryUnitOfWork, AllocationUnitOfWork):
    """An atomic update of products in memory."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.products = MemoryProducts(self, Product)
