"""Allocation's handlers, each tested by calling it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from atomos.allocation.domain.errors import BatchDiffers, LineDiffers, NotAllocated, UnknownBatch, UnknownSku
from atomos.allocation.domain.events import (
    Allocated,
    BatchDetails,
    Deallocated,
    LineAllocation,
    LineReleased,
    WentOutOfStock,
)
from atomos.allocation.service import handlers
from atomos.allocation.service.ports import Buyers
from atomos.core.domain import Created
from atomos.core.service.envelope import Envelope
from atomos.testing import MemoryStore, RecordedNotifications, handling
from tests.factories import AllocateFactory, CancelLineFactory, ChangeBatchQuantityFactory, CreateBatchFactory

from .memory import MemoryAllocationUnitOfWork

NewUow = Callable[[], MemoryAllocationUnitOfWork]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def uow(store: MemoryStore) -> NewUow:
    return lambda: MemoryAllocationUnitOfWork(store)


def test_the_first_batch_of_a_sku_makes_its_product(uow: NewUow) -> None:
    answer = handlers.create_batch(CreateBatchFactory(reference="b1", eta=date(2026, 7, 1)), uow())
    details = BatchDetails(
        reference="b1", version=1, sku="CHAIR", eta=date(2026, 7, 1), quantity=10, available=10
    )
    assert answer == Created(value=details)
    with uow() as again:
        assert again.products.get("CHAIR").batches[0].reference == "b1"


def test_a_second_batch_joins_the_product(uow: NewUow) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    handlers.create_batch(CreateBatchFactory(reference="b2"), uow())
    with uow() as again:
        assert [batch.reference for batch in again.products.get("CHAIR").batches] == ["b1", "b2"]


def test_the_same_batch_again_is_told_from_a_new_one(uow: NewUow) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    assert isinstance(handlers.create_batch(CreateBatchFactory(reference="b1"), uow()), BatchDetails)


def test_a_reference_belongs_to_one_sku(uow: NewUow) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    with pytest.raises(BatchDiffers):
        handlers.create_batch(CreateBatchFactory(reference="b1", sku="TABLE"), uow())


def test_an_order_line_gets_a_batch(uow: NewUow, store: MemoryStore) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    answer = handlers.allocate(AllocateFactory(order_id="o1"), uow())
    assert answer == Created(value=LineAllocation(order_id="o1", sku="CHAIR", quantity=2, batch="b1"))
    assert store.events == [Allocated(order_id="o1", sku="CHAIR", quantity=2, batch="b1")]


def test_an_order_line_without_stock_is_answered_without_a_batch(uow: NewUow, store: MemoryStore) -> None:
    handlers.create_batch(CreateBatchFactory(quantity=1), uow())
    answer = handlers.allocate(AllocateFactory(order_id="o1"), uow())
    assert answer == LineAllocation(order_id="o1", sku="CHAIR", quantity=2, batch=None)
    assert store.events == [WentOutOfStock(sku="CHAIR", quantity=2)]


def test_an_unknown_sku_is_an_error(uow: NewUow) -> None:
    with pytest.raises(UnknownSku, match="No batch of CHAIR was ever received"):
        handlers.allocate(AllocateFactory(), uow())


def test_what_is_refused_changes_nothing(uow: NewUow, store: MemoryStore) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    handlers.allocate(AllocateFactory(order_id="o1"), uow())
    recorded = list(store.events)
    with pytest.raises(LineDiffers):
        handlers.allocate(AllocateFactory(order_id="o1", quantity=3), uow())
    assert store.events == recorded


def test_a_shrinking_batch_deallocates(uow: NewUow, store: MemoryStore) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    handlers.allocate(AllocateFactory(order_id="o1", quantity=6), uow())
    answer = handlers.change_batch_quantity(ChangeBatchQuantityFactory(reference="b1", quantity=5), uow())
    assert (answer.quantity, answer.available) == (5, 5)
    assert store.events[-2:] == [
        Deallocated(order_id="o1", sku="CHAIR", quantity=6, batch="b1"),
        WentOutOfStock(sku="CHAIR", quantity=6),
    ]


def test_an_unknown_batch_cannot_change(uow: NewUow) -> None:
    with pytest.raises(UnknownBatch):
        handlers.change_batch_quantity(ChangeBatchQuantityFactory(), uow())


def test_a_cancelled_line_is_released(uow: NewUow, store: MemoryStore) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    handlers.allocate(AllocateFactory(order_id="order-1"), uow())
    handlers.cancel_line(CancelLineFactory(), uow())
    assert store.events[-1] == LineReleased(order_id="order-1", sku="CHAIR", quantity=2, batch="b1")


def test_a_line_without_stock_cannot_be_cancelled(uow: NewUow) -> None:
    handlers.create_batch(CreateBatchFactory(), uow())
    with pytest.raises(NotAllocated):
        handlers.cancel_line(CancelLineFactory(), uow())


def test_the_buyers_are_asked_to_restock() -> None:
    notifications = RecordedNotifications()
    with handling() as probe:
        envelope: Envelope = probe.envelope
        event = WentOutOfStock(sku="CHAIR", quantity=2)
        handlers.warn_buyers(event, notifications, Buyers("buyers@example.org"), envelope)
    [sent] = notifications.sent
    assert (sent.to, sent.subject) == ("buyers@example.org", "Out of stock: CHAIR")
    assert sent.effect_id is not None


def test_an_answer_has_the_version_that_its_commit_gives(uow: NewUow) -> None:
    handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    same = handlers.create_batch(CreateBatchFactory(reference="b1"), uow())
    changed = handlers.change_batch_quantity(ChangeBatchQuantityFactory(reference="b1", quantity=9), uow())
    with uow() as again:
        kept = again.products.get("CHAIR").version
    assert isinstance(same, BatchDetails)
    assert (same.version, changed.version, kept) == (1, 2, 2)
