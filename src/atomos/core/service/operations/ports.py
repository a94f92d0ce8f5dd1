"""What operators may ask of the log, and what they may do to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from ...domain.messages import Page
from ..diagnostics import Diagnosed
from ..routes import Route
from .report import AuditReport, Misfit
from .stored import Load, StoredDelivery, StoredMessage, StoredWorker
from .why import Explanation


class Declined(Diagnosed):
    """An operator's change that the log does not take."""

    code = "ATM055"


class MessageFilter(NamedTuple):
    """Which messages: those that have everything that is given; None is no condition.

    `since` is included, `until` is not; `conversation` is a correlation id.
    """

    name: str | None = None
    key: str | None = None
    principal: str | None = None
    conversation: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class DeliveryFilter(NamedTuple):
    """Which deliveries: those that have everything that is given; None is no condition.

    `error` is a part of one of its last errors, in any case of letters; `since` is when its message was recorded.
    """

    statuses: tuple[str, ...]
    recipient: str | None = None
    key: str | None = None
    error: str | None = None
    message: str | None = None
    since: datetime | None = None


class Inspection(ABC):
    """Looks into the log and changes nothing. Each answer is of one instant."""

    @abstractmethod
    def explain(self, message_id: str) -> Explanation | None:
        """Say why each delivery of a message waits. None: there is no such message."""

    @abstractmethod
    def messages(self, wanted: MessageFilter, limit: int, after: str | None = None) -> Page[StoredMessage]:
        """List messages, the newest first.

        `after` is the cursor of the page before; raises ValueError for another.
        """

    @abstractmethod
    def deliveries(
        self, wanted: DeliveryFilter, limit: int, after: str | None = None
    ) -> Page[StoredDelivery]:
        """List deliveries, the newest first.

        `after` is the cursor of the page before; raises ValueError for another.
        """

    @abstractmethod
    def recipients(self) -> Sequence[Load]:
        """List the register, by name, with what waits for each."""

    @abstractmethod
    def workers(self) -> Sequence[StoredWorker]:
        """List the workers that are registered, by the time of their start."""

    @abstractmethod
    def audit(self, deciding: Collection[str], most: int = 20) -> AuditReport:
        """Look for damage in the whole log. `most` is how many rows of each kind are named.

        `deciding` names the recipients that give a command each time: triggers that cannot decide for none.
        """

    @abstractmethod
    def misfits(self, recipients: Collection[str], reads: Collection[str]) -> Sequence[Misfit]:
        """Name what waits and does not fit a build that has these recipients and reads these forms (`name version`)."""


class Control(ABC):
    """What operators change. Each change takes the lock of the recipient that a claim takes.

    What a lease holds is refused, or left alone where several are changed. `by` is who does it: it is noted in the
    row, and logged.
    """

    @abstractmethod
    def count(self, wanted: DeliveryFilter) -> int:
        """Count the deliveries that a change would take: those that no lease holds."""

    @abstractmethod
    def retry(self, wanted: DeliveryFilter, by: str) -> int:
        """Take dead and parked deliveries back to ready, in the order of seq, as if never tried; say how many."""

    @abstractmethod
    def discard(self, wanted: DeliveryFilter, by: str, why: str) -> int:
        """Give deliveries up that are not over, or dead; say how many."""

    @abstractmethod
    def pause(self, recipient: str, by: str, why: str) -> None:
        """Let nothing more of a recipient be claimed.

        Raises `Declined` for one that is not in the register, or paused already: who did that, and why, stays.
        """

    @abstractmethod
    def resume(self, recipient: str, by: str) -> None:
        """Take a pause back. Raises `Declined` for one that is not in the register."""

    @abstractmethod
    def forget(self, recipient: str, by: str) -> None:
        """Take a recipient out of the register.

        Raises `Declined` while it has deliveries that are not over, or while a live worker has it.
        """

    @abstractmethod
    def backfill(self, route: Route, since: datetime, by: str, *, dry_run: bool) -> int:
        """Address the events recorded since then to a recipient that did not exist; say how many.

        They keep their order among themselves, and come after what is there already. Raises `Declined` for a
        recipient that hears no event.
        """


class Retention(ABC):
    """Removes conversations that are older than the retention, and of which nothing is live or dead."""

    @abstractmethod
    def __call__(self) -> int:
        """Go on for a moment, in small transactions; say how many messages were removed."""

    @abstractmethod
    def count(self) -> int:
        """Say how many messages would be removed now, were all of them looked at."""
