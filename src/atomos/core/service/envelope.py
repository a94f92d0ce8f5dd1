"""The envelope of a message, who sent it, and ids that make repeats harmless."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from uuid_utils import uuid7


class Principal(NamedTuple):
    """Who asked: a name, and the permissions granted; None grants every permission."""

    name: str
    scopes: frozenset[str] | None = None

    def may(self, permission: str) -> bool:
        """Whether this permission was granted."""
        return self.scopes is None or permission in self.scopes


SYSTEM = Principal("system")
"""The application itself: its schedules, and code that emits on the bus without saying for whom."""

BROKER = Principal("broker")
"""Who is said to have sent what comes from a broker, where the settings say nothing else."""

PUBLIC = ""
"""The permission that everyone has."""


class Origin(NamedTuple):
    """What an entrypoint knows of a message's sender.

    `id` is given where a repeat can be recognised, else None; `correlation_id` continues a conversation,
    None begins one; `traceparent` is the W3C trace context, None without one. `expects` are the versions that the
    sender means to change, an empty set is any, None does not ask.
    """

    principal: Principal = SYSTEM
    id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    expects: frozenset[int] | None = None


class Envelope(NamedTuple):
    """What goes around a message. Ids are UUIDs in canonical text; `sent_at` is aware, in UTC.

    `correlation_id` is the id of the message that began the conversation, `causation_id` the one that led here
    (None for the first). `ordering_key` is what order is kept by, None where none is. `expects` is as in `Origin`;
    it is not stored, and no other message inherits it.
    """

    id: str
    correlation_id: str
    causation_id: str | None
    sent_at: datetime
    ordering_key: str | None
    principal: str
    traceparent: str | None
    expects: frozenset[int] | None = None

    def caused(self, id_: str, ordering_key: str | None) -> Envelope:
        """Address a message that this one led to; all but these two is inherited."""
        correlation, principal, traceparent = self.correlation_id, self.principal, self.traceparent
        return Envelope(id_, correlation, self.id, self.sent_at, ordering_key, principal, traceparent)

    def effect_id(self) -> str:
        """Make the id of the next effect outside, for a reaction to hand on (HTTP `Idempotency-Key`, `Message-ID`).

        From the message, the recipient and the number of the call: the same when this delivery is tried again, and
        another for another recipient. Raises `NoHandling` where none is in progress.
        """
        from .handling import effect_id_in_hand  # a handling is made of envelopes

        return effect_id_in_hand()


def new_id() -> str:
    """Make a UUIDv7: sortable by time, unique."""
    return str(uuid7())


def derived_id(parent: str, *names: str | int) -> str:
    """Derive an id from its parent's and from names: the same every time, and sorted beside its parent.

    The first 48 bits are the parent's (its time, if it is a UUIDv7), the rest is a hash; UUID version 8 (RFC 9562).
    """
    return _version_8(parent[:13], _digest((parent, *names)))


def hashed_id(*names: str | int) -> str:
    """Make an id from names alone: the same every time, with no time in it (UUID version 8)."""
    digest = _digest(names)
    return _version_8(f"{digest[19:27]}-{digest[27:31]}", digest)


def timed_id(at: datetime, *names: str | int) -> str:
    """Make an id from an instant and from names: the same every time, and sorted among the UUIDv7 of that time."""
    stamp = f"{int(at.timestamp() * 1000):012x}"
    return _version_8(f"{stamp[:8]}-{stamp[8:]}", _digest((at.isoformat(), *names)))


def _digest(names: tuple[str | int, ...]) -> str:
    # The representation, and not the names joined: ("ab", "c") and ("a", "bc") differ.
    return blake2b(repr(names).encode(), digest_size=16).hexdigest()


def _version_8(first: str, digest: str) -> str:
    variant = "89ab"[int(digest[3], 16) & 0b11]
    return f"{first}-8{digest[:3]}-{variant}{digest[4:7]}-{digest[7:19]}"
