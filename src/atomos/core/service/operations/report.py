"""What an audit found, and what of the log does not fit this build."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Damage(NamedTuple):
    """One kind of damage: its stable name, what it means, how many rows have it, and the first of them in words."""

    check: str
    said: str
    found: int
    rows: tuple[str, ...]


class Age(NamedTuple):
    """How long a recipient's oldest delivery that is ready, retrying or parked has been waiting."""

    recipient: str
    waiting: int
    oldest: datetime
    seconds: float


class AuditReport(NamedTuple):
    """The whole log at one instant. `damages` is empty where nothing is wrong."""

    at: datetime
    messages: int
    deliveries: int
    ages: tuple[Age, ...]
    damages: tuple[Damage, ...]


class Misfit(NamedTuple):
    """Something in the tables that this build has no use for; `kind` is recipient, message or register.

    `name` is the recipient's, or a message's with its version. `waiting` is how many deliveries wait for it.
    """

    kind: str
    name: str
    waiting: int
    said: str
