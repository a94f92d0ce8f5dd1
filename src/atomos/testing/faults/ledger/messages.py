"""What the ledger hears, is told, and says."""

from __future__ import annotations

from atomos.core.domain import Command, Event, Message


class Numbered(Message):
    """A number on an account; `deed` tells handlers how to misbehave, see `Deeds`."""

    account: str
    number: int
    deed: str = ""


class Deposited(Numbered, Event, name="ledger.deposited"):
    """Somebody brought something."""


class Reminded(Numbered, Event, name="ledger.reminded"):
    """A time has come."""


class Booked(Numbered, Event, name="ledger.booked"):
    """A deposit is in the ledger."""


class Confirmed(Numbered, Event, name="ledger.confirmed"):
    """What came of telling somebody of a deposit."""


class Deposit(Numbered, Command, name="ledger.deposit"):
    """Enter a deposit."""


class Copy(Numbered, Command, name="ledger.copy"):
    """Enter a copy of a deposit."""

    copy: int


class Remind(Numbered, Command, name="ledger.remind"):
    """Enter that a time has come."""
