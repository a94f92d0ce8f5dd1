"""Timers: what a unit of work or the bus sends later, under which name, and how it is replaced or taken back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.domain import Command
from atomos.core.service import Conflict, Origin, Principal, Routes, by
from atomos.core.service.envelope import new_id
from atomos.core.service.errors import NoTimerKey, NotListed
from atomos.testing import MovedClock

from .worker_samples import (
    COUNTS,
    Bell,
    Bells,
    BellsUnitOfWork,
    Called,
    Chimed,
    Rung,
    Script,
    Whispered,
    insert,
)

Work = Callable[[BellsUnitOfWork], Any]
HOUR = timedelta(hours=1)


class Wind(Bell, Command, name="bells.wind"):
    """Does in its unit of work what the test says."""


def wind(command: Wind, uow: BellsUnitOfWork, script: Script) -> None:
    with uow:
        uow.session.execute(insert(COUNTS).values(bell=command.bell, number=command.number))
        script.deeds["wind"](uow)
        return uow.commit()


def ring(event: Rung, script: Script) -> None:
    script.perform("ring", event)


def listen(event: Rung, script: Script) -> None:
    script.perform("listen", event)


ROUTES = Routes(
    triggers={Chimed: [Wind]},
    commands={Wind: wind},
    records={Wind: [Rung, Called]},
    reactions={Rung: [ring, by("bell", listen)]},
    ignored={Called: "a test sends it to nobody", Whispered: "a test sends it, though no command lists it"},
)


class Timers(Bells):
    """The application with a command whose unit of work a test can use."""

    def obey(self, work: Work, origin: Origin = Origin()) -> None:  # noqa: B008 - a value
        """Do something in the unit of work of a command."""
        self.script.deeds["wind"] = work
        self.bus.emit(Chimed(), origin)

    def later(self, number: int, name: str | None = "strike", key: str | None = "big", **when: Any) -> str:
        """Send a numbered event later, in a unit of work of its own, after an hour or as said; give its id."""
        ids: list[str] = []
        event, when = Rung(number=number), when or {"delay": HOUR}
        self.obey(lambda uow: ids.append(uow.send_later(event, name=name, key=key, **when)))
        return ids[0]

    def cancel(self, name: str = "strike", key: str = "big") -> bool:
        """Take it back in a unit of work; say what that said."""
        told: list[bool] = []
        self.obey(lambda uow: told.append(uow.cancel(name, key)))
        return told[0]

    def heard_after(self, **by: float) -> list[int]:
        """What is heard when so much time has passed."""
        self.clock.move(**by)
        self.worker().drain()
        assert self.script.heard["ring"] == self.script.heard["listen"]
        return self.script.heard["ring"]

    def is_whole(self) -> bool:
        """Whether every message has as many deliveries as it says."""
        return not self.look(
            "select id from atomos_message m where deliveries <> "
            "(select count(*) from atomos_delivery d where d.message_id = m.id)"
        )


@pytest.fixture
def timers(log_database: Database) -> Timers:
    return Timers(log_database, clock=MovedClock(), routes=ROUTES)


def test_what_a_unit_of_work_sends_later_waits_for_its_time(timers: Timers) -> None:
    timers.later(1, name=None)
    assert timers.heard_after(minutes=59) == []
    assert timers.heard_after(minutes=2) == [1]


def test_it_may_be_an_instant(timers: Timers) -> None:
    timers.later(1, at=timers.clock.now() + HOUR)
    assert timers.heard_after(minutes=59) == []
    assert timers.heard_after(minutes=2) == [1]


@pytest.mark.parametrize("when", [{"delay": -HOUR}, {"delay": timedelta()}])
def test_a_time_that_has_passed_is_due_at_once(timers: Timers, when: dict[str, Any]) -> None:
    timers.later(1, **when)
    assert timers.heard_after() == [1]


def test_without_a_time_it_is_due_at_once(timers: Timers) -> None:
    timers.obey(lambda uow: uow.send_later(Rung(number=1)))
    assert timers.heard_after() == [1]


def test_it_belongs_to_the_conversation_of_the_command(timers: Timers) -> None:
    origin = Origin(Principal("ana"), correlation_id=(conversation := new_id()))
    timers.obey(lambda uow: uow.send_later(Rung(), delay=HOUR), origin)
    [command] = timers.messages("bells.wind")
    columns = "correlation_id, causation_id, principal"
    [row] = timers.look(f"select {columns} from atomos_message where name = 'bells.rung'")  # noqa: S608
    assert tuple(map(str, row)) == (conversation, command, "ana")


def test_without_a_commit_nothing_is_sent(timers: Timers) -> None:
    def fail(uow: BellsUnitOfWork) -> None:
        uow.send_later(Rung(), delay=HOUR, name="strike", key="big")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        timers.obey(fail)
    assert timers.rows() == []


def test_the_same_name_and_key_replaces_what_waits(timers: Timers) -> None:
    timers.later(1)
    second = timers.later(2)
    assert timers.statuses("bells.ring") == ["discarded", "scheduled"]
    assert timers.rows("bells.ring")[0].errors == [f"replaced by {second}"]
    assert timers.heard_after(hours=2) == [2]
    assert timers.is_whole()


def test_within_one_unit_of_work_the_last_one_counts(timers: Timers) -> None:
    def twice(uow: BellsUnitOfWork) -> None:
        for number in (1, 2):
            uow.send_later(Rung(number=number), delay=HOUR, name="strike", key="big")

    timers.obey(twice)
    assert timers.statuses("bells.ring") == ["scheduled"]
    assert timers.heard_after(hours=2) == [2]


@pytest.mark.parametrize("other", [{"name": "other"}, {"key": "other"}, {"name": None}])
def test_another_name_or_key_replaces_nothing(timers: Timers, other: dict[str, Any]) -> None:
    timers.later(1)
    timers.later(2, **other)
    assert sorted(timers.heard_after(hours=2)) == [1, 2]


def test_it_can_be_taken_back_once(timers: Timers) -> None:
    timers.later(1)
    assert [timers.cancel(), timers.cancel()] == [True, False]
    [row] = timers.rows("bells.ring")
    [_, first, _] = sorted(timers.messages("bells.wind"))
    assert (row.status, row.errors) == ("discarded", [f"cancelled by bells.wind {first}"])
    assert timers.heard_after(hours=2) == []
    assert timers.is_whole()


def test_what_the_same_unit_of_work_sent_is_taken_back_too(timers: Timers) -> None:
    def send_and_cancel(uow: BellsUnitOfWork) -> None:
        uow.send_later(Rung(number=2), delay=HOUR, name="strike", key="big")
        assert uow.cancel("strike", "big")
        assert not uow.cancel("strike", "big")

    timers.later(1)
    timers.obey(send_and_cancel)
    assert timers.heard_after(hours=2) == []


def test_a_unit_of_work_that_fails_takes_nothing_back(timers: Timers) -> None:
    def fail(uow: BellsUnitOfWork) -> None:
        assert uow.cancel("strike", "big")
        raise RuntimeError("on purpose")

    timers.later(1)
    with pytest.raises(RuntimeError, match="on purpose"):
        timers.obey(fail)
    assert timers.heard_after(hours=2) == [1]


def test_what_was_heard_is_not_taken_back(timers: Timers) -> None:
    timers.later(1)
    assert timers.heard_after(hours=2) == [1]
    assert not timers.cancel()
    assert timers.statuses("bells.ring") == ["done"]


def test_what_is_on_its_way_is_neither_taken_back_nor_replaced(timers: Timers) -> None:
    timers.later(1)
    timers.clock.move(hours=2)
    timers.deliveries.enrol(["bells.ring"])
    timers.deliveries.tidy("bells.ring")
    assert not timers.cancel()
    timers.later(2, delay=timedelta())
    assert timers.heard_after() == [1, 2]


def test_after_a_conflict_everything_is_fresh(timers: Timers) -> None:
    tries = iter([Conflict("someone was first"), None])

    def work(uow: BellsUnitOfWork) -> None:
        uow.send_later(Rung(number=1), delay=HOUR)
        uow.cancel("strike", "big")
        if (error := next(tries)) is not None:
            raise error

    timers.later(2)
    timers.obey(work)
    assert timers.heard_after(hours=2) == [1]


def test_an_event_that_the_command_does_not_list_is_refused(timers: Timers) -> None:
    with pytest.raises(NotListed, match="ATM033: The handler sent later Whispered during Wind"):
        timers.obey(lambda uow: uow.send_later(Whispered(), delay=HOUR))


def test_an_event_that_nobody_hears_is_stored(timers: Timers) -> None:
    timers.obey(lambda uow: uow.send_later(Called(), delay=HOUR))
    assert len(timers.messages("bells.called")) == 1


def test_a_timer_needs_a_key(timers: Timers) -> None:
    with pytest.raises(NoTimerKey, match="strike has no key, and BellsUnitOfWork has no aggregates"):
        timers.obey(lambda uow: uow.send_later(Rung(), delay=HOUR, name="strike"))
    with pytest.raises(NoTimerKey, match="ATM070"):
        timers.bus.send_later(Rung(), delay=HOUR, name="bells.strike")


@pytest.mark.parametrize("name", ["", "two words", " strike"])
def test_a_timers_name_is_one_word(timers: Timers, name: str) -> None:
    with pytest.raises(ValueError, match="has no blank in it"):
        timers.later(1, name=name)


def test_a_time_needs_a_zone(timers: Timers) -> None:
    naive = datetime(2030, 1, 1)
    with pytest.raises(ValueError, match="with a time zone"):
        timers.later(1, at=naive)
    with pytest.raises(ValueError, match="either"):
        timers.later(1, at=timers.clock.now(), delay=HOUR)


# On the bus, where a timer's name has its context's in front.


def send(timers: Timers, number: int, origin: Origin = Origin()) -> str:  # noqa: B008 - a value
    return timers.bus.send_later(Rung(number=number), origin, delay=HOUR, name="bells.strike", key="big")


def test_the_bus_replaces_what_a_unit_of_work_sent(timers: Timers) -> None:
    timers.later(1)
    send(timers, 2)
    assert timers.heard_after(hours=2) == [2]
    assert timers.is_whole()


def test_the_bus_takes_back_what_a_unit_of_work_sent(timers: Timers) -> None:
    timers.later(1)
    assert timers.bus.cancel("bells.strike", "big", Origin(Principal("ana")))
    assert timers.rows("bells.ring")[0].errors == ["cancelled by ana"]
    assert not timers.bus.cancel("bells.strike", "big")
    assert timers.heard_after(hours=2) == []


def test_a_repeat_is_told_its_id_and_replaces_nothing(timers: Timers) -> None:
    origin = Origin(id=new_id())
    first = send(timers, 1, origin)
    second = send(timers, 2)
    assert send(timers, 1, origin) == first != second
    assert timers.heard_after(hours=2) == [2]


def test_of_two_that_set_one_timer_at_the_same_instant_one_is_left(timers: Timers) -> None:
    for number in range(10):
        start = Barrier(2)

        def one(_: int, number: int = number, start: Barrier = start) -> None:
            start.wait(5)
            send(timers, number)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one, range(2)))
        assert timers.statuses("bells.ring").count("scheduled") == 1
    assert timers.is_whole()
