"""What allocation answers when asked, one statement each, and the read model that it keeps for that."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, Row, Select, String, Table, delete, func, insert, select
from sqlalchemy.orm import Session

from atomos.core.adapters import ReadModel
from atomos.core.domain import Page
from atomos.core.service import Routes

from ..domain.errors import NotAllocated, UnknownBatch, UnknownOrder, UnknownSku
from ..domain.events import Allocated, BatchDetails, Deallocated, LineReleased, OrderDetails, OrderedLine
from ..domain.order import state_of
from ..service.queries import (
    AllocatedLine,
    AllocationsOf,
    BatchesOf,
    BatchOf,
    OrderOf,
    ProductDetails,
    ProductOf,
)
from .storage import BATCHES, LINES, METADATA, ORDERS, PRODUCTS, WANTED

ALLOCATIONS = Table(
    "allocation_view",
    METADATA,
    Column("order_id", String(100), primary_key=True),
    Column("sku", String(100), primary_key=True),
    Column("quantity", Integer, nullable=False),
    Column("batch", String(100), nullable=False),
)

_SHOW = insert(ALLOCATIONS)

VIEWS = (ALLOCATIONS,)
"""The tables that projections may write."""


def allocations_of(query: AllocationsOf, session: Session) -> tuple[AllocatedLine, ...]:
    """Say which batches will supply an order. Raises `NotAllocated` when none will."""
    view = ALLOCATIONS.c
    statement = (
        select(view.sku, view.quantity, view.batch).where(view.order_id == query.order_id).order_by(view.sku)
    )
    lines = tuple(AllocatedLine(**row._mapping) for row in session.execute(statement))
    if not lines:
        raise NotAllocated(query.order_id)
    return lines


def batches_of(query: BatchesOf, session: Session) -> Page[BatchDetails]:
    """List batches by reference, a page at a time."""
    statement = _batches().order_by(BATCHES.c.reference).limit(query.limit + 1)
    if query.sku is not None:
        statement = statement.where(BATCHES.c.sku == query.sku)
    if query.cursor is not None:
        statement = statement.where(BATCHES.c.reference > query.cursor)
    found = [_details(row) for row in session.execute(statement)]
    page = tuple(found[: query.limit])
    return Page(items=page, cursor=page[-1].reference if len(found) > query.limit else None)


def batch_of(query: BatchOf, session: Session) -> BatchDetails:
    """Say how a batch stands. Raises `UnknownBatch`."""
    found = session.execute(_batches().where(BATCHES.c.reference == query.reference)).first()
    if found is None:
        raise UnknownBatch(query.reference)
    return _details(found)


def product_of(query: ProductOf, session: Session) -> ProductDetails:
    """Say how a product stands. Raises `UnknownSku`."""
    in_order_of_choice = _batches().order_by(BATCHES.c.eta.nulls_first(), BATCHES.c.reference)
    batches = tuple(map(_details, session.execute(in_order_of_choice.where(BATCHES.c.sku == query.sku))))
    if not batches:
        raise UnknownSku(query.sku)
    available = sum(batch.available for batch in batches)
    allocated = sum(batch.quantity for batch in batches) - available
    version = batches[0].version
    return ProductDetails(
        sku=query.sku, version=version, available=available, allocated=allocated, batches=batches
    )


def order_of(query: OrderOf, session: Session) -> OrderDetails:
    """Say how an order stands. Raises `UnknownOrder`."""
    order, line = ORDERS.c, WANTED.c
    statement = (
        select(order.version, order.deadline, order.is_reported, line.sku, line.quantity, line.batch)
        .join_from(ORDERS, WANTED, isouter=True)
        .where(order.order_id == query.order_id)
        .order_by(line.sku)
    )
    if not (rows := session.execute(statement).all()):
        raise UnknownOrder(query.order_id)
    # An order whose lines are all cancelled is one row without a line.
    lines = tuple(
        OrderedLine(sku=row.sku, quantity=row.quantity, batch=row.batch)
        for row in rows
        if row.sku is not None
    )
    state = state_of([each.batch for each in lines], is_reported=rows[0].is_reported)
    first = rows[0]
    return OrderDetails(
        order_id=query.order_id, version=first.version, state=state, deadline=first.deadline, lines=lines
    )


def show_allocation(event: Allocated, read_model: ReadModel) -> None:
    """Show a line with its batch."""
    row = {"order_id": event.order_id, "sku": event.sku, "quantity": event.quantity, "batch": event.batch}
    read_model.execute(_SHOW, row)


def hide_allocation(event: Deallocated | LineReleased, read_model: ReadModel) -> None:
    """Show a line no more."""
    line = (ALLOCATIONS.c.order_id == event.order_id) & (ALLOCATIONS.c.sku == event.sku)
    read_model.execute(delete(ALLOCATIONS).where(line))


def _batches() -> Select[*tuple[Any, ...]]:
    promised = select(func.coalesce(func.sum(LINES.c.quantity), 0)).where(
        LINES.c.batch == BATCHES.c.reference
    )
    available = (BATCHES.c.quantity - promised.scalar_subquery()).label("available")
    batch = BATCHES.c
    return select(
        batch.reference, PRODUCTS.c.version, batch.sku, batch.eta, batch.quantity, available
    ).join_from(BATCHES, PRODUCTS)


def _details(row: Row[*tuple[Any, ...]]) -> BatchDetails:
    return BatchDetails(**row._mapping)


ROUTES = Routes(
    queries={
        AllocationsOf: allocations_of,
        BatchesOf: batches_of,
        BatchOf: batch_of,
        OrderOf: order_of,
        ProductOf: product_of,
    },
    projections={
        Allocated: [show_allocation],
        Deallocated: [hide_allocation],
        LineReleased: [hide_allocation],
    },
    requires={
        AllocationsOf: "orders:read",
        BatchesOf: "stock:read",
        BatchOf: "stock:read",
        OrderOf: "orders:read",
        ProductOf: "stock:read",
    },
)
