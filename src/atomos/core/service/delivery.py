"""Deliveries: what the log keeps of a message, who still has to hear of it, and how a worker gets hold of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from ..domain.errors import AtomosError
from ..domain.messages import Message
from .envelope import Envelope


class Status(StrEnum):
    """The states of a delivery. Being worked on is not a state but a lease.

    scheduled -> ready <-> retrying -> done | dead | parked; an operator takes dead and parked ones
    back to ready, or to discarded.
    """

    SCHEDULED = "scheduled"
    READY = "ready"
    RETRYING = "retrying"
    PARKED = "parked"
    DEAD = "dead"
    DONE = "done"
    DISCARDED = "discarded"


class Delivery(NamedTuple):
    """A message on its way to one recipient; `until` is when it is due, None for at once."""

    recipient: str
    ordering_key: str | None = None
    until: datetime | None = None


class Record(NamedTuple):
    """A message as the log will keep it, with its deliveries. `kind` is `event` or `command`.

    `answered` says whether `answer` is what its sender is told; None may be an answer. `stored` is true for a
    command whose row was written when it was decided: only its answer is added.
    """

    kind: str
    envelope: Envelope
    message: Message
    deliveries: tuple[Delivery, ...] = ()
    answer: Any = None
    answered: bool = False
    stored: bool = False


class Fence(NamedTuple):
    """What a worker has to hold to complete a delivery: the lease, and the delivery's place in it."""

    lease: int
    recipient: str
    seq: int


class Recalled(NamedTuple):
    """What the log has of a message: the answer that its sender was told."""

    answer: Any


class Claimed(NamedTuple):
    """One delivery that a worker holds. `message` is None when this build cannot read it; `problem` says why."""

    fence: Fence
    ordering_key: str | None
    attempts: int
    envelope: Envelope
    message: Message | None
    problem: str | None = None


class Batch(NamedTuple):
    """Deliveries of one recipient, claimed together under one lease, in the order of their commits."""

    lease: int
    recipient: str
    claimed: tuple[Claimed, ...]


class Left(NamedTuple):
    """What stays in a lease after a change: the places and the ordering keys. With neither, the lease ends."""

    seqs: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()


class Failure(NamedTuple):
    """How a delivery failed: the state that it goes to, and what was wrong, in one line.

    `pause` is in seconds, None where no further try is planned; `counts` is false when it was not really tried.
    """

    status: Status
    error: str
    pause: float | None = None
    counts: bool = True


class MessageLog(ABC):
    """Keeps what happened, what was answered, and who still has to hear of it."""

    @abstractmethod
    def recall(self, message_id: str, message: Message) -> Recalled | None:
        """Find what the sender of this message was told, or None. Raises `Reused` when its content was another."""

    @abstractmethod
    def append(self, records: Sequence[Record], completes: Fence | None = None) -> None:
        """Store records in a transaction of their own, and complete a delivery with them.

        Raises `Repeated` when an id is there already, `LeaseLost` when the delivery is not held any more.
        """

    @abstractmethod
    def explain(self, error: Exception, place: str) -> AtomosError | None:
        """Say what an error of the database means, or None where it means nothing of its own.

        `place` is the handler in which it arose.
        """


class Deliveries(ABC):
    """Hands deliveries to workers, by the claim rule, and notes what became of them.

    A delivery may be claimed when it is ready, is in no lease, and its key is in no lease and has no row that
    is retrying or parked, whatever their seq; per recipient, in the order of seq.
    """

    @abstractmethod
    def enrol(self, recipients: Sequence[str]) -> None:
        """Add recipients to the register, where they are not in it yet."""

    @abstractmethod
    def waiting(self, recipients: Sequence[str]) -> Sequence[str]:
        """Say which of these recipients are worth a claim: something is ready or due, or a lease ran out."""

    @abstractmethod
    def claim(self, recipient: str, room: int, worker: str) -> Batch | None:
        """Claim at most `room` deliveries of a recipient, or None when none may be claimed."""

    @abstractmethod
    def complete(self, fences: Sequence[Fence], left: Left) -> int:
        """Complete deliveries of one lease; say how many were still held (the others are fenced)."""

    @abstractmethod
    def fail(self, fence: Fence, failure: Failure, left: Left) -> bool:
        """Note a failure; `left` is without the rest of its key. False when it was not held any more."""

    @abstractmethod
    def keep(self, lease: int, left: Left) -> None:
        """Let a lease hold no more than what is left."""

    @abstractmethod
    def renew(self, worker: str) -> None:
        """Prolong all leases of a worker."""
