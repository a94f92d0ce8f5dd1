"""Schedules of a whole application, as a project tests them: `clock.move(...)`, then `drain()`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from dependency_injector import containers, providers

from atomos.bootstrap import Atomos, load_settings
from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Event
from atomos.core.service import Notifications, Routes, every, join
from atomos.testing import MovedClock, RecordedNotifications


class DayEnded(Event, name="shifts.day-ended"):
    day: str


def day_ended(tick: datetime) -> DayEnded:
    return DayEnded(day=str(tick.date() - timedelta(days=1)))


def report(event: DayEnded, notifications: Notifications) -> None:
    notifications.send(to="night@shifts.example", subject=f"Report of {event.day}", text="All is well.")


ROUTES = Routes(
    reactions={DayEnded: [report]},
    schedules={"nightly-report": every("0 0 * * *", day_ended, zone="Europe/Berlin", catch_up="all")},
)
SHIFTS = Context(name="shifts", routes=(ROUTES,))


class ShiftsContainer(containers.DeclarativeContainer):
    """Shifts: a context with a schedule."""

    core = providers.DependenciesContainer()
    notifications = core.notifications


class Shifts(containers.DeclarativeContainer):
    """An application of one context."""

    contexts = (SHIFTS,)

    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(shifts=[ROUTES]))
    shifts = providers.Container(ShiftsContainer, core=core)


@pytest.fixture
def database_url(log_url: str) -> str:
    """A database with the log's tables; this application has no others."""
    return log_url


@pytest.fixture
def make_atomos() -> Callable[[str], Atomos]:
    """What makes this application, in place of the reference service."""
    settings = load_settings(Shifts, profile="test")
    return lambda url: Atomos(Shifts, replace(settings, database=replace(settings.database, url=url)))


def test_a_schedule_ticks_when_the_clock_is_moved(
    atomos: Any, clock: MovedClock, drain: Callable[[], int], override: Any
) -> None:
    told = override(atomos.container.core.notifications, RecordedNotifications())
    clock.move(days=1)
    drain()
    clock.move(days=2)
    drain()
    assert len(told.sent) == 3
    assert all(each.subject.startswith("Report of 2") for each in told.sent)


def test_what_a_worker_tells_others_has_the_schedules_declaration(atomos: Any) -> None:
    reads = atomos.container.core.codec().reads
    assert "schedule:nightly-report 0 0 * * * Europe/Berlin all" in reads
    assert "shifts.day-ended 1" in reads
