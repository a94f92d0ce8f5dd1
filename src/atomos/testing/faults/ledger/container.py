"""What the ledger is composed of, and the application that has nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from dependency_injector import containers, providers

from atomos.core.adapters import ReadModel
from atomos.core.api import Entrypoints, emit
from atomos.core.container import Context, CoreContainer
from atomos.core.service import join

from . import handlers, storage
from .deeds import Book, Deeds
from .messages import Deposited

blueprint = Entrypoints("ledger", __name__, url_prefix="/ledger")


@blueprint.post("/deposits")
def deposit(event: Deposited) -> None:
    """Bring something."""
    return emit(event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The section `[ledger]`. `book` is the file of effects outside the database."""

    book: str = "var/ledger-book"


class LedgerContainer(containers.DeclarativeContainer):
    """Offers the ledger's handlers what they ask for by name."""

    config = providers.Configuration(strict=True)
    core = providers.DependenciesContainer()

    uow = providers.Factory(storage.LedgerUnitOfWork, database=core.database, log=core.message_log)
    read_model = providers.Factory(ReadModel, session=core.session, tables=(storage.BALANCES,))
    envelope = core.envelope
    book = providers.Factory(Book, path=config.book)
    deeds = providers.Factory(Deeds, book=book)


CONTEXT = Context(
    name="ledger",
    routes=(handlers.ROUTES,),
    blueprints=(blueprint,),
    history=storage.HISTORY,
    settings=Settings,
)


class Application(containers.DeclarativeContainer):
    """The ledger, alone."""

    contexts = (CONTEXT,)

    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(ledger=CONTEXT.routes))
    ledger = providers.Container(LedgerContainer, config=config.ledger, core=core)
