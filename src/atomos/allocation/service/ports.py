"""What allocation asks of the outside."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from atomos.core.service import Repository, UnitOfWork

from ..domain.errors import UnknownOrder, UnknownSku
from ..domain.model import Product
from ..domain.order import Order


class Products(Repository[Product]):
    """Where products are kept, by SKU."""

    missing = UnknownSku

    @abstractmethod
    def find_by_batch(self, reference: str) -> Product | None:
        """Give the product that has this batch, for a change, or None."""

    def take(self, sku: str) -> Product:
        """Give the product for a change; a new one, without any stock, where there is none."""
        if (product := self.find(sku)) is None:
            self.add(product := Product(sku))
        return product


class Orders(Repository[Order]):
    """Where orders are kept, by name."""

    missing = UnknownOrder

    @abstractmethod
    def want(self, order_id: str, sku: str) -> bool:
        """Whether an order still has a line of a SKU: a look, for which no order is handed out."""


class Buyers(NamedTuple):
    """Who restocks; `address` is one that the notifications understand."""

    address: str


class AllocationUnitOfWork(UnitOfWork):
    """An atomic update of products and orders."""

    products: Products
    orders: Orders
