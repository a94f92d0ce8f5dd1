"""What the service layer asks of the outside: ports, named for their role. Adapters are named for their technology."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from ..domain.errors import AtomosError


class Outside(ABC):
    """A port whose effect no rollback takes back. The boot check refuses it wherever a repeat would repeat it."""


class Unavailable(AtomosError):
    """What is needed is not there just now: a database, a server, a service. Trying again later may help.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Notifications(Outside):
    """Tells people something."""

    @abstractmethod
    def send(self, *, to: str, subject: str, text: str, effect_id: str | None = None) -> None:
        """Send one notification.

        `to` is an address that the adapter understands. The same `effect_id` marks a repeat, so that the
        receiver can drop it; None where there is none. Raises `Unavailable` where trying again may help.
        """


class Storage(Outside):
    """Keeps files under names such as `reports/2026/07.csv`: relative, with `/`, inside one root."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write the whole file, or nothing of it; an older one of that name is replaced."""

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
        """Name every file below the folder, sorted."""


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


class HandlingMeter(ABC):
    """The meter of one message or recipient."""

    @abstractmethod
    def handled(self, outcome: str, seconds: float) -> None:
        """Count one handling: `outcome` is `ok`, `rejected`, `failed`, or `conflict`; `seconds` is how long it took."""
