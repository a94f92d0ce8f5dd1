"""A load and a check as a user writes them, for a test of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from atomos.core.service import MessageBus
from atomos.testing.faults.ledger.driving import drive

__all__ = ["drive", "find_fault"]


def find_fault(atomos: Any, numbers: Sequence[int]) -> Iterator[str]:
    """Dislike everything."""
    assert isinstance(atomos.bus, MessageBus)
    if numbers:
        yield "the check saw numbers, and did not like them"
