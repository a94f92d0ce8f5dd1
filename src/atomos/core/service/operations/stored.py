"""What the log's tables hold, as plain data: what operators are shown, and what `why` judges by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..delivery import Status

OVER = frozenset({Status.DEAD.value, Status.DONE.value, Status.DISCARDED.value})
"""The states in which a delivery waits for nothing any more."""

RETRIABLE = (Status.DEAD.value, Status.PARKED.value)
"""What an operator may take back to ready."""

DISCARDABLE = (*RETRIABLE, Status.RETRYING.value, Status.SCHEDULED.value, Status.READY.value)
"""What an operator may discard, as long as no lease has it."""


class StoredMessage(NamedTuple):
    """A message as it is stored. `payload` and `answer` are documents; `answer` is None where none is stored.

    `deliveries` is how many were asked for.
    """

    id: str
    kind: str
    name: str
    version: int
    ordering_key: str | None
    correlation_id: str
    causation_id: str | None
    principal: str
    recorded_at: datetime
    deliveries: int
    payload: Mapping[str, Any]
    answer: Mapping[str, Any] | None


class StoredDelivery(NamedTuple):
    """A delivery as it is stored; `errors` are the last few, the newest first, each with `at` and `error`.

    `losses` is how many leases with it were lost.
    """

    seq: int
    message_id: str
    recipient: str
    ordering_key: str | None
    status: str
    attempts: int
    losses: int
    until: datetime | None
    completed_at: datetime | None
    errors: Sequence[Mapping[str, str]]

    @property
    def last_error(self) -> str | None:
        """The newest error; None where nothing went wrong."""
        return self.errors[0]["error"] if self.errors else None


class Registered(NamedTuple):
    """A recipient's row in the register. `at_once` is None where there is no limit for the installation."""

    name: str
    paused_at: datetime | None = None
    paused_by: str | None = None
    paused_why: str | None = None
    probing: bool = False
    probe_at: datetime | None = None
    at_once: int | None = None


class Lease(NamedTuple):
    """A claimed batch: who holds it and until when, and the places and keys of its rows."""

    id: int
    worker: str
    until: datetime
    seqs: frozenset[int]
    keys: frozenset[str]


class StoredWorker(NamedTuple):
    """A worker in the register. `reads` are texts such as `allocation.allocated 1`, a name and a version.

    `alive` says whether it was seen within the time of a lease; `rows` is how many deliveries it holds.
    """

    id: str
    host: str
    pid: int
    version: str
    started: datetime
    seen: datetime
    recipients: frozenset[str]
    reads: frozenset[str]
    stuck: tuple[str, ...]
    alive: bool
    rows: int = 0


class Load(NamedTuple):
    """A recipient, how many deliveries it has in each state that is not over or is dead, and who works for it.

    `oldest` is when the oldest was recorded that is ready, retrying or parked. None: nothing waits.
    """

    registered: Registered
    counts: Mapping[str, int]
    oldest: datetime | None
    workers: int


def stamp(at: datetime) -> str:
    """Write a time in UTC, to the second: `2026-11-22T12:30:05Z`."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
