"""What the service layer asks of the outside: ports, named for their role. Adapters are named for their technology."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, ClassVar, Generic, TypeVar

from ..domain.errors import AtomosError, DomainError, NotFound
from ..domain.model import Aggregate

_SHOWN = 100
"""So many characters of a refused name are shown: it may come from anywhere."""

T = TypeVar("T", bound=Aggregate)


class Repository(ABC, Generic[T]):
    """Where the aggregates of one class are kept. A unit of work hands it out; what it gives is seen to at commit.

    `missing` is the error that `get` raises: made from the identity where it writes its own sentence, and otherwise
    with its docstring's sentence and the identity behind it.
    """

    missing: ClassVar[type[NotFound]] = NotFound

    def get(self, identity: str) -> T:
        """Give the aggregate for a change. Raises `missing`."""
        found = self.find(identity)
        if found is None:
            writes_its_own = self.missing.__init__ is not NotFound.__init__
            raise self.missing(
                identity if writes_its_own else f"{str(self.missing()).rstrip('.')}: {identity}."
            )
        return found

    @abstractmethod
    def find(self, identity: str) -> T | None:
        """Give the aggregate for a change, or None."""

    @abstractmethod
    def add(self, aggregate: T) -> None:
        """Take in a new aggregate. Its identity must be new: otherwise the commit raises `Conflict`."""


class Outside(ABC):  # noqa: B024 - a mark, and not a promise
    """A port whose effect no rollback takes back. The boot check refuses it wherever a repeat would repeat it."""


class Unavailable(AtomosError):
    """What is needed is not there just now: a database, a server, a service. Trying again later may help.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotificationRefused(DomainError):
    """A notification was refused for good. Sending the same one again will not help."""


class Notifications(Outside):
    """Tells people something."""

    @abstractmethod
    def send(self, *, to: str, subject: str, text: str, effect_id: str | None = None) -> None:
        """Send one notification.

        `to` is an address that the adapter understands. The same `effect_id` marks a repeat, so that the
        receiver can drop it; None where there is none. Raises `Unavailable` where trying again may help, and
        `NotificationRefused` where it will not: an empty `to`, a line break in `to` or `subject` (nothing is
        sent then), an address that does not exist.
        """


class FileMissing(NotFound):
    """No file of that name is in the storage. `name` is what was asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no file {name!r} in the storage; names() says which there are.")
        self.name = name


class NameOutside(DomainError):
    """What was named cannot be a file inside the storage. `name` was given, `fault` says what is wrong."""

    def __init__(self, name: str, fault: str) -> None:
        shown = name if len(name) <= _SHOWN else name[:_SHOWN] + "..."
        super().__init__(
            f"{shown!r} names no file inside the storage: {fault}. "
            "Give a relative name such as 'reports/2026/07.csv'."
        )
        self.name, self.fault = name, fault


class NameTaken(DomainError):
    """A file cannot have this name: it is a folder's, or a part of it is a file's. `name` was given."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot be written: it names a folder, or something below a file. Give another name."
        )
        self.name = name


class Storage(Outside):
    """Keeps files under names such as `reports/2026/07.csv`: relative, with `/`, inside one root.

    Each method raises `NameOutside` for a name that leads nowhere inside the root (empty, absolute, with
    `..`, a backslash or a NUL, or through a link that leaves it), and `Unavailable` where trying again may
    help.
    """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write the whole file, or nothing of it; an older one of that name is replaced.

        Raises `NameTaken` where the name is a folder's, or lies below a file.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Read the whole file. Raises `FileMissing`."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open the file for reading in parts; the caller closes it. Raises `FileMissing`."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the file; one that is not there is no error."""

    @abstractmethod
    def names(self, folder: str = "") -> Iterator[str]:
        """Name every file below the folder, sorted; "" is the root. A folder that is not there has none."""


class Clock(ABC):
    """Says what time it is. Tests move it."""

    @abstractmethod
    def now(self) -> datetime:
        """Give the current time, aware, in UTC."""


class Meter(ABC):
    """Counts and times what the bus and the worker handle."""

    @abstractmethod
    def of(self, kind: str, name: str) -> HandlingMeter:
        """Give the meter of one message or recipient, made once at start."""


OUTCOMES = ("ok", "rejected", "failed", "conflict", "repeated", "not_yet")
"""How a handling may end: well, refused by the domain, with an error, because someone else was first, because the
message is a repeat, or not yet.
"""


class HandlingMeter(ABC):
    """The meter of one message or recipient."""

    @abstractmethod
    def handled(self, outcome: str, seconds: float) -> None:
        """Count one handling: `outcome` is one of OUTCOMES, `seconds` is how long it took."""
