"""What allocation asks of the outside."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from atomos.core.service import Repository, UnitOfWork

from ..domain.errors import UnknownSku
from ..domain.model import Product


class Products(Repository[Product]):
    """Where products are kept, by SKU."""

    missing = UnknownSku

    @abstractmethod
    def find_by_batch(self, reference: str) -> Product | None:
        """Give the product that has this batch, for a change, or None."""


class Buyers(NamedTuple):
    """Who restocks; `address` is one that the notifications understand."""

    address: str


class AllocationUnitOfWork(UnitOfWork):
    """An atomic update of products."""

    products: Products
