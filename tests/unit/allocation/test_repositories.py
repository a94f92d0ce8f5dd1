"""Products in memory pass the suite that every repository passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from atomos.testing import MemoryStore
from atomos.testing.conformance.repository import RepositorySuite
from tests.factories import OrderLineFactory, ProductFactory

from .memory import MemoryAllocationUnitOfWork


class ProductsSuite(RepositorySuite):
    @pytest.fixture
    def repository_of(self) -> Callable[[Any], Any]:
        return lambda uow: uow.products

    @pytest.fixture
    def make(self) -> Callable[[str], Any]:
        return lambda sku: ProductFactory(sku=sku, stock={f"batch-of-{sku}": (100, None)})

    @pytest.fixture
    def change_root(self) -> Callable[[Any], object]:
        # All that a product has hangs on it; a new batch is a change of its list.
        return lambda product: product.receive(f"batch-{len(product.batches)}", 10, None)

    @pytest.fixture
    def change_child(self) -> Callable[[Any], object]:
        # Through the batch, so that the product records nothing: only the child's own row changes.
        def change(product: Any) -> None:
            product.batches[0].quantity += 1

        return change

    def test_a_product_is_found_by_a_batch(self, obey: Any, repository_of: Any, make: Any) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        found: list[Any] = []
        obey(lambda uow: found.append(repository_of(uow).find_by_batch("batch-of-a").sku))
        obey(lambda uow: found.append(repository_of(uow).find_by_batch("nothing")))
        assert found == ["a", None]

    def test_lines_come_back_in_the_order_in_which_they_were_allocated(
        self, obey: Any, repository_of: Any, make: Any
    ) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        orders = ["z", "m", "a", "k"]
        for order_id in orders:
            line = OrderLineFactory(order_id=order_id, sku="a")
            obey(lambda uow, line=line: repository_of(uow).get("a").allocate(line))
        found: list[Any] = []
        obey(lambda uow: found.extend(repository_of(uow).get("a").batches[0].lines))
        assert [line.order_id for line in found] == orders


class TestMemoryProducts(ProductsSuite):
    @pytest.fixture
    def new_uow(self) -> Callable[[], Any]:
        store = MemoryStore()
        return lambda: MemoryAllocationUnitOfWork(store)
