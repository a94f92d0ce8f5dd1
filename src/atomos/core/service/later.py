"""What is heard later: when it is due, and the timer under which it is replaced or taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..domain.messages import Event
from .errors import NoTimerKey


class Later(NamedTuple):
    """An event that a unit of work sends later.

    `until` is when it is due (aware), None for at once. `name` is its timer's within the context, None where
    there is none; it belongs to `key`, which also is the ordering key.
    """

    id: str
    event: Event[Any]
    until: datetime | None
    name: str | None
    key: str | None


def due(at: datetime | None, delay: timedelta | None, now: Callable[[], datetime]) -> datetime | None:
    """Say when something is due: at an instant, after a delay, or at once (None). Raises `ValueError`."""
    if at is not None and (delay is not None or at.tzinfo is None):
        raise ValueError("send_later takes either `at`, with a time zone, or `delay`.")
    return at if delay is None else now() + delay


def timer_of(name: str, key: str | None) -> str:
    """Give a timer's full title, from its name with the context's (`allocation.deadline`) and its key.

    Raises `NoTimerKey`, and `ValueError` for a name that is empty or has a blank in it.
    """
    if key is None:
        raise NoTimerKey(f"The timer {name} has no key.")
    if name.split() != [name]:
        raise ValueError(f"A timer's name is not empty and has no blank in it; {name!r} was given.")
    return f"{name} {key}"
