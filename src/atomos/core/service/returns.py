"""Returns: what a worker claimed and did not begin, given back for others to claim at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import chain

import structlog

from .claiming import Claims
from .failures import said
from .handover import Handover
from .threads import Task

_LOG = structlog.get_logger("atomos.worker")


class Returns:
    """Frees rows that were not begun. What cannot be freed is not begun either, and is tried again with the next.

    It may be free already, its commit unheard: then it is somebody else's.
    """

    def __init__(self, handover: Handover, claims: Claims) -> None:
        self._handover = handover
        self._claims = claims
        self._kept: list[Task] = []
        self._giving = threading.Lock()

    def give(self, not_begun: Iterable[Task]) -> None:
        """Free these, and what could not be freed before; an error is logged."""
        with self._giving:
            kept, self._kept = self._kept, []
        for held, runs in [*kept, *not_begun]:
            rows = tuple(chain.from_iterable(runs))
            try:
                self._handover.free(held, rows)
                self._claims.ended(held, len(rows))
            except Exception as error:  # noqa: BLE001 - after a stop they stay until the lease runs out
                _LOG.error("worker.failed", recipient=held.batch.recipient, error=said(error))
                self._kept.append((held, runs))
