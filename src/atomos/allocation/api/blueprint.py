"""Allocation over HTTP."""

from __future__ import annotations

from atomos.core.api import Entrypoints, ask, emit
from atomos.core.domain import Created, Page

from ..domain.events import (
    BatchDetails,
    BatchQuantityReported,
    BatchReceived,
    LineAllocation,
    OrderLineCancelled,
    OrderLineReceived,
)
from ..service.queries import AllocatedLine, AllocationsOf, BatchesOf, ProductDetails, ProductOf

blueprint = Entrypoints("allocation", __name__, url_prefix="/allocation")


@blueprint.post("/batches")
def receive_batch(event: BatchReceived) -> Created[BatchDetails] | BatchDetails:
    """Take a batch into stock; `eta` is absent for what is in the warehouse."""
    return emit(event)


@blueprint.patch("/batches/<reference>")
def report_batch_quantity(event: BatchQuantityReported) -> BatchDetails:
    """Correct how much of a batch there is; lines that no longer fit look for another."""
    return emit(event)


@blueprint.get("/batches")
def list_batches(query: BatchesOf) -> Page[BatchDetails]:
    """List batches by reference."""
    return ask(query)


@blueprint.post("/orders/<order_id>/lines", location="list_allocations")
def receive_order_line(event: OrderLineReceived) -> Created[LineAllocation] | LineAllocation:
    """Promise stock to one line of an order; `batch` is null when it is out of stock."""
    return emit(event)


@blueprint.delete("/orders/<order_id>/lines/<sku>")
def cancel_order_line(event: OrderLineCancelled) -> None:
    """Give back the stock of an order line."""
    return emit(event)


@blueprint.get("/orders/<order_id>/allocations")
def list_allocations(query: AllocationsOf) -> tuple[AllocatedLine, ...]:
    """Say which batches will supply an order."""
    return ask(query)


@blueprint.get("/products/<sku>")
def show_product(query: ProductOf) -> ProductDetails:
    """Say how a product stands."""
    return ask(query)
