"""Watching: handlers that run past their time limit are named as stuck, and their deliveries fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple

import structlog

from .errors import TooLong
from .handover import Handover
from .in_hand import Tray

_LOG = structlog.get_logger("atomos.worker")


class Stuck(NamedTuple):
    """A handler that runs past its limit: whose, of which message, and for how many seconds until now."""

    recipient: str
    message: str
    seconds: float


class Watch:
    """Looks at what is being worked on. `limit_of` gives a recipient's limit in seconds, zero for none.

    A delivery whose handler is stuck fails, so that neither its row nor its key waits for that handler, and what it
    does to our database later does not count. Its thread cannot be freed.
    """

    def __init__(self, handover: Handover, limit_of: Callable[[str], float]) -> None:
        self._handover = handover
        self._limit_of = limit_of
        self._given_up: set[tuple[int, int]] = set()

    def look(self, trays: Iterable[Tray]) -> list[Stuck]:
        """Name who is stuck, and let a delivery fail that was not stuck before."""
        found, now = {}, monotonic()
        for tray in trays:
            row, seconds = tray.row, now - tray.begun
            if row is None or not 0 < self._limit_of(row.fence.recipient) < seconds:
                continue
            found[row.fence.lease, row.fence.seq] = Stuck(row.fence.recipient, row.envelope.id, seconds)
            if (row.fence.lease, row.fence.seq) not in self._given_up:
                self._give_up(tray, found[row.fence.lease, row.fence.seq])
        self._given_up &= found.keys()
        return list(found.values())

    def _give_up(self, tray: Tray, stuck: Stuck) -> None:
        row = tray.row
        if row is None or row.envelope.id != stuck.message:
            return  # it came to its end just now
        limit = self._limit_of(stuck.recipient)
        error = TooLong(f"{stuck.recipient} has been at it for longer than its limit of {limit:g} s.")
        held = tray.held.is_lost or self._handover.give_up(tray, row, error)
        self._given_up.add((row.fence.lease, row.fence.seq))
        _LOG.error("delivery.stuck", recipient=stuck.recipient, message=stuck.message, limit=limit, held=held)
