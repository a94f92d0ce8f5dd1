"""The composition root: the core, and every bounded context. A new context is a line in each half."""

from __future__ import annotations

from dependency_injector import containers, providers

from atomos.allocation.container import CONTEXT as ALLOCATION
from atomos.allocation.container import AllocationContainer
from atomos.core.container import CoreContainer
from atomos.core.service import join

CONTEXTS = (ALLOCATION,)


class Application(containers.DeclarativeContainer):
    """The reference service. `config` is filled from the validated settings before anything is made."""

    contexts = CONTEXTS

    config = providers.Configuration(strict=True)
    core = providers.Container(
        CoreContainer, config=config, routes=join(**{context.name: context.routes for context in CONTEXTS})
    )
    allocation = providers.Container(AllocationContainer, config=config.allocation, core=core)
