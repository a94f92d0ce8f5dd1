"""The application of `handled.py`: what a topic brings triggers a command that changes the database."""

from __future__ import annotations

from dependency_injector import containers, providers
from handled_change import change

from atomos.core.adapters import SqlUnitOfWork
from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Command, Event, Message
from atomos.core.service import Routes, join

TOPIC = "bench.handled"


class Fields(Message):
    """An order."""

    number: int
    sku: str
    quantity: int


class Ordered(Fields, Event, name="bench.ordered"):
    """Somebody ordered something."""


class TakeOrder(Fields, Command, name="bench.take-order"):
    """Note an order."""


class BenchUnitOfWork(SqlUnitOfWork):
    """An atomic change."""


def take_order(command: TakeOrder, uow: BenchUnitOfWork) -> None:
    """Note an order."""
    with uow:
        said = {"number": command.number, "sku": command.sku, "quantity": command.quantity}
        uow.session.execute(change(said))
        return uow.commit()


ROUTES = Routes(
    subscribes={TOPIC: Ordered}, triggers={Ordered: [TakeOrder]}, commands={TakeOrder: take_order}
)
BENCH = Context(name="bench", routes=(ROUTES,))


class BenchContainer(containers.DeclarativeContainer):
    """It offers the unit of work."""

    core = providers.DependenciesContainer()
    uow = providers.Factory(BenchUnitOfWork, database=core.database, log=core.message_log)


class Application(containers.DeclarativeContainer):
    """The core, and what handles."""

    contexts = (BENCH,)

    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(bench=[ROUTES]))
    bench = providers.Container(BenchContainer, core=core)
