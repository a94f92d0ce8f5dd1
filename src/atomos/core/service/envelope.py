"""The envelope of a message, who sent it, and ids that make repeats harmless."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from uuid_utils import uuid7

_RANDOM_BITS = (1 << 80) - 1
_VERSION_8 = (0x8 << 76) | (0b10 << 62)
_VERSION_MASK = (0xF << 76) | (0b11 << 62)


class Principal(NamedTuple):
    """Who asked: a name, and the permissions granted; None grants every permission."""

    name: str
    scopes: frozenset[str] | None = None

    def may(self, permission: str) -> bool:
        """Whether this permission was granted."""
        return self.scopes is None or permission in self.scopes


SYSTEM = Principal("system")
"""The application itself, and whoever runs its command line."""

PUBLIC = ""
"""The permission that everyone has."""


class Origin(NamedTuple):
    """What an entrypoint knows of a message's sender.

    `id` is given where a repeat can be recognised, else None; `correlation_id` continues a conversation,
    None begins one; `traceparent` is the W3C trace context, None without one.
    """

    principal: Principal = SYSTEM
    id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


class Envelope(NamedTuple):
    """What goes around a message. Ids are UUIDs in canonical text; `sent_at` is aware, in UTC.

    `correlation_id` is the id of the message that began the conversation, `causation_id` the one that led here
    (None for the first). `ordering_key` is what order is kept by, None where none is.
    """

    id: str
    correlation_id: str
    causation_id: str | None
    sent_at: datetime
    ordering_key: str | None
    principal: str
    traceparent: str | None

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


def derived_id(parent: str, *names: object) -> str:
    """Derive an id from its parent's and from names: the same every time, and sorted beside its parent.

    The first 48 bits are the parent's (its time, if it is a UUIDv7), the rest is a hash; UUID version 8 (RFC 9562).
    """
    digest = int.from_bytes(_digest(parent, *names)[:10], "big")
    return _version_8((UUID(parent).int & ~_RANDOM_BITS) | (digest & _RANDOM_BITS))


def hashed_id(*names: object) -> str:
    """Make an id from names alone: the same every time, with no time in it (UUID version 8)."""
    return _version_8(int.from_bytes(_digest(*names), "big"))


def _digest(*names: object) -> bytes:
    # Each name with its length, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(str(name))}:{name}" for name in names)
    return blake2b(text.encode(), digest_size=16).digest()


def _version_8(bits: int) -> str:
    return str(UUID(int=(bits & ~_VERSION_MASK) | _VERSION_8))
