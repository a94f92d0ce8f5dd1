"""API keys: what a caller shows, what is kept of it, and who that makes it."""

from __future__ import annotations

import hmac
import secrets
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from ..domain.errors import AtomosError, NotFound

PREFIX = "atk_"
"""What every API key begins with, so that it is recognised where it does not belong."""

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz234567"
_NAME_LENGTH = 12
_SECRET_BYTES = 32


class Unauthenticated(AtomosError):
    """The credentials are missing, or they are not accepted."""


class UnknownKey(NotFound):
    """No API key has this name."""


class Key(NamedTuple):
    """An API key as it is kept. `id` is the part that is no secret; `digest` is a keyed hash of the whole.

    `expires_at`, `revoked_at` and `used_at` are None where it never does, was not, or was not yet; `used_at` may be
    a minute late.
    """

    id: str
    owner: str
    scopes: frozenset[str]
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it is accepted at an instant."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Keys(ABC):
    """Keeps API keys; never the keys themselves."""

    @abstractmethod
    def find(self, id_: str) -> Key | None:
        """Find a key by its id, or None."""

    @abstractmethod
    def listed(self) -> Sequence[Key]:
        """List all keys, by owner and age."""

    @abstractmethod
    def add(self, key: Key) -> None:
        """Keep a new key."""

    @abstractmethod
    def expire(self, id_: str, at: datetime) -> Key:
        """Let a key end at an instant, unless it ends earlier. Raises `UnknownKey`."""

    @abstractmethod
    def revoke(self, id_: str) -> Key:
        """End a key at once and for ever. Raises `UnknownKey`."""

    @abstractmethod
    def used(self, last: Mapping[str, datetime]) -> None:
        """Note when keys were used last. Raises `Conflict` and `Unavailable` where it cannot be noted now."""


class Minted(NamedTuple):
    """A new key: what is kept, and the token itself, which is shown once."""

    key: Key
    token: str


def mint(
    owner: str, scopes: Collection[str], secret: str, now: datetime, expires_at: datetime | None = None
) -> Minted:
    """Make a key with 32 random bytes; `secret` is the installation's own."""
    id_ = "".join(secrets.choice(_NAME_CHARACTERS) for _ in range(_NAME_LENGTH))
    token = f"{PREFIX}{id_}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return Minted(Key(id_, owner, frozenset(scopes), digest(token, secret), now, expires_at), token)


def digest(token: str, secret: str) -> str:
    """Hash a token with the installation's secret: whoever reads the table can neither use nor try tokens."""
    return hmac.new(secret.encode(), token.encode(), sha256).hexdigest()


def id_of(token: str) -> str | None:
    """Read a key's id out of a token; None where it is no API key."""
    id_, _, rest = token.removeprefix(PREFIX).partition("_")
    return id_ if token.startswith(PREFIX) and rest and len(id_) == _NAME_LENGTH else None
