"""Handlers, units of work, repositories and routes: what goes in and what comes out has to agree."""

from __future__ import annotations

from typing import reveal_type

from atomos.allocation.domain.commands import Allocate, CancelLine
from atomos.allocation.domain.events import Allocated, LineAllocation, OrderLineReceived
from atomos.allocation.domain.model import Batch, Product
from atomos.allocation.service.handlers import allocate, warn_buyers
from atomos.allocation.service.ports import AllocationUnitOfWork, Products
from atomos.allocation.service.queries import ProductOf
from atomos.core.domain import Created
from atomos.core.service import MessageBus, Repository, Routes, by, named, parks

ANSWER = LineAllocation(order_id="o-1", sku="red", quantity=1, batch=None)


def a_unit_of_work_gives_what_it_commits(uow: AllocationUnitOfWork, is_new: bool) -> None:
    with uow as entered:
        reveal_type(entered)  # R: AllocationUnitOfWork
        reveal_type(uow.commit(ANSWER))  # R: LineAllocation
        reveal_type(uow.commit(Created(value=ANSWER)))  # R: Created[LineAllocation]
        answer = Created(value=ANSWER) if is_new else ANSWER
        reveal_type(uow.commit(answer))  # R: Created[LineAllocation] | LineAllocation
        nothing: str = uow.commit()  # E: assignment reportAssignmentType
        print(nothing)


def a_repository_gives_its_aggregates(uow: AllocationUnitOfWork) -> None:
    reveal_type(uow.products)  # R: Products
    reveal_type(uow.products.get("red"))  # R: Product
    reveal_type(uow.products.find("red"))  # R: Product | None
    print(uow.products.find("red").version)  # E: union-attr reportOptionalMemberAccess
    uow.products.add(Product("red"))
    uow.products.add(Batch("b-1", "red", 5))  # E: arg-type reportArgumentType
    uow.products.get(5)  # E: arg-type reportArgumentType


class Batches(Repository[Batch]):  # E: type-var reportInvalidTypeArguments
    """Batches are no aggregates."""


class Lazy(Products):
    """Lacks what a repository has to do."""


def a_port_is_not_made(uow: AllocationUnitOfWork) -> None:
    Lazy()  # E: abstract reportAbstractUsage


def a_handler_gives_its_answer(
    command: Allocate, uow: AllocationUnitOfWork
) -> Created[LineAllocation] | LineAllocation:
    with uow:
        return uow.commit("allocated")  # E: return-value reportReturnType


def a_handler_that_answers_nothing(command: CancelLine, uow: AllocationUnitOfWork) -> None:
    with uow:
        return uow.commit()


def a_handler_that_forgets_its_answer(command: Allocate, uow: AllocationUnitOfWork) -> LineAllocation:
    with uow:
        return uow.commit()  # E: return-value reportReturnType


def an_aggregate_records_events(product: Product) -> None:
    product.record(Allocated(order_id="o-1", sku="red", quantity=1, batch="b-1"))
    product.record(Allocate(order_id="o-1", sku="red", quantity=1))  # E: arg-type reportArgumentType


def tables_map_messages_of_their_kind() -> None:
    Routes(commands={Allocate: allocate}, triggers={OrderLineReceived: [Allocate, named("again", Allocate)]})
    Routes(reactions={Allocated: [parks(by("order_id", warn_buyers))]})
    Routes(commands={OrderLineReceived: allocate})  # E: dict-item reportArgumentType
    Routes(queries={Allocate: allocate})  # E: dict-item reportArgumentType
    Routes(triggers={ProductOf: [Allocate]})  # E: dict-item reportArgumentType
    Routes(records={Allocate: [CancelLine]})  # E: list-item reportArgumentType
    Routes(requires={Allocated: 5})  # E: dict-item reportArgumentType
    Routes(comands={Allocate: allocate})  # E: call-arg reportCallIssue


def a_bus_is_wired_by_name(bus: MessageBus) -> None:
    MessageBus()  # E: call-arg reportCallIssue
