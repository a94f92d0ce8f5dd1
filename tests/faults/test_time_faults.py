"""Times that are wrong or come all at once: hosts whose clocks are off, thousands due in one second, outages."""

# ruff: noqa: S608 - statements are put together from constants of the tests

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from atomos.core.adapters import Database, DatabaseClock
from atomos.core.service import Origin
from atomos.core.service.envelope import hashed_id
from atomos.core.service.ports import Unavailable
from atomos.testing.faults import Scenario
from atomos.testing.faults.ledger.messages import Deposited, Reminded
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL, PROJECT, Sound, drive_all
from .wire import Wire

pytestmark = pytest.mark.timeout(300)

HOUR = 3600
SECONDS = 60.0
NUMBERS = range(30)


def start_off(scenario: Scenario, ahead: int) -> None:
    """Start a worker on a host whose clock is off by so many seconds."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    scenario.start_worker(
        settings={
            "ATOMOS_APP": "tests.faults.hour_off:Application",
            "ATOMOS_TEST_AHEAD": str(ahead),
            "PYTHONPATH": path,
        }
    )


@ON_POSTGRESQL
def test_hosts_whose_clocks_are_an_hour_off_take_nothing_from_each_other_and_nothing_too_early(
    scenario: Scenario, is_sound: Sound
) -> None:
    soon = Origin(id=hashed_id("soon"))
    scenario.bus.send_later(Reminded(account="later", number=1), soon, delay=timedelta(minutes=30))
    # Longer than a lease: its worker keeps it by the database's clock.
    scenario.bus.emit(Deposited(account="slow", number=1, deed="notify wait 4"))
    drive_all(scenario, NUMBERS[:15])
    start_off(scenario, HOUR)
    start_off(scenario, -HOUR)
    drive_all(scenario, NUMBERS[15:])
    waiting = "select count(*) from atomos_delivery where status in ('ready', 'retrying')"
    wait_until(lambda: scenario.number(waiting) == 0, SECONDS, "all that is due")
    wait_until(lambda: scenario.look("select 1 from atomos_lease") == [], SECONDS, "all leases")
    assert scenario.look("select recipient from atomos_delivery where losses > 0") == [], (
        "a lease was taken away"
    )
    [(status, left)] = scenario.look(
        "select status, extract(epoch from until - statement_timestamp()) from atomos_delivery"
        f" where message_id = '{soon.id}'"
    )
    assert status == "scheduled"
    assert 25 * 60 < left < 30 * 60


@ON_POSTGRESQL
def test_what_is_due_after_a_delay_is_so_by_the_databases_clock(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HourAhead(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=1)

    monkeypatch.setattr("atomos.core.adapters.clock.datetime", HourAhead)
    scenario.bus.send_later(Reminded(account="one", number=1), delay=timedelta(minutes=10))
    [(left,)] = scenario.look("select extract(epoch from until - statement_timestamp()) from atomos_delivery")
    assert 9 * 60 < left <= 10 * 60


@ON_POSTGRESQL
def test_the_databases_clock_goes_on_while_the_database_is_away_but_does_not_begin_then(
    scenario: Scenario, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomos.core.adapters.clock._AGREED_SECONDS", 0)
    with Wire(ledger_url) as wire:
        database = Database(wire.url)
        clock = DatabaseClock(database)
        first = clock.now()
        [(told,)] = scenario.look("select clock_timestamp()")
        assert abs((first - told).total_seconds()) < 30
        assert first.tzinfo is UTC
    assert clock.now() > first
    with pytest.raises(Unavailable):
        DatabaseClock(database).now()
    database.close()
