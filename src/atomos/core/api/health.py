"""Health: alive is who answers, ready is whose checks all pass; a warning is told, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import structlog

from ..service.following import OPERATOR
from .problems import Kind

Check = Callable[[], str | None]
"""Looks at one thing that is needed: None where it is well, else one sentence that says what is not."""


class Health(NamedTuple):
    """What an application looks at when it is asked whether it is ready.

    A failing one of `checks` takes the process out of service, so they are what this process needs to answer.
    What is wrong with the whole installation is for `warnings`: every process would see it, and none would be
    left to serve.
    """

    checks: Mapping[str, Check]
    warnings: Mapping[str, Check]


NOT_READY = Kind("not-ready", 503, "Not ready")
"""How an application that is not ready is told."""

_log = structlog.get_logger()


def failing(checks: Mapping[str, Check]) -> dict[str, str]:
    """Run all checks, and say what is wrong by the name of the check; one that raises fails."""
    return dict(_failing(checks))


def _failing(checks: Mapping[str, Check]) -> Iterator[tuple[str, str]]:
    for name, check in checks.items():
        try:
            wrong = check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the check has failed
            # What it says may name hosts and users: that is for the log.
            _log.error("health.check_failed", check=name, exc_info=error)
            wrong = f"The check failed with {type(error).__name__}; the log has it."
        if wrong is not None:
            yield name, wrong


def told(wrong: Mapping[str, str]) -> dict[str, Any]:
    """Put failing checks into the words of a problem; none are told to who may not look."""
    if not wrong:
        return {"detail": f"Something that is needed is missing; who has {OPERATOR} is told what."}
    return {"detail": "; ".join(f"{name}: {said}" for name, said in wrong.items()), "checks": dict(wrong)}
