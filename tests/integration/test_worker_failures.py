"""What becomes of a delivery that fails, and what it does not hold up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from atomos.core.adapters import Database
from atomos.core.domain import DomainError
from atomos.core.service import Backoff
from atomos.testing import MovedClock

from .conftest import ON_POSTGRESQL, ON_SQLITE
from .worker_samples import FAST, Answered, Bells, Called, Rung, Struck, Tolled, Whispered

SLOW_TO_RETRY = FAST._replace(backoff=Backoff(attempts=3, first=60, cap=600))


class Broken(Exception):
    """Not today."""


class NoSuchBell(DomainError):
    """There is no such bell."""


def fails(error: BaseException, *numbers: int) -> Callable[[Any], None]:
    """Raise for these numbers; without any, always."""

    def deed(message: Any) -> None:
        if not numbers or message.number in numbers:
            raise error

    return deed


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def bells(log_database: Database, clock: MovedClock) -> Bells:
    return Bells(log_database, clock=clock)


def test_what_failed_is_tried_again_after_a_pause_that_grows(bells: Bells, clock: MovedClock) -> None:
    worker = bells.worker(SLOW_TO_RETRY)
    bells.script.deeds["ring"] = fails(Broken("no rope"))
    bells.bus.emit(Rung())
    worker.drain()
    assert bells.rows("bells.ring")[0][1:] == ("retrying", 1, False, ["Broken: no rope"])
    clock.move(seconds=50)
    assert worker.drain() == 0, "its pause was not over"
    clock.move(seconds=20)
    assert worker.drain() == 1
    clock.move(seconds=100)
    assert worker.drain() == 0, "the second pause is as long as the first"
    bells.script.deeds.clear()
    clock.move(seconds=40)
    assert worker.drain() == 1
    assert bells.rows("bells.ring")[0][1:] == ("done", 3, False, ["Broken: no rope"] * 2)


def test_after_the_last_try_it_is_dead_and_the_next_of_its_key_goes_on(
    bells: Bells, clock: MovedClock
) -> None:
    worker = bells.worker(SLOW_TO_RETRY)
    bells.script.deeds["ring"] = fails(Broken("no rope"), 1)
    for number in (1, 2):
        bells.bus.emit(Rung(number=number))
    for _ in range(3):
        worker.drain()
        clock.move(hours=1)
    assert bells.script.heard["ring"] == [1, 1, 1, 2]
    assert bells.statuses("bells.ring") == ["dead", "done"]
    assert bells.rows("bells.ring")[0].attempts == 3


def test_one_with_more_attempts_than_are_left_to_it_is_tried_once_more_and_no_worker_is_blamed(
    bells: Bells, clock: MovedClock
) -> None:
    bells.script.deeds["ring"] = fails(Broken("no rope"))
    bells.bus.emit(Rung())
    for _ in range(2):
        bells.worker(SLOW_TO_RETRY).drain()
        clock.move(hours=1)
    bells.worker(SLOW_TO_RETRY._replace(backoff=Backoff(attempts=2))).drain()
    assert bells.rows("bells.ring")[0][1:] == ("dead", 3, False, ["Broken: no rope"] * 3)


def test_a_row_that_backs_off_holds_its_key_and_no_other(bells: Bells) -> None:
    bells.script.deeds["ring"] = fails(Broken(), 1)
    for bell, number in (("big", 1), ("big", 2), ("small", 3)):
        bells.bus.emit(Rung(bell=bell, number=number))
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.script.heard["ring"] == [1, 3]
    assert bells.statuses("bells.ring") == ["retrying", "ready", "done"]
    assert not bells.leases(), "the rest of its key is in nobody's hands"


def test_one_failing_recipient_holds_up_no_other(bells: Bells) -> None:
    bells.script.deeds["ring"] = fails(Broken())
    for number in range(3):
        bells.bus.emit(Rung(number=number))
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.statuses("bells.write_down") == ["done"] * 3
    assert bells.statuses("bells.ring") == ["retrying", "ready", "ready"]


def test_a_domain_error_is_final_at_once(bells: Bells) -> None:
    bells.script.deeds["ring"] = fails(NoSuchBell())
    bells.bus.emit(Rung())
    bells.worker().drain()
    assert bells.rows("bells.ring")[0][1:] == ("dead", 1, False, ["NoSuchBell: There is no such bell."])


def test_a_domain_error_of_a_triggered_command_is_final_and_changes_nothing(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.integration.worker_samples.DECISIONS", [7])
    bells.script.deeds["count"] = fails(NoSuchBell())
    bells.bus.send_later(Struck())
    bells.worker().drain()
    assert (bells.statuses("bells.decide"), bells.counts()) == (["dead"], [])


def test_a_route_that_parks_holds_its_key_until_someone_decides(bells: Bells, clock: MovedClock) -> None:
    bells.script.deeds["toll"] = fails(NoSuchBell(), 1)
    for bell, number in (("big", 1), ("big", 2), ("small", 3)):
        bells.bus.emit(Tolled(bell=bell, number=number))
    worker = bells.worker()
    worker.drain()
    clock.move(days=3)
    worker.drain()
    assert bells.statuses("bells.toll") == ["parked", "ready", "done"]
    bells.change("update atomos_delivery set status = 'discarded' where status = 'parked'")
    worker.drain()
    assert bells.script.heard["toll"] == [1, 3, 2]


def test_a_row_without_a_key_holds_up_no_other(bells: Bells) -> None:
    bells.script.deeds["whisper"] = fails(Broken(), 1)
    for number in (1, 2, 3):
        bells.bus.emit(Whispered(number=number))
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.statuses("bells.whisper") == ["retrying", "done", "done"]


def test_a_handler_that_wants_to_end_the_process_has_failed_like_any_other(bells: Bells) -> None:
    bells.script.deeds["ring"] = fails(SystemExit(3))
    bells.bus.emit(Rung())
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.rows("bells.ring")[0].errors == ["SystemExit: 3"]


@pytest.mark.parametrize("text", ["a \0 byte", "half a \ud800 pair", "two\nlines", "x" * 100_000])
def test_whatever_an_error_says_can_be_stored(bells: Bells, text: str) -> None:
    bells.script.deeds["ring"] = fails(NoSuchBell(text))
    bells.bus.emit(Rung())
    bells.worker().drain()
    [row] = bells.rows("bells.ring")
    assert row.status == "dead"
    assert row.errors[0].startswith(f"NoSuchBell: {text[:2]}")
    assert len(row.errors[0]) < 1200
    assert "\n" not in row.errors[0]


def test_an_error_that_cannot_say_what_it_is_still_counts(bells: Bells) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    bells.script.deeds["ring"] = fails(Mute())
    bells.bus.emit(Rung())
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.rows("bells.ring")[0].errors == ["Mute: (it cannot be shown)"]


def test_the_last_five_errors_are_kept_the_newest_first(bells: Bells, clock: MovedClock) -> None:
    worker = bells.worker(FAST._replace(backoff=Backoff(attempts=9, first=1)))
    for number in range(7):
        bells.script.deeds["ring"] = fails(Broken(str(number)))
        if not number:
            bells.bus.emit(Rung())
        worker.drain()
        clock.move(hours=1)
    assert bells.rows("bells.ring")[0].errors == [f"Broken: {n}" for n in (6, 5, 4, 3, 2)]


def test_what_this_build_cannot_read_stays_ready_for_one_that_can(bells: Bells) -> None:
    for bell, number in (("big", 1), ("big", 2), ("small", 3)):
        bells.bus.emit(Rung(bell=bell, number=number))
    first = bells.look("select min(seq) from atomos_delivery where recipient = 'bells.ring'")[0][0]
    of_first = "(select message_id from atomos_delivery where seq = :seq)"
    bells.change(f"update atomos_message set version = 2 where id = {of_first}", seq=first)  # noqa: S608
    old = bells.worker()
    assert old.drain() > 0
    assert bells.script.heard["ring"] == [3], "the rest of its key waits with it"
    assert bells.rows("bells.ring")[0][1:] == ("ready", 0, False, []), (
        "nothing is counted or noted against it"
    )
    assert old.drain() == 0, "it is not looked at again at once"
    assert not bells.leases()
    bells.change("update atomos_message set version = 1")
    assert bells.worker().drain() > 0, "another build"
    assert bells.script.heard["ring"] == [3, 1, 2]


def test_what_cannot_be_read_is_logged_with_its_diagnostic_and_remedy_once(bells: Bells) -> None:
    bells.bus.emit(Whispered())
    bells.change("update atomos_message set version = 2")
    with capture_logs() as logged:
        bells.worker().drain()
    (error,) = [each["error"] for each in logged if each["event"] == "delivery.unreadable"]
    assert "bells.whispered version 2" in error
    assert (error.count("ATM040"), error.count("add an upcaster")) == (1, 1)


def test_however_many_cannot_be_read_what_can_is_delivered(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomos.core.service.pace._MOST_NAMED", 20)
    for number in range(70):
        bells.bus.emit(Whispered(number=number))
    bells.change("update atomos_message set version = 99")
    bells.bus.emit(Whispered(number=70))
    bells.worker().drain()
    assert bells.statuses("bells.whisper") == ["ready"] * 70 + ["done"]


@pytest.mark.parametrize("payload", ['{"bell": 7}', "[]", '{"bell": "big", "number": "many"}'])
def test_a_row_that_is_broken_does_not_keep_the_others_waiting(bells: Bells, payload: str) -> None:
    bells.bus.emit(Whispered(number=1))
    cast = "cast(:payload as jsonb)" if bells.database.dialect == "postgresql" else ":payload"
    bells.change(f"update atomos_message set payload = {cast}", payload=payload)  # noqa: S608
    bells.bus.emit(Whispered(number=2))
    bells.worker().drain()
    assert bells.statuses("bells.whisper") == ["ready", "done"]


@ON_SQLITE
def test_a_row_in_no_json_at_all_does_not_keep_the_others_waiting(bells: Bells) -> None:
    bells.bus.emit(Whispered(number=1))
    bells.change("update atomos_message set payload = '{half'")
    bells.bus.emit(Whispered(number=2))
    bells.worker().drain()
    assert bells.statuses("bells.whisper") == ["ready", "done"]


def test_a_worker_that_lost_its_lease_begins_nothing_more_of_the_batch(bells: Bells) -> None:
    def lose_it_at_first(_: Any) -> list[Answered]:
        bells.script.deeds.clear()
        bells.change("delete from atomos_lease")
        return [Answered()]

    bells.script.deeds["call"] = lose_it_at_first
    for number in range(3):
        bells.bus.emit(Called(bell=f"bell-{number}", number=number))
    bells.worker().drain()
    assert bells.script.heard["call"] == [0, 0, 1, 2], "the first again, and the others only now"
    assert [row.attempts for row in bells.rows("bells.call")] == [1, 1, 1]


def test_a_failure_after_the_lease_was_lost_is_not_noted(bells: Bells) -> None:
    def lose(_: Any) -> None:
        bells.script.deeds.clear()
        bells.change("delete from atomos_lease")
        raise Broken

    bells.script.deeds["ring"] = lose
    bells.bus.emit(Rung())
    bells.worker().drain()
    assert bells.rows("bells.ring")[0][1:] == ("done", 1, False, [])


@ON_POSTGRESQL
def test_a_command_whose_lease_was_lost_changes_nothing(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.integration.worker_samples.DECISIONS", [7])
    rest = [lambda _: bells.change("delete from atomos_lease"), lambda _: None]
    bells.script.deeds["count"] = lambda command: rest.pop(0)(command)
    bells.bus.send_later(Struck())
    bells.worker().drain()
    assert bells.script.heard["count"] == [7, 7], "it was obeyed a second time"
    assert bells.counts() == [7], "and applied once"


def test_a_called_bell_that_fails_says_nothing_of_what_came_of_it(bells: Bells) -> None:
    bells.script.deeds["call"] = fails(Broken())
    bells.bus.emit(Called())
    bells.worker(SLOW_TO_RETRY).drain()
    assert bells.messages("bells.answered") == []
