"""Deliveries: what the log keeps of a message, who still has to hear of it, how a worker gets hold of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from ..domain.errors import AtomosError
from ..domain.messages import Message
from .envelope import Envelope
from .errors import Repeated


class Status(StrEnum):
    """The states of a delivery. Being worked on is not a state but a lease.

    scheduled -> ready <-> retrying -> done | dead | parked; an operator takes dead and parked ones
    back to ready, or to discarded. A timer that is replaced or taken back goes from scheduled to discarded.
    """

    SCHEDULED = "scheduled"
    READY = "ready"
    RETRYING = "retrying"
    PARKED = "parked"
    DEAD = "dead"
    DONE = "done"
    DISCARDED = "discarded"


class Delivery(NamedTuple):
    """A message on its way to one recipient; `until` is when it is due, None for at once.

    `timer` is the title under which it can be replaced or taken back until then, None where it cannot.
    """

    recipient: str
    ordering_key: str | None = None
    until: datetime | None = None
    timer: str | None = None


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
    """What the log has of a message: the answer that its sender was told; `answered` is false before there is one."""

    answer: Any
    answered: bool = True


class Claimed(NamedTuple):
    """One delivery that a worker holds.

    `message` is None when this build cannot read it; then `problem` says why.
    """

    fence: Fence
    ordering_key: str | None
    attempts: int
    envelope: Envelope
    message: Message | None
    problem: str | None = None


MOST_SUSPECTS = 16
"""So many rows with one lost lease are claimed together, at the most."""

ALONE = 2
"""From so many lost leases on, a row is claimed alone."""


class Batch(NamedTuple):
    """Deliveries of one recipient, claimed together under one lease, in the order of their commits.

    `claimed` is empty where none may be claimed, and then there is no lease (zero). `seconds` is what the
    claim itself took, without the wait for its turn. `probing`: all that its recipient did lately has failed, and
    this is the one row that tries whether it works again. `losses` is how many leases with each of these rows were
    lost, zero for usual ones. `passed_by`: there are suspects that are ready, and they were not asked for.
    """

    lease: int
    recipient: str
    claimed: tuple[Claimed, ...]
    seconds: float = 0.0
    probing: bool = False
    losses: int = 0
    passed_by: bool = False

    @property
    def is_suspect(self) -> bool:
        """Whether one of them may be what their worker was lost by."""
        return self.losses > 0

    @property
    def is_alone(self) -> bool:
        """Whether it is one row that is claimed alone: another lost lease counts as its attempt."""
        return self.losses >= ALONE


class Rows(NamedTuple):
    """Some deliveries of one recipient: their places, and the ordering keys that they stand for.

    `until` stands for all places up to it, zero for none.
    """

    seqs: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    until: int = 0

    def with_(self, others: Rows) -> Rows:
        """Add others."""
        seqs, keys = (*self.seqs, *others.seqs), (*self.keys, *others.keys)
        return Rows(seqs, keys, max(self.until, others.until))


LEASE_SECONDS = 12.0
"""How long a claimed batch belongs to a worker that does not renew its lease, unless the settings say otherwise."""

NO_LIMITS: Mapping[str, int] = MappingProxyType({})
"""Of no recipient there is a most at once."""

NO_ROWS = Rows()
"""No deliveries: a lease that is left with these ends."""


class Waiting(NamedTuple):
    """A recipient worth a look. `overdue`: a lease ran out, or the time of something has come."""

    recipient: str
    overdue: bool


class Failure(NamedTuple):
    """How a delivery failed: the state that it goes to, and what was wrong, in one line; None: it only waits.

    `pause` is in seconds, None where no further try is planned; `counts` is false when it was not tried. `kind` is
    the class of domain errors that it is one of, such as `NotFound`; None for any other.
    """

    status: Status
    error: str | None
    pause: float | None = None
    counts: bool = True
    kind: str | None = None


class Step(NamedTuple):
    """One delivery on the way; `errors` are the last few, the newest first, as they are stored."""

    status: Status
    errors: Sequence[Mapping[str, str]] = ()


class Stored(NamedTuple):
    """What the log has of an event and of what it triggered; answers are JSON text, None where there is none yet.

    `commands` are the answers of the commands that it led to, with their wire names, the oldest first.
    """

    name: str
    principal: str
    answer: str | None
    steps: Sequence[Step]
    commands: Sequence[tuple[str, str | None]]


class MessageLog(ABC):
    """Keeps what happened, what was answered, and who still has to hear of it."""

    @abstractmethod
    def recall(self, message_id: str, message: Message) -> Recalled | None:
        """Find what the sender of this message was told, or None.

        Raises `Reused` when its content was another.
        """

    @abstractmethod
    def known(self, message_ids: Sequence[str]) -> frozenset[str]:
        """Say which of these ids have a message that is stored."""

    def refuse_repeat(self, message_id: str) -> None:
        """Look whether a message is stored. Raises `Repeated` when it is.

        One that can be away raises `NotLookedUp` then, so that it is not asked a second time.
        """
        if self.known([message_id]):
            raise Repeated(f"{message_id} is stored.")

    def begin_unless_repeat(self, message_id: str) -> Any:
        """Look as `refuse_repeat` does, and begin the transaction of the unit of work that comes next, where it can.

        Gives it for `Handling.begun`, and the caller closes it; None where the unit of work begins its own.
        Raises the same.
        """
        self.refuse_repeat(message_id)

    @abstractmethod
    def follow(self, message_id: str) -> Stored | None:
        """Find an event, and what it triggered; None where there is no such event."""

    @abstractmethod
    def append(
        self, records: Sequence[Record], completes: Fence | None = None, *, reader: int | None = None
    ) -> None:
        """Store records in a transaction of their own, and complete a delivery with them.

        A timer takes the place of what is scheduled under its title. `reader` is the lease of who reads a topic, None
        elsewhere. Raises `Repeated` when an id is there already, `LeaseLost` when the delivery, or the lease of the
        reader, is not held any more.
        """

    @abstractmethod
    def take_back(self, timer: str, why: str) -> bool:
        """Discard what is scheduled under a timer's title; False: nothing was, or its time has come."""

    @abstractmethod
    def explain(self, error: Exception, place: str) -> AtomosError | None:
        """Say what an error of the database means, or None where it means nothing of its own.

        `place` is the handler in which it arose.
        """


class Deliveries(ABC):
    """Hands deliveries to workers, by the claim rule, and notes what became of them.

    A delivery may be claimed when it is ready, is in no lease, and its key is in no lease and has no row that
    is retrying or parked, whatever their seq; per recipient, in the order of seq. One whose lease was lost is a
    suspect: it may be what its worker was lost by. Suspects are claimed apart from others, a few at a time, and
    one that was lost again alone. Of a recipient with a limit no more than so many are in leases at once, in the
    whole installation.
    """

    @abstractmethod
    def enrol(self, recipients: Sequence[str], at_once: Mapping[str, int] = NO_LIMITS) -> None:
        """Add recipients to the register, where they are not in it yet; set how many may be in hand at once.

        A recipient that is not in `at_once` has no limit.
        """

    @abstractmethod
    def waiting(self, recipients: Sequence[str]) -> Sequence[Waiting]:
        """Say which of these recipients are worth a look: something is ready, and it is not paused, or overdue."""

    @abstractmethod
    def tidy(self, recipient: str) -> None:
        """End a recipient's leases that ran out, and make ready what is due, for everyone."""

    @abstractmethod
    def claim(
        self, recipient: str, room: int, worker: str, without: Rows = NO_ROWS, *, suspects: bool = True
    ) -> Batch:
        """Claim at most `room` deliveries of a recipient; none of `without`, nor of its keys.

        `suspects` says whether it may give such rows; if not, those are passed by, with their keys.
        """

    @abstractmethod
    def complete(self, fences: Sequence[Fence], left: Rows) -> int:
        """Complete deliveries of one lease; say how many were still held (the others are fenced)."""

    @abstractmethod
    def fail(self, fence: Fence, failure: Failure, left: Rows) -> bool:
        """Note a failure; `left` is without the rest of its key. False when it was not held any more."""

    @abstractmethod
    def keep(self, lease: int, left: Rows) -> None:
        """Let a lease hold no more than what is left; what is not is free for others at once."""

    @abstractmethod
    def renew(self, leases: Sequence[int]) -> Sequence[int]:
        """Prolong leases; name those that are still there."""

    @abstractmethod
    def take_turn(self, recipient: str, worker: str) -> int | None:
        """Take the one lease of a recipient that holds no delivery; None: somebody has it, or it is paused.

        Whoever has it does what one at a time may do in the whole installation. It is renewed, ends and runs out as
        the others do, and holds up no claim.
        """

    @abstractmethod
    def is_paused(self, recipient: str) -> bool:
        """Whether somebody has paused a recipient."""

    @abstractmethod
    def is_more_than(self, recipients: Sequence[str], count: int) -> bool:
        """Whether more deliveries than so many wait for these recipients, ready or backing off, but not parked."""

    @abstractmethod
    def probe(self, recipient: str, pause: float | None) -> None:
        """Let claims take one row in the whole installation, after a pause in seconds; None: claim as usual."""

    @abstractmethod
    def vacuum(self) -> None:
        """Clear away what completions and claims left behind, where the database needs that and it is much."""
