"""Cron text in time zones: when a schedule ticks, on the days too on which the clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.core.domain import Event
from atomos.core.service import every
from atomos.core.service.schedules import MOST_TICKS, Due, Planned, due, mistakes_of, ticks_after


class ReportDue(Event, name="schedules.due"):
    """What a schedule emits."""


def ticks(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The ticks after an instant, as the zone's clocks show them."""
    found = islice(ticks_after(cron, zone, datetime.fromisoformat(after)), count)
    return [each.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes") for each in found]


def test_a_time_that_an_hours_change_skips_comes_right_after_it() -> None:
    assert ticks("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00+01:00", 3) == [
        "2027-03-28T03:00+02:00",
        "2027-03-29T02:30+02:00",
        "2027-03-30T02:30+02:00",
    ]


def test_a_time_that_an_hours_change_doubles_comes_once() -> None:
    assert ticks("30 1 * * *", "America/New_York", "2027-11-06T12:00-04:00", 2) == [
        "2027-11-07T01:30-04:00",
        "2027-11-08T01:30-05:00",
    ]


def test_within_the_doubled_hour_what_has_come_does_not_come_again() -> None:
    assert ticks("30 2 * * *", "Europe/Berlin", "2027-10-31T02:10+01:00", 1) == ["2027-11-01T02:30+01:00"]


def test_what_ticks_every_half_hour_does_so_through_both_changes() -> None:
    assert ticks("*/30 * * * *", "Europe/Berlin", "2027-10-31T01:45+02:00", 5) == [
        "2027-10-31T02:00+02:00",
        "2027-10-31T02:30+02:00",
        "2027-10-31T02:00+01:00",
        "2027-10-31T02:30+01:00",
        "2027-10-31T03:00+01:00",
    ]
    assert ticks("*/30 * * * *", "Europe/Berlin", "2027-03-28T01:15+01:00", 3) == [
        "2027-03-28T01:30+01:00",
        "2027-03-28T03:00+02:00",
        "2027-03-28T03:30+02:00",
    ]


def test_a_skipped_time_that_falls_upon_another_tick_is_one_tick() -> None:
    assert ticks("0 2,3 * * *", "Europe/Berlin", "2027-03-28T00:00+01:00", 2) == [
        "2027-03-28T03:00+02:00",
        "2027-03-29T02:00+02:00",
    ]


def test_in_utc_no_hour_is_skipped_or_doubled() -> None:
    assert ticks("30 2 * * *", "UTC", "2027-03-27T12:00+00:00", 2) == [
        "2027-03-28T02:30+00:00",
        "2027-03-29T02:30+00:00",
    ]


def test_the_same_cron_text_is_another_instant_in_another_zone() -> None:
    after = datetime(2027, 1, 1, 12, tzinfo=UTC)
    found = {zone: next(ticks_after("0 6 * * MON-FRI", zone, after)) for zone in ("Asia/Tokyo", "UTC")}
    assert found == {
        "Asia/Tokyo": datetime(2027, 1, 3, 21, tzinfo=UTC),
        "UTC": datetime(2027, 1, 4, 6, tzinfo=UTC),
    }


@given(
    st.sampled_from(["30 2 * * *", "*/20 * * * *", "15 1,2,3 * * *", "0 0 * * *", "45 */2 * * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "UTC"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
)
def test_each_tick_is_later_than_the_one_before_wherever_one_begins(
    cron: str, zone: str, after: datetime
) -> None:
    found = list(islice(ticks_after(cron, zone, after), 8))
    assert after < found[0]
    assert found == sorted(set(found))
    assert list(islice(ticks_after(cron, zone, found[2]), 5)) == found[3:], "it may be left and taken up"


# What is due.

TEN = datetime(2027, 1, 15, 10, tzinfo=UTC)


def kept(catch_up: str, cron: str = "0 * * * *", tick: datetime = TEN) -> Planned:
    return Planned(name="it", cron=cron, zone="UTC", catch_up=catch_up, tick=tick)


@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
def test_before_its_time_nothing_is_due_and_on_time_one_tick(catch_up: str) -> None:
    assert due(kept(catch_up), TEN - timedelta(seconds=1)) == Due((), TEN, missed=False)
    assert due(kept(catch_up), TEN) == Due((TEN,), TEN + timedelta(hours=1), missed=False)


def test_what_was_missed_is_told_where_it_is_left_out() -> None:
    later = TEN + timedelta(hours=2, minutes=30)
    noon, one = TEN + timedelta(hours=2), TEN + timedelta(hours=3)
    assert due(kept("none"), later) == Due((), one, missed=True)
    assert due(kept("last"), later) == Due((noon,), one, missed=True)
    assert due(kept("all"), later) == Due((TEN, TEN + timedelta(hours=1), noon), one, missed=False)


def test_one_that_catches_up_with_none_still_emits_what_is_on_time_after_an_outage() -> None:
    noon = TEN + timedelta(hours=2)
    assert due(kept("none"), noon + timedelta(seconds=59)).ticks == (noon,)


def test_all_that_was_missed_is_due_in_parts() -> None:
    found = due(kept("all", "* * * * *"), TEN + timedelta(days=1))
    assert len(found.ticks) == MOST_TICKS
    assert found.following == TEN + timedelta(minutes=MOST_TICKS)


def test_the_newest_tick_is_found_however_long_the_outage() -> None:
    for days in (0, 1, 20, 300, 4000):
        now = TEN + timedelta(days=days, minutes=7)
        for cron, newest in (("0 * * * *", now - timedelta(minutes=7)), ("0 0 29 2 *", None)):
            found = due(kept("last", cron), now).ticks[0]
            assert found <= now
            assert found == (newest or found)
    assert due(kept("last", "0 0 29 2 *"), TEN + timedelta(days=4000)).ticks == (
        datetime(2036, 2, 29, tzinfo=UTC),
    )


def test_years_of_minutes_are_not_gone_through_one_by_one() -> None:
    now = TEN + timedelta(days=36_500)
    assert due(kept("last", "* * * * *"), now).ticks == (now,)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cron": "0 25 * * *"}, "'0 25 * * *': bad hour"),
        ({"cron": "0 2 * *"}, "five fields"),
        ({"cron": "0 0 2 * * *"}, "five fields"),
        ({"cron": "@daily"}, "five fields"),
        ({"cron": ""}, "five fields"),
        ({"cron": None}, "five fields"),
        ({"cron": "0 0 31 2 *"}, "bad day-of-month"),
        ({"zone": "Europe/Berlun"}, "'Europe/Berlun', which the time zone data does not have"),
        ({"zone": "../etc/passwd"}, "time zone data"),
        ({"zone": ""}, "time zone data"),
        ({"zone": None}, "time zone data"),
        ({"catch_up": "some"}, "expected one of none, last, all"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(changes: dict[str, Any], said: str) -> None:
    whole: dict[str, Any] = {"cron": "0 2 * * *", "event": ReportDue(), "zone": "Europe/Berlin"}
    [mistake] = mistakes_of(every(**{**whole, **changes}))
    assert said in mistake


def test_all_that_is_wrong_is_said() -> None:
    assert len(list(mistakes_of(every("x", ReportDue(), zone="y", catch_up="z")))) == 3  # type: ignore[arg-type]


def test_a_whole_schedule_has_no_mistake() -> None:
    assert (
        list(mistakes_of(every("0 2 * * MON-FRI", ReportDue(), zone="Europe/Berlin", catch_up="all"))) == []
    )
