"""Entities, which have an identity, and aggregates, which are changed as a whole and record what happened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from .messages import Event


class Entity(ABC):
    """A thing with an identity: two are equal when they are of one class and have one identity."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells it from every other of its class."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.identity == self.identity

    def __hash__(self) -> int:
        return hash((type(self), self.identity))


class Aggregate(Entity):
    """An entity that guards the rules of all that hangs on it; its repository is the only way to it.

    `version` counts its changes, from 1; the unit of work raises it, also when only a child changed.
    Its identity is the ordering key of the events that it records.
    """

    version: int = 1

    def record(self, event: Event[Any]) -> None:
        """Note what happened. The unit of work stores it in the transaction of the change."""
        vars(self).setdefault("_recorded", []).append(event)

    def take_recorded(self) -> tuple[Event[Any], ...]:
        """Hand over what was recorded since the last time, in order, and forget it."""
        return tuple(vars(self).pop("_recorded", ()))

    @property
    def has_recorded(self) -> bool:
        """Whether there is something to hand over."""
        return bool(vars(self).get("_recorded"))
