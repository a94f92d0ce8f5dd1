"""The ledger on a host whose clock is off by ATOMOS_TEST_AHEAD seconds: it names this module as its application."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

AHEAD = int(os.environ.get("ATOMOS_TEST_AHEAD", "0"))

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + AHEAD
time.time_ns = lambda: _time_ns() + AHEAD * 1_000_000_000


class Ahead(datetime):
    """A date and time whose now is off."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        """Give the host's time."""
        return datetime.now(tz) + timedelta(seconds=AHEAD)


def _be_off() -> None:
    from atomos.core.adapters import clock

    clock.datetime = Ahead  # type: ignore[attr-defined]
    assert abs((clock.SystemClock().now() - datetime.now(UTC)).total_seconds() - AHEAD) < 60


_be_off()

from atomos.testing.faults.ledger.container import Application  # noqa: E402

__all__ = ["Application"]
