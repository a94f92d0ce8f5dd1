"""What the log needs of a database: the same steps on each, in its own SQL."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ...service.delivery import Failure, Fence, Rows, Waiting


class MessageRow(NamedTuple):
    """A row of `atomos_message` as it is written; `payload` and `answer` are JSON text."""

    id: str
    kind: str
    name: str
    version: int
    payload: str
    fingerprint: str
    answer: str | None
    ordering_key: str | None
    correlation_id: str
    causation_id: str | None
    principal: str
    traceparent: str | None
    deliveries: int


class DeliveryRow(NamedTuple):
    """A row of `atomos_delivery` as it is written."""

    message_id: str
    recipient: str
    ordering_key: str | None
    status: str
    until: datetime | None
    timer: str | None


class Answered(NamedTuple):
    """A command that was stored when it was decided, and its answer (JSON text), which is added now."""

    message_id: str
    answer: str


class Written(NamedTuple):
    """What a write met; where one is false, the transaction must not commit.

    `held`: the delivery to be completed was held. `is_new`: the command to be answered had no answer yet.
    """

    held: bool = True
    is_new: bool = True


class ClaimedRow(NamedTuple):
    """A claimed delivery with its message, as it is read; times are aware."""

    lease: int
    seq: int
    ordering_key: str | None
    attempts: int
    id: str
    name: str
    version: int
    payload: str
    message_key: str | None
    correlation_id: str
    causation_id: str | None
    principal: str
    traceparent: str | None
    recorded_at: datetime
    losses: int


class Register(NamedTuple):
    """What the register says of a recipient that is not paused.

    `at_once` is how many rows may be in leases, None for any number. `probing`: one, and while it `rests` none.
    """

    at_once: int | None
    probing: bool
    rests: bool


Now = datetime | None
"""The time that tests give; None is the database's own clock."""


def new_lease() -> int:
    """Make the id of a lease: 63 random bits. A number that a crash took back must not be given a second time."""
    return secrets.randbits(63)


class LogDialect(ABC):
    """The statements. Each but `recall` runs in the transaction of the connection that it is given."""

    @abstractmethod
    def write(
        self,
        connection: Connection,
        messages: Sequence[MessageRow],
        deliveries: Sequence[DeliveryRow],
        completes: Fence | None,
        answered: Answered | None,
        now: Now,
    ) -> Written:
        """Insert messages and deliveries, complete a delivery, and add the answer to a command."""

    @abstractmethod
    def lock_keys(self, connection: Connection, keys: Sequence[str]) -> None:
        """Hold ordering keys until the transaction ends; they come sorted."""

    @abstractmethod
    def discard(self, connection: Connection, timer: str, why: str, now: Now) -> bool:
        """Discard what is scheduled under a timer's title, and note why; False: nothing was."""

    @abstractmethod
    def recall(self, driver: Any, message_id: str) -> tuple[str, str | None] | None:
        """Find a message's fingerprint and answer (JSON text), on the driver's connection and outside transactions."""

    @abstractmethod
    def enrol(self, connection: Connection, recipients: Sequence[str], at_once: Mapping[str, int]) -> None:
        """Add recipients to the register, where they are not in it yet, and set their most at once."""

    @abstractmethod
    def waiting(self, connection: Connection, recipients: Sequence[str], now: Now) -> list[Waiting]:
        """Say which recipients have something ready or due, or a lease that ran out; of paused ones, what is due."""

    @abstractmethod
    def lock_recipient(self, connection: Connection, recipient: str, now: Now = None) -> Register | None:
        """Hold a recipient's row in the register, and read it. None: it is paused, or unknown."""

    @abstractmethod
    def hold_recipient(self, connection: Connection, recipient: str) -> None:
        """Hold a recipient's row in the register, be it paused or not."""

    @abstractmethod
    def in_leases(self, connection: Connection, recipient: str) -> int:
        """Count the rows of a recipient that are in someone's hands."""

    @abstractmethod
    def probe(self, connection: Connection, recipient: str, pause: timedelta | None, now: Now) -> None:
        """Let a recipient's claims take one row, after a pause; None: as usual."""

    @abstractmethod
    def expire(self, connection: Connection, recipient: str, now: Now) -> None:
        """End leases that ran out.

        Their rows have one lost lease more; one that had been claimed alone for that counts an attempt.
        """

    @abstractmethod
    def wake_due(self, connection: Connection, now: Now) -> None:
        """Make ready what is scheduled or backing off and whose time has come, a thousand at most.

        Its `until` stays: it says since when the row has been waiting.
        """

    @abstractmethod
    def worth_a_claim(self, connection: Connection, recipient: str, without: Rows) -> bool:
        """Whether a claim would find something; True where the claim itself is as cheap as the question."""

    @abstractmethod
    def suspects(self, connection: Connection, recipient: str) -> Rows:
        """Name the ready rows of a recipient whose lease was lost before."""

    @abstractmethod
    def claim(
        self,
        connection: Connection,
        recipient: str,
        *,
        room: int,
        among: int | None,
        worker: str,
        lease: timedelta,
        without: Rows,
        suspects: bool,
        now: Now,
    ) -> list[ClaimedRow]:
        """Lease what the claim rule allows, in the order of seq, without some rows and keys.

        Usual rows only, or, if there may be `suspects`, up to `MOST_SUSPECTS` rows with one lost lease, or a
        single one with more: what comes first says which, and the first of another kind ends the batch.

        `among` is how many ready rows, from the first, may be looked at; None is all, and so may be any number.
        """

    @abstractmethod
    def complete(
        self, connection: Connection, lease: int, recipient: str, seqs: Sequence[int], now: Now
    ) -> int:
        """Complete deliveries under their lease; say how many."""

    @abstractmethod
    def fail(self, connection: Connection, fence: Fence, failure: Failure, now: Now) -> bool:
        """Note a failure under its lease. False: it is not held any more."""

    @abstractmethod
    def keep(self, connection: Connection, lease: int, left: Rows) -> None:
        """Let a lease hold no more than what is left, or end it."""

    @abstractmethod
    def take_turn(
        self, connection: Connection, recipient: str, worker: str, lease: timedelta, now: Now
    ) -> int | None:
        """Write the one lease of a recipient that holds no delivery; None: there is one. Its register row is held."""

    @abstractmethod
    def holds(self, connection: Connection, lease: int) -> bool:
        """Whether a lease is there; it stays until the transaction ends."""

    @abstractmethod
    def renew(self, connection: Connection, leases: Sequence[int], lease: timedelta, now: Now) -> list[int]:
        """Prolong leases; name those that are still there."""
