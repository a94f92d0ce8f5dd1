"""Products and orders in memory pass the suite that every repository passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from atomos.testing import MemoryStore
from atomos.testing.conformance.repository import RepositorySuite
from tests.factories import OrderFactory, OrderLineFactory, ProductFactory

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
        obey(lambda uow: found.extend(repository_of(uow).get("a").lines))
        assert [line.order_id for line in found] == orders

    def test_a_line_may_move_to_a_batch_that_is_as_new_as_the_line(
        self, obey: Any, repository_of: Any, make: Any
    ) -> None:
        def change(uow: Any) -> None:
            product = repository_of(uow).get("a")
            product.promise(OrderLineFactory(order_id="large", sku="a", quantity=500))
            product.receive("new", 500, None)

        obey(lambda uow: repository_of(uow).add(make("a")))
        obey(change)
        found: list[Any] = []
        obey(lambda uow: found.extend(repository_of(uow).get("a").lines))
        assert [(line.order_id, line.batch, line.is_followed) for line in found] == [("large", "new", True)]

    def test_a_product_that_is_not_there_is_taken_as_a_new_one(self, obey: Any, repository_of: Any) -> None:
        obey(lambda uow: repository_of(uow).take("a"))
        obey(lambda uow: _assert(repository_of(uow).take("a") is repository_of(uow).get("a")))


class OrdersSuite(RepositorySuite):
    @pytest.fixture
    def repository_of(self) -> Callable[[Any], Any]:
        return lambda uow: uow.orders

    @pytest.fixture
    def make(self) -> Callable[[str], Any]:
        return lambda order_id: OrderFactory(order_id=order_id, wants={"TABLE": 1, "CHAIR": 2})

    @pytest.fixture
    def change_root(self) -> Callable[[Any], object]:
        def change(order: Any) -> None:
            order.deadline += timedelta(hours=1)

        return change

    @pytest.fixture
    def change_child(self) -> Callable[[Any], object]:
        # Past the order, so that it records nothing: only the child's own row changes.
        def change(order: Any) -> None:
            order.lines[0].quantity += 1

        return change

    def test_an_order_comes_back_as_it_was(self, obey: Any, repository_of: Any, make: Any) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        obey(lambda uow: repository_of(uow).get("a").note("CHAIR", "batch"))
        found: list[Any] = []
        obey(lambda uow: found.append(repository_of(uow).get("a")))
        [order] = found
        assert (order.deadline, order.is_reported) == (make("a").deadline, False)
        assert sorted((line.sku, line.quantity, line.batch) for line in order.lines) == [
            ("CHAIR", 2, "batch"),
            ("TABLE", 1, None),
        ]

    def test_a_look_says_what_an_order_wants(self, obey: Any, repository_of: Any, make: Any) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        obey(lambda uow: repository_of(uow).get("a").forget("TABLE"))
        found: list[bool] = []
        for name in (("a", "CHAIR"), ("a", "TABLE"), ("b", "CHAIR")):
            obey(lambda uow, name=name: found.append(repository_of(uow).want(*name)))
        assert found == [True, False, False]


class TestMemoryProducts(ProductsSuite):
    @pytest.fixture
    def new_uow(self) -> Callable[[], Any]:
        store = MemoryStore()
        return lambda: MemoryAllocationUnitOfWork(store)


class TestMemoryOrders(OrdersSuite):
    @pytest.fixture
    def new_uow(self) -> Callable[[], Any]:
        store = MemoryStore()
        return lambda: MemoryAllocationUnitOfWork(store)


def _assert(holds: bool) -> None:
    assert holds
