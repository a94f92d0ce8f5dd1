"""An account: it counts what is entered, and says so."""

from __future__ import annotations

from atomos.core.domain import Aggregate, Entity

from .messages import Booked


class Entry(Entity):
    """One line of an account: what kind, and which number. Nothing keeps it from being entered twice."""

    def __init__(self, account: str, kind: str, number: int) -> None:
        self.account = account
        self.kind = kind
        self.number = number

    @property
    def identity(self) -> str:
        """Its account, kind and number."""
        return f"{self.account} {self.kind} {self.number}"


class Account(Aggregate):
    """Entries under one name, whose order has to be kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entered = 0

    @property
    def identity(self) -> str:
        """Its name."""
        return self.name

    def enter(self, kind: str, number: int) -> Entry:
        """Make an entry."""
        self.entered += 1
        return Entry(self.name, kind, number)

    def deposit(self, number: int, deed: str) -> Entry:
        """Make the entry of a deposit, and say so."""
        self.record(Booked(account=self.name, number=number, deed=deed))
        return self.enter("deposit", number)
