"""The application of `relay.py`: one event, which is published."""

from __future__ import annotations

from dependency_injector import containers, providers

from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Event
from atomos.core.service import Routes, join

TOPIC = "bench.placed"


class Placed(Event, name="bench.placed"):
    """An order was placed."""

    order: str
    sku: str
    quantity: int
    customer: str


ROUTES = Routes(publishes={Placed: TOPIC})
BENCH = Context(name="bench", routes=(ROUTES,))


class BenchContainer(containers.DeclarativeContainer):
    """It offers nothing: nothing is handled."""

    core = providers.DependenciesContainer()


class Application(containers.DeclarativeContainer):
    """The core, and what publishes."""

    contexts = (BENCH,)

    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(bench=[ROUTES]))
    bench = providers.Container(BenchContainer, core=core)
