"""The reference service, and a way to count a batch by PUT, which must not be sent without a key."""

from __future__ import annotations

from dataclasses import replace

from atomos.allocation.container import CONTEXT
from atomos.allocation.domain.events import BatchDetails, BatchQuantityReported
from atomos.container import Application as ReferenceApplication
from atomos.core.api import Entrypoints, emit

APP = "tests.with_put:Application"
"""Its name, for ATOMOS_APP."""

blueprint = Entrypoints("counting", __name__, url_prefix="/counting")


@blueprint.put("/batches/<reference>", needs_key=True)
def put_batch_quantity(event: BatchQuantityReported) -> BatchDetails:
    """Say how much of a batch there is."""
    return emit(event)


class Application(ReferenceApplication):
    """The reference service with one more blueprint."""

    contexts = (replace(CONTEXT, blueprints=(*CONTEXT.blueprints, blueprint)),)
