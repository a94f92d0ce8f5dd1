"""Schedules on a real log: once in the whole installation, restarts, outages, and builds that say different things."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from atomos.core.adapters import Database
from atomos.core.adapters.operations.inspection import SqlInspection
from atomos.core.adapters.operations.retention import SqlRetention
from atomos.core.service import LeaseLost, Schedule, every
from atomos.core.service.envelope import timed_id
from atomos.core.service.schedules import declaration
from atomos.testing import MovedClock
from atomos.testing.processes import wait_until

from .schedule_samples import HOURLY, Chimes, Heard, HourEnded, hour_ended
from .worker_samples import FAST

SECONDS = 30.0


class SetClock(MovedClock):
    """Stands still where a test puts it."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self.at = at

    def now(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime(2027, 1, 15, 9, 59, 30, tzinfo=UTC))


@pytest.fixture
def chimes(log_database: Database, clock: SetClock) -> Chimes:
    return Chimes(log_database, clock=clock)


def hours(*numbers: int) -> list[datetime]:
    return [datetime(2027, 1, 15, number, tzinfo=UTC) for number in numbers]


def test_a_schedule_ticks_when_its_time_has_come_and_waits_for_the_next(
    chimes: Chimes, clock: SetClock
) -> None:
    assert chimes.drain() == 0
    assert chimes.state() == [("scheduled", 0)]
    clock.move(seconds=30)
    assert chimes.drain() == 2
    assert chimes.heard.hours == hours(10)
    assert chimes.state() == [("scheduled", 0)]
    assert chimes.drain() == 0
    clock.move(hours=1)
    assert chimes.drain() == 2
    assert chimes.heard.hours == hours(10, 11)


def test_a_ticks_event_begins_a_conversation_and_names_the_schedule_as_its_cause(
    chimes: Chimes, clock: SetClock
) -> None:
    chimes.drain()
    clock.move(hours=1)
    chimes.drain()
    [(kept,)] = chimes.look("select id from atomos_message where kind = 'schedule'")
    [(tick, correlation, cause, key)] = chimes.look(
        "select id, correlation_id, causation_id, ordering_key from atomos_message where kind = 'event'"
    )
    assert (correlation, cause, key) == (tick, kept, "schedule:chimes")


def test_the_id_of_a_ticks_event_is_derived_from_name_and_instant_and_sorts_by_time(
    chimes: Chimes, clock: SetClock, log_url: str
) -> None:
    chimes.drain()
    for _ in range(3):
        clock.move(hours=1)
        chimes.drain()
    ids = [
        str(row[0]) for row in chimes.look("select id from atomos_message where kind = 'event' order by id")
    ]
    assert ids == [timed_id(tick, "schedule", "chimes") for tick in hours(10, 11, 12)]


@pytest.mark.parametrize(
    ("catch_up", "heard"), [("none", [14]), ("last", [13, 14]), ("all", [10, 11, 12, 13, 14])]
)
def test_after_an_outage_the_policy_says_which_ticks_are_made_up_for(
    log_database: Database, clock: SetClock, catch_up: Any, heard: list[int]
) -> None:
    chimes = Chimes(log_database, every("0 * * * *", hour_ended, catch_up=catch_up), clock=clock)
    chimes.drain()
    clock.move(hours=3, minutes=30)
    chimes.drain()
    clock.move(minutes=31)
    chimes.drain()
    assert chimes.heard.hours == hours(*heard)


def test_a_tick_within_its_minute_is_not_late(log_database: Database, clock: SetClock) -> None:
    chimes = Chimes(log_database, every("0 * * * *", hour_ended, catch_up="none"), clock=clock)
    chimes.drain()
    clock.move(seconds=90)
    chimes.drain()
    assert chimes.heard.hours == hours(10)


def test_what_was_missed_is_logged(chimes: Chimes, clock: SetClock) -> None:
    chimes.drain()
    clock.move(hours=5)
    with capture_logs() as logs:
        chimes.drain()
    [said] = [each for each in logs if each["event"] == "schedule.missed"]
    assert (said["schedule"], said["since"], said["catch_up"]) == ("chimes", *hours(10), "last")


def test_hundreds_of_missed_ticks_are_made_up_for_in_order_a_part_at_a_time(
    log_database: Database, clock: SetClock
) -> None:
    chimes = Chimes(log_database, every("* * * * *", hour_ended, catch_up="all"), clock=clock)
    chimes.drain()
    begin = clock.now()
    clock.move(minutes=250)
    chimes.drain()
    assert chimes.heard.hours == [begin + timedelta(seconds=30, minutes=n) for n in range(250)]


def test_two_that_begin_at_the_same_instant_make_one_schedule_of_it(chimes: Chimes) -> None:
    both = threading.Barrier(2)

    def begin(_: int) -> None:
        both.wait(SECONDS)
        chimes.bus.arrange()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(begin, range(2)))
    assert chimes.state() == [("scheduled", 0)]


def test_of_several_workers_at_one_tick_one_emits_it(log_database: Database, clock: SetClock) -> None:
    heard, hourly = Heard(), every("0 * * * *", hour_ended, catch_up="all")
    several = [Chimes(log_database, hourly, clock=clock, heard=heard) for _ in range(3)]
    first = several[0]
    first.bus.arrange()
    workers = [each.worker() for each in several]
    for worker in workers:
        worker.start()
    try:
        for number in range(1, 11):
            clock.move(hours=1)
            wait_until(lambda number=number: len(set(heard.hours)) == number, SECONDS, "the tick")
    finally:
        for worker in workers:
            worker.stop()
    assert first.look("select count(*) from atomos_message where kind = 'event'") == [(10,)]
    # Whatever was in hand when the clock was moved lost its lease, and may have been heard twice.
    assert sorted(set(heard.hours)) == hours(*range(10, 20))


def test_a_tick_whose_worker_lost_its_lease_emits_nothing_and_another_emits_it_once(
    chimes: Chimes, clock: SetClock
) -> None:
    chimes.drain()
    clock.move(minutes=1)
    chimes.deliveries.tidy("schedule:chimes")
    stalled = chimes.deliveries.claim("schedule:chimes", 1, "stalled").claimed[0]
    clock.move(seconds=FAST.lease + 1)
    assert chimes.drain() == 2
    with pytest.raises(LeaseLost):
        chimes.bus.deliver(stalled)
    assert chimes.heard.hours == hours(10)
    assert chimes.state() == [("scheduled", 0)]


def test_a_schedule_that_was_made_ready_too_early_goes_back_to_its_time(
    chimes: Chimes, clock: SetClock
) -> None:
    chimes.drain()
    chimes.change("update atomos_delivery set status = 'ready', until = null")
    assert chimes.drain() == 1
    assert chimes.heard.hours == []
    clock.move(seconds=30)
    chimes.drain()
    assert chimes.heard.hours == hours(10)


def test_a_tick_that_is_stored_already_is_not_emitted_again(chimes: Chimes, clock: SetClock) -> None:
    chimes.drain()
    clock.move(hours=1)
    chimes.drain()
    clock.move(hours=-1)
    chimes.change("delete from atomos_delivery where recipient = 'schedule:chimes'")
    chimes.change("delete from atomos_message where kind = 'schedule'")
    chimes.drain()
    clock.move(hours=1)
    chimes.drain()
    assert chimes.heard.hours == hours(10)
    assert chimes.state() == [("scheduled", 0)]


def test_a_tick_that_fails_holds_up_the_next_and_is_not_lost(chimes: Chimes, clock: SetClock) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("no paper")

    chimes.drain()
    chimes.heard.deed = fail
    clock.move(minutes=1)
    chimes.drain()
    assert chimes.look("select status from atomos_delivery where recipient = 'chimes.hear'") == [
        ("retrying",)
    ]
    chimes.heard.deed = lambda _: None
    clock.move(hours=1)
    chimes.drain()
    assert chimes.heard.hours == hours(10, 10, 11)


def test_a_schedule_whose_function_fails_is_tried_again_and_ticks_when_it_is_mended(
    log_database: Database, clock: SetClock
) -> None:
    broken = True

    def sometimes(tick: datetime) -> HourEnded:
        if broken:
            raise RuntimeError("no such day")
        return hour_ended(tick)

    chimes = Chimes(log_database, every("0 * * * *", sometimes), clock=clock)
    chimes.drain()
    for _ in range(30):
        clock.move(minutes=10)
        chimes.drain()
    broken = False
    clock.move(minutes=10)
    chimes.drain()
    assert chimes.heard.hours == hours(15)
    assert chimes.state() == [("scheduled", 0)]


def test_the_function_is_told_the_tick_in_the_schedules_zone(log_database: Database, clock: SetClock) -> None:
    told = []

    def day_ended(tick: datetime) -> HourEnded:
        told.append(tick)
        return hour_ended(tick)

    chimes = Chimes(log_database, every("0 0 * * *", day_ended, zone="Asia/Tokyo"), clock=clock)
    chimes.drain()
    clock.move(hours=6)
    chimes.drain()
    assert [tick.isoformat() for tick in told] == ["2027-01-16T00:00:00+09:00"]
    assert chimes.heard.hours == hours(15)


# Builds that declare it in another way, or not at all.


def live(chimes: Chimes, schedule: Schedule | None) -> None:
    """Let a worker of a build that declares this be alive, or none."""
    chimes.change("delete from atomos_worker")
    if schedule is None:
        return
    said, now = declaration("chimes", schedule), chimes.clock.now()
    on_sqlite = chimes.database.dialect == "sqlite"
    at: Any = int(now.timestamp() * 1_000_000) if on_sqlite else now
    with chimes.database.transaction() as connection:
        statement = "insert into atomos_worker (id, host, pid, version, started, seen, reads)"
        values = {"at": at, "reads": json.dumps([said]) if on_sqlite else [said]}
        connection.execute(text(f"{statement} values ('w', 'h', 1, '1', :at, :at, :reads)"), values)


HALF_HOURLY = every("30 * * * *", hour_ended)


def test_another_declaration_is_planned_anew_when_no_worker_of_the_kept_one_is_alive(
    log_database: Database, clock: SetClock
) -> None:
    old = Chimes(log_database, clock=clock)
    new = Chimes(log_database, HALF_HOURLY, clock=clock)
    old.drain()
    live(old, HOURLY)
    new.drain()
    clock.move(minutes=1)
    new.drain()
    assert new.heard.hours == hours(10), "the new build goes by what is kept"
    live(old, None)
    new.drain()
    clock.move(minutes=30)
    new.drain()
    assert new.heard.hours == [*hours(10), datetime(2027, 1, 15, 10, 30, tzinfo=UTC)]
    assert new.state() == [("scheduled", 0)]


def test_a_build_that_is_taken_back_has_its_way_again(log_database: Database, clock: SetClock) -> None:
    old = Chimes(log_database, clock=clock)
    new = Chimes(log_database, HALF_HOURLY, clock=clock)
    new.drain()
    live(new, HALF_HOURLY)
    old.drain()
    live(new, None)
    old.drain()
    clock.move(minutes=31)
    old.drain()
    assert old.heard.hours == hours(10)


def test_a_tick_that_is_due_comes_before_another_declaration(log_database: Database, clock: SetClock) -> None:
    old = Chimes(log_database, clock=clock)
    new = Chimes(log_database, HALF_HOURLY, clock=clock)
    old.drain()
    clock.move(minutes=1)
    new.drain()
    assert new.heard.hours == hours(10)
    new.drain()
    clock.move(minutes=30)
    new.drain()
    assert new.heard.hours == [*hours(10), datetime(2027, 1, 15, 10, 30, tzinfo=UTC)]


def test_a_schedule_that_no_build_declares_stays_visible_and_ticks_no_more(
    log_database: Database, clock: SetClock
) -> None:
    Chimes(log_database, clock=clock).drain()
    without = Chimes(log_database, None, clock=clock)
    clock.move(hours=2)
    without.drain()
    assert without.heard.hours == []
    assert [status for status, _ in without.state()] in (["scheduled"], ["ready"])


def test_one_that_was_discarded_stays_so_when_a_worker_begins(chimes: Chimes, clock: SetClock) -> None:
    chimes.drain()
    chimes.change("update atomos_delivery set status = 'discarded'")
    clock.move(hours=2)
    chimes.drain()
    assert chimes.state() == [("discarded", 0)]


def test_nothing_is_damaged_by_ticks_and_what_is_discarded_is_kept_from_the_purge(
    chimes: Chimes, clock: SetClock
) -> None:
    chimes.drain()
    clock.move(hours=1)
    chimes.drain()
    assert SqlInspection(chimes.database, lease=FAST.lease).audit(()).damages == ()
    chimes.change("update atomos_delivery set status = 'discarded' where recipient = 'schedule:chimes'")
    for _ in range(2):
        SqlRetention(chimes.database, 1, before=datetime(2100, 1, 1, tzinfo=UTC))()
    assert chimes.look("select kind from atomos_message") == [("schedule",)]
    chimes.drain()
    assert chimes.state() == [("discarded", 0)]


def test_the_database_says_what_time_it_is(log_database: Database) -> None:
    chimes = Chimes(log_database)
    assert abs(chimes.schedules.now() - datetime.now(UTC)) < timedelta(minutes=5)
