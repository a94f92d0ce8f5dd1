"""What allocation is composed of."""

from __future__ import annotations

from dataclasses import dataclass

from dependency_injector import containers, providers

from atomos.core.adapters import ReadModel
from atomos.core.container import Context

from .adapters import storage, views
from .api.blueprint import blueprint
from .api.commands import commands
from .service import fulfilment, handlers
from .service.ports import Buyers


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The section `[allocation]`.

    `buyers` is whom to ask to restock, and to tell of orders that fell short: an address for the notifications.
    """

    buyers: str = "buyers@example.org"


class AllocationContainer(containers.DeclarativeContainer):
    """Offers allocation's handlers what they ask for by name."""

    config = providers.Configuration(strict=True)
    core = providers.DependenciesContainer()

    uow = providers.Factory(storage.SqlAllocationUnitOfWork, database=core.database, log=core.message_log)
    session = core.session
    read_model = providers.Factory(ReadModel, session=core.session, tables=views.VIEWS)
    notifications = core.notifications
    envelope = core.envelope
    buyers = providers.Factory(Buyers, address=config.buyers)


CONTEXT = Context(
    name="allocation",
    routes=(handlers.ROUTES, fulfilment.ROUTES, views.ROUTES),
    blueprints=(blueprint,),
    history=storage.HISTORY,
    settings=Settings,
    commands=commands,
)
