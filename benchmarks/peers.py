"""The contestants of `in_process.py`, each used as its own documentation says.

Each function wires one of them and gives what sends its command; each has its own message class and its own
way to inject one collaborator that is made for every command and one of which there is a single one. Those
that take any class as a message, mediatr and the bus by hand, are given Atomos' command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cqrs
import di
import lato
import mediatr
import messagebus
from commands import Do, Thing, Unstored, do
from cqrs.bootstrap import requests as cqrs_requests
from cqrs.container.dependency_injector import DependencyInjectorCQRSContainer
from dependency_injector import containers, providers

THING = Thing()


# --- lato: dependencies of the application by keyword; those of a transaction are set when it is entered


class LatoDo(lato.Command):
    n: int


def with_lato() -> Callable[[LatoDo], int]:
    app = lato.Application("bench", thing=THING)

    @app.on_enter_transaction_context
    def enter(ctx: lato.TransactionContext) -> None:
        ctx.set_dependencies(uow=Unstored())

    @app.handler(LatoDo)
    def handle(command: LatoDo, uow: Unstored, thing: Thing) -> int:
        return do(command, uow, thing)  # type: ignore[arg-type]

    return app.execute


# --- python-cqrs: handler classes, resolved by dependency-injector or by `di`; asynchronous only


class CqrsDo(cqrs.Request[Any]):
    n: int


class CqrsAnswer(cqrs.Response):
    n: int


class CqrsHandler(cqrs.RequestHandler[CqrsDo, Any]):
    def __init__(self, uow: Unstored, thing: Thing) -> None:
        self._uow = uow
        self._thing = thing

    async def handle(self, request: CqrsDo) -> CqrsAnswer:
        return CqrsAnswer(n=do(request, self._uow, self._thing))  # type: ignore[arg-type]


class CqrsContainer(containers.DeclarativeContainer):
    uow = providers.Factory(Unstored)
    thing = providers.ThreadSafeSingleton(Thing)
    handler = providers.Factory(CqrsHandler, uow=uow, thing=thing)


def with_cqrs() -> cqrs.RequestMediator:
    container = DependencyInjectorCQRSContainer()
    container.attach_external_container(CqrsContainer())
    return cqrs_requests.bootstrap(di_container=container, commands_mapper=_map)


def with_cqrs_and_di() -> cqrs.RequestMediator:
    container = di.Container()
    container.bind(di.bind_by_type(di.dependent.Dependent(lambda: THING, scope="request"), Thing))
    return cqrs_requests.bootstrap(di_container=container, commands_mapper=_map)


def _map(mapper: cqrs.RequestMap) -> None:
    mapper.bind(CqrsDo, CqrsHandler)


# --- messagebus: the bus makes dependencies for every command; the caller opens and commits the transaction


class BusDo(messagebus.Command):
    n: int
    metadata: messagebus.Metadata = messagebus.Metadata(name="do", schema_version=1)


class BusThing(messagebus.SyncDependency):
    def on_after_commit(self) -> None: ...
    def on_after_rollback(self) -> None: ...


class BusUnitOfWork(messagebus.SyncAbstractUnitOfWork[Any, Any, Any]):
    def commit(self) -> None: ...
    def rollback(self) -> None: ...


def with_messagebus() -> Callable[[BusDo], int]:
    thing = BusThing()
    bus: messagebus.SyncMessageBus[BusUnitOfWork] = messagebus.SyncMessageBus(thing=lambda: thing)

    def handle(command: BusDo, uow: BusUnitOfWork, thing: BusThing) -> int:
        return command.n

    bus.add_listener(BusDo, handle)

    def send(command: BusDo) -> Any:
        with BusUnitOfWork() as transaction:
            answer = bus.handle(command, transaction)
            transaction.commit()
        return answer

    return send


# --- mediatr: handler classes, made by a function that the mediator is given


class MediatrHandler:
    def __init__(self, uow: Unstored, thing: Thing) -> None:
        self._uow = uow
        self._thing = thing

    def handle(self, request: Do) -> int:
        return do(request, self._uow, self._thing)


class MediatrContainer(containers.DeclarativeContainer):
    uow = providers.Factory(Unstored)
    thing = providers.ThreadSafeSingleton(Thing)
    handler = providers.Factory(MediatrHandler, uow=uow, thing=thing)


def with_mediatr() -> Callable[[Do], int]:
    container = MediatrContainer()
    made_by = {MediatrHandler: container.handler}
    mediatr.Mediator.register_handler(MediatrHandler)
    mediator = mediatr.Mediator(handler_class_manager=lambda handler, is_behavior=False: made_by[handler]())
    return mediator.send


# --- by hand: the bus of "Architecture Patterns with Python", but with a unit of work for every command


class Collecting(Unstored):
    """A unit of work that gives the events of what it has seen, as the book's does."""

    def collect_new_events(self) -> Iterator[object]:
        for aggregate in self._tracked:
            yield from aggregate.take_recorded()


class HandBus:
    """Handlers by message, collaborators injected by lambdas; a queue for the events that are raised."""

    def __init__(self, handlers: dict[type, Callable[[Any, Collecting], Any]]) -> None:
        self._handlers = handlers

    def handle(self, message: object) -> Any:
        results, queue = [], [message]
        while queue:
            message = queue.pop(0)
            uow = Collecting()
            results.append(self._handlers[type(message)](message, uow))
            queue.extend(uow.collect_new_events())
        return results[0]


def by_hand() -> Callable[[Do], int]:
    return HandBus({Do: lambda message, uow: do(message, uow, THING)}).handle
