"""Following an event that is handled later: how far it has come, and what came of it."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from .delivery import Status, Stored
from .plans import EventPlan

OPERATOR = "operations:read"
"""The permission to look at what others sent."""


TAKEN_BACK = "taken back"
"""In place of a class of errors: somebody decided that it is not done."""


class Progress(StrEnum):
    """How far it has come."""

    WAITING = "waiting"
    """Something that it led to is still to be done, or done again."""
    DONE = "done"
    """All is done; the answer is there, if there is one."""
    FAILED = "failed"
    """Something was given up, and nobody will do it unless someone decides so."""


class Followed(NamedTuple):
    """How far an event has come.

    `answer` is what its sender would have been told, as JSON text, None before. When it failed, `kind` is the class
    of domain errors that refused it (`NotFound`) with its sentence in `said`, or `TAKEN_BACK`; None for any other
    failure.
    """

    state: Progress
    answer: str | None = None
    kind: str | None = None
    said: str = ""


_GIVEN_UP: Collection[Status] = (Status.DEAD, Status.PARKED)


def follow(stored: Stored, plan: EventPlan | None) -> Followed:
    """Judge how far an event has come; `plan` is None where this build does not know it."""
    if stored.answer is not None:
        return Followed(Progress.DONE, stored.answer)
    for step in stored.steps:
        if step.status is Status.DISCARDED:
            return Followed(Progress.FAILED, None, TAKEN_BACK)
        if step.status in _GIVEN_UP:
            error = step.errors[0] if step.errors else {}
            return Followed(
                Progress.FAILED, None, error.get("kind"), error.get("error", "").partition(": ")[2]
            )
    if any(step.status is not Status.DONE for step in stored.steps):
        return Followed(Progress.WAITING)
    main = plan.main.wire_name if plan is not None and plan.main is not None and plan.answers else None
    return Followed(Progress.DONE, next((answer for name, answer in stored.commands if name == main), None))
