"""Allocation over HTTP."""

from __future__ import annotations

from atomos.core.api import Entrypoints, ask, emit
from atomos.core.domain import Created, Page

from ..domain.events import (
    BatchDetails,
    BatchQuantityReported,
    BatchReceived,
    LineAllocation,
    OrderDetails,
    OrderLineCancelled,
    OrderLineReceived,
    OrderPlaced,
)
from ..service.queries import (
    AllocatedLine,
    AllocationsOf,
    BatchesOf,
    BatchOf,
    OrderOf,
    ProductDetails,
    ProductOf,
)

blueprint = Entrypoints("allocation", __name__, url_prefix="/allocation")


@blueprint.post("/batches", location="show_batch")
def receive_batch(event: BatchReceived) -> Created[BatchDetails] | BatchDetails:
    """Take a batch into stock; `eta` is absent for what is in the warehouse."""
    return emit(event)


@blueprint.patch("/batches/<reference>")
def report_batch_quantity(event: BatchQuantityReported) -> BatchDetails:
    """Correct how much of a batch there is; lines that no longer fit get another, or wait."""
    return emit(event)


@blueprint.get("/batches")
def list_batches(query: BatchesOf) -> Page[BatchDetails]:
    """List batches by reference."""
    return ask(query)


@blueprint.get("/batches/<reference>")
def show_batch(query: BatchOf) -> BatchDetails:
    """Say how a batch stands; its version is that of its product."""
    return ask(query)


@blueprint.post("/orders", location="show_order")
def place_order(event: OrderPlaced) -> Created[OrderDetails] | OrderDetails:
    """Promise stock to all lines of an order, as it comes in; what is missing at the deadline is reported."""
    return emit(event)


@blueprint.get("/orders/<order_id>")
def show_order(query: OrderOf) -> OrderDetails:
    """Say how an order stands; a line without a batch waits for stock."""
    return ask(query)


@blueprint.post("/orders/<order_id>/lines", location="list_allocations")
def receive_order_line(event: OrderLineReceived) -> Created[LineAllocation] | LineAllocation:
    """Promise stock to one line of an order; `batch` is null when it is out of stock."""
    return emit(event)


@blueprint.delete("/orders/<order_id>/lines/<sku>")
def cancel_order_line(event: OrderLineCancelled) -> None:
    """Give back the stock of an order line, or its place among those who wait."""
    return emit(event)


@blueprint.get("/orders/<order_id>/allocations")
def list_allocations(query: AllocationsOf) -> tuple[AllocatedLine, ...]:
    """Say which batches will supply an order."""
    return ask(query)


@blueprint.get("/products/<sku>")
def show_product(query: ProductOf) -> ProductDetails:
    """Say how a product stands."""
    return ask(query)
