"""Probing: when all that a recipient does fails, one row at a time finds out whether it works again."""

from __future__ import annotations

import sys
from time import monotonic
from typing import NamedTuple

import structlog

from .delivery import Batch, Deliveries

_LOG = structlog.get_logger("atomos.worker")


class Doubt(NamedTuple):
    """When a recipient is in doubt: `rows` failures in a row, for at least `seconds`. A probe rests for `pause`."""

    rows: int = 10
    seconds: float = 1.0
    pause: float = 1.0


NO_DOUBT = Doubt(rows=sys.maxsize)
"""Nothing is ever in doubt."""


class Doubts:
    """Counts, by recipient, the failures since its last sign of life, as one worker sees them; keeps the register.

    Only failures count that would be tried again: one that is final is an answer, as good as a success.
    """

    def __init__(self, doubt: Doubt, deliveries: Deliveries) -> None:
        self._doubt = doubt
        self._deliveries = deliveries
        self._failed: dict[str, tuple[int, float]] = {}

    def alive(self, batch: Batch) -> None:
        """Note a sign of life. After a probe that went well, claims are as usual."""
        if batch.recipient in self._failed:
            self._failed.pop(batch.recipient, None)
        if batch.probing:
            self._probe(batch.recipient, None)

    def failed(self, batch: Batch) -> bool:
        """Note a failure; say whether it is the recipient that fails. Then claims take one row, after a pause."""
        count, since = self._failed.get(batch.recipient, (0, monotonic()))
        self._failed[batch.recipient] = count + 1, since
        is_long = monotonic() - since >= self._doubt.seconds
        in_doubt = batch.probing or (count + 1 >= self._doubt.rows and is_long)
        if in_doubt:
            self._probe(batch.recipient, self._doubt.pause)
        return in_doubt

    def is_in_doubt(self, recipient: str) -> bool:
        """Whether so many failed that no more than one is to be claimed, until it is clear what is wrong."""
        return self._failed.get(recipient, (0, 0.0))[0] >= self._doubt.rows

    def _probe(self, recipient: str, pause: float | None) -> None:
        try:
            self._deliveries.probe(recipient, pause)
        except Exception as error:  # noqa: BLE001 - the next row says it again
            _LOG.error("worker.failed", recipient=recipient, error=repr(error))
        else:
            _LOG.warning(
                "recipient.probing" if pause is not None else "recipient.works_again", recipient=recipient
            )
