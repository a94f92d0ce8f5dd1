"""Order fulfilment: a conversation with state over time, made of an aggregate, triggers and a timer.

An order that is placed asks each product for its line. The product promises stock, or keeps the line waiting and
promises later; either way it tells the order. The order counts, and a timer comes back to it at its deadline.
"""

from __future__ import annotations

from atomos.core.domain import Created
from atomos.core.service import Envelope, Notifications, Routes, by

from ..domain.commands import NoteLine, PlaceOrder, PromiseLine, ReportShort
from ..domain.events import (
    Allocated,
    DeadlinePassed,
    Deallocated,
    LineWanted,
    OrderDetails,
    OrderedLine,
    OrderFellShort,
    OrderFulfilled,
    OrderLineChanged,
    OrderPlaced,
    WentOutOfStock,
)
from ..domain.model import OrderLine
from ..domain.order import Order
from .ports import AllocationUnitOfWork, Buyers

DEADLINE = "deadline"
"""The timer of an order; its key is the order's name."""


def place_order(command: PlaceOrder, uow: AllocationUnitOfWork) -> Created[OrderDetails] | OrderDetails:
    """Take an order in, ask for stock for each of its lines, and wind its timer; the same one again changes nothing."""
    with uow:
        order = uow.orders.find(command.order_id)
        if order is not None:
            order.compare(command.deadline, command.lines)
            return uow.commit(_details(uow, order))
        uow.orders.add(order := Order(command.order_id, command.deadline, command.lines))
        uow.send_later(DeadlinePassed(order_id=order.order_id), at=order.deadline, name=DEADLINE)
        return uow.commit(Created(value=_details(uow, order)))


def promise_line(command: PromiseLine, uow: AllocationUnitOfWork) -> None:
    """Promise stock to a line of an order, or let it wait with its product: nobody knows the SKU yet, or it ran out."""
    with uow:
        product = uow.products.take(command.sku)
        if uow.orders.want(command.order_id, command.sku):
            product.promise(OrderLine(order_id=command.order_id, sku=command.sku, quantity=command.quantity))
        return uow.commit()


def note_line(command: NoteLine, uow: AllocationUnitOfWork) -> None:
    """Note how a line stands. The timer runs while one is open; wound again after its time, it is due at once."""
    with uow:
        order = uow.orders.get(command.order_id)
        was_settled = order.is_settled
        if command.is_wanted:
            order.note(command.sku, command.batch)
        else:
            order.forget(command.sku)
        if order.is_settled:
            uow.cancel(DEADLINE)
        elif was_settled:
            uow.send_later(DeadlinePassed(order_id=order.order_id), at=order.deadline, name=DEADLINE)
        return uow.commit()


def report_short(command: ReportShort, uow: AllocationUnitOfWork) -> None:
    """Say at the deadline which lines have no stock; a timer that came too late to be taken back finds none."""
    with uow:
        uow.orders.get(command.order_id).report()
        return uow.commit()


def tell_buyers(
    event: OrderFellShort, notifications: Notifications, buyers: Buyers, envelope: Envelope
) -> None:
    """Tell the buyers what an order lacks."""
    lines = "\n".join(f"- {line.quantity} of {line.sku}" for line in event.lines)
    notifications.send(
        to=buyers.address,
        subject=f"Order {event.order_id} is short",
        text=f"At its deadline, order {event.order_id} lacks:\n{lines}\nThese lines go on waiting for stock.",
        effect_id=envelope.effect_id(),
    )


def _details(uow: AllocationUnitOfWork, order: Order) -> OrderDetails:
    lines = sorted(order.lines, key=lambda line: line.sku)
    return OrderDetails(
        order_id=order.order_id,
        version=uow.version_of(order),
        state=order.state,
        deadline=order.deadline,
        lines=tuple(OrderedLine(sku=line.sku, quantity=line.quantity, batch=line.batch) for line in lines),
    )


ROUTES = Routes(
    triggers={
        OrderPlaced: [PlaceOrder],
        LineWanted: [by("sku", PromiseLine)],  # the first order to come is the first served
        OrderLineChanged: [by("order_id", NoteLine)],
        DeadlinePassed: [ReportShort],
    },
    commands={
        PlaceOrder: place_order,
        PromiseLine: promise_line,
        NoteLine: note_line,
        ReportShort: report_short,
    },
    records={
        PlaceOrder: [LineWanted, DeadlinePassed],
        PromiseLine: [Deallocated, Allocated, WentOutOfStock, OrderLineChanged],
        NoteLine: [OrderFulfilled, DeadlinePassed],
        ReportShort: [OrderFellShort],
    },
    reactions={OrderFellShort: [tell_buyers]},
    requires={OrderPlaced: "orders:write"},
    ignored={OrderFulfilled: "who ships hears it, in a context of its own"},
)
