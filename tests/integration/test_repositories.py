"""Products and orders in a database pass the suite, and are really guarded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.orm import Session

from atomos.allocation.adapters.storage import SqlAllocationUnitOfWork
from atomos.allocation.domain.model import Product
from atomos.core.service import Conflict, NotOpen
from atomos.testing import handling
from tests.factories import OrderLineFactory, ProductFactory
from tests.unit.allocation.test_repositories import OrdersSuite, ProductsSuite

IN_STOCK = 10
WANTED = 8


class TestSqlProducts(ProductsSuite):
    @pytest.fixture
    def new_uow(self, atomos: Any) -> Callable[[], Any]:
        return atomos.container.allocation.uow  # type: ignore[no-any-return]

    def test_outside_a_handling_nothing_can_be_changed(self, new_uow: Any) -> None:
        with pytest.raises(NotOpen, match="outside the handling of a command"):
            new_uow().__enter__()

    def test_before_it_is_entered_it_says_so(self, new_uow: Any) -> None:
        with handling(), pytest.raises(NotOpen, match="was used before `with uow:`"):
            new_uow().products.get("CHAIR")


class TestSqlOrders(OrdersSuite):
    @pytest.fixture
    def new_uow(self, atomos: Any) -> Callable[[], Any]:
        return atomos.container.allocation.uow  # type: ignore[no-any-return]


class _WithoutLock(SqlAllocationUnitOfWork):
    """Reads as if it had no row locks, so that only the version guards."""

    def find(self, sku: str) -> Product | None:
        found = self.session.get(Product, sku)
        if found is not None:
            self.track(found)
        return found


class _WithoutRule(_WithoutLock):
    """As SQLAlchemy's version column alone would have it."""

    def _raise_versions(self) -> None:
        for each in self._tracked:
            if self._is_new(each):
                each.version = 1


def _promise_at_once(atomos: Any, kind: type[Any]) -> int:
    """Let two sessions promise from one batch, each having read before the other wrote; say how much was promised."""
    core = atomos.container.core

    def new_uow() -> Any:
        return kind(core.database(), core.message_log())

    with handling(), new_uow() as uow:
        uow.products.add(ProductFactory(stock={"b": (IN_STOCK, None)}))
        uow.commit()
    both_have_read = threading.Barrier(2)

    def promise(order_id: str) -> None:
        with handling(), new_uow() as uow:
            product = uow.find("CHAIR")
            both_have_read.wait(5)
            product.allocate(OrderLineFactory(order_id=order_id, quantity=WANTED))
            product.take_recorded()  # the event alone would raise the version: here only the child is new
            uow.commit()

    with ThreadPoolExecutor(2) as pool:
        promises = [pool.submit(promise, order_id) for order_id in ("first", "second")]
    ends = [each.exception() for each in promises]
    assert all(end is None or isinstance(end, Conflict) for end in ends), ends
    with Session(core.database().reader) as session:
        return sum(line.quantity for line in session.get_one(Product, "CHAIR").lines)


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.services)], indirect=True
)
def test_two_sessions_that_change_only_a_child_cannot_both_commit(atomos: Any) -> None:
    assert _promise_at_once(atomos, _WithoutLock) == WANTED


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.services)], indirect=True
)
def test_without_the_rule_sixteen_pieces_are_promised_of_ten(atomos: Any) -> None:
    assert _promise_at_once(atomos, _WithoutRule) == 2 * WANTED
