"""The testing kit: a pytest plugin, fakes, adapters in memory, overrides, and a conformance suite for each port."""

from .clock import MovedClock
from .fakes import RecordedNotifications
from .identity import IdentityProvider
from .memory import MemoryRepository, MemoryStore, MemoryUnitOfWork
from .overriding import UnfitFake, override
from .probing import handling

__all__ = [
    "IdentityProvider",
    "MemoryRepository",
    "MemoryStore",
    "MemoryUnitOfWork",
    "MovedClock",
    "RecordedNotifications",
    "UnfitFake",
    "handling",
    "override",
]
