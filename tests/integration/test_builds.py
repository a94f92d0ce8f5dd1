"""An old and a new build on one database: each carries out what it can read, in order, and nothing is lost."""

from __future__ import annotations

from collections import defaultdict

import pytest

from atomos.core.adapters import Database
from atomos.core.service import Origin, Reused
from atomos.core.service.envelope import new_id
from atomos.core.service.errors import NewerBuild
from atomos.testing.processes import wait_until

from .build_samples import NEW, OLD, Build, Moved, Moves, OldMoved, OldWeighed, Weighed, Weight

SECONDS = 60.0
PARCELS, ROUNDS = 10, 20


@pytest.fixture
def moves() -> Moves:
    return Moves()


@pytest.fixture
def old(log_database: Database, moves: Moves) -> Build:
    return Build(log_database, OLD, moves)


@pytest.fixture
def new(log_database: Database, moves: Moves) -> Build:
    return Build(log_database, NEW, moves)


def statuses(database: Database) -> list[str]:
    with database.look() as connection:
        found = connection.exec_driver_sql("select status from atomos_delivery order by seq")
        return [row[0] for row in found]


def test_what_the_old_build_cannot_read_waits_for_the_new_one_with_the_rest_of_its_key(
    old: Build, new: Build, moves: Moves, log_database: Database
) -> None:
    old.bus.emit(OldMoved(parcel="a", number=1))
    new.bus.emit(Moved(parcel="a", number=2, to="b"))
    old.bus.emit(OldMoved(parcel="a", number=3))
    old.bus.emit(OldMoved(parcel="b", number=1))
    old.worker().drain()
    assert moves.heard == [("old", "a", 1), ("old", "b", 1)]
    assert statuses(log_database) == ["done", "ready", "ready", "done"]
    new.worker().drain()
    assert moves.heard[2:] == [("new", "a", 2), ("new", "a", 3)]


def test_while_both_run_nothing_is_lost_or_doubled_and_each_key_keeps_its_order(
    old: Build, new: Build, moves: Moves, log_database: Database
) -> None:
    workers = [old.worker(), new.worker()]
    for worker in workers:
        worker.start()
    try:
        for number in range(ROUNDS):
            for parcel in map(str, range(PARCELS)):
                if (number + int(parcel)) % 3:
                    old.bus.emit(OldMoved(parcel=parcel, number=number))
                else:
                    new.bus.emit(Moved(parcel=parcel, number=number, to="there"))
        wait_until(lambda: set(statuses(log_database)) == {"done"}, SECONDS, "all moves")
    finally:
        for worker in workers:
            worker.stop()
    by_parcel = defaultdict(list)
    for _, parcel, number in moves.heard:
        by_parcel[parcel].append(number)
    assert by_parcel == {str(parcel): [*range(ROUNDS)] for parcel in range(PARCELS)}
    old_heard = {(parcel, number) for build, parcel, number in moves.heard if build == "old"}
    assert not [1 for parcel, number in old_heard if (number + int(parcel)) % 3 == 0]


def test_a_command_that_the_old_build_stored_is_obeyed_by_the_new_one(
    old: Build, new: Build, log_database: Database
) -> None:
    old.bus.send_later(OldWeighed(parcel="a", kilos=2))
    # The trigger's name is that of its messages, which both builds have.
    new.worker().drain()
    with log_database.look() as connection:
        assert list(connection.exec_driver_sql("select parcel, grams from builds_parcel")) == [("a", 2000)]


def test_a_repeat_that_the_new_build_gets_of_what_the_old_one_did_is_told_the_same(
    old: Build, new: Build, log_database: Database
) -> None:
    origin = Origin(id=new_id())
    assert old.bus.emit(OldWeighed(parcel="a", kilos=2), origin) == Weight(grams=2000)
    assert new.bus.emit(Weighed(parcel="a", grams=2000), origin) == Weight(grams=2000)
    with log_database.look() as connection:
        assert connection.exec_driver_sql("select count(*) from builds_parcel").scalar() == 1


def test_another_content_under_the_same_id_is_refused_across_builds(old: Build, new: Build) -> None:
    origin = Origin(id=new_id())
    old.bus.emit(OldWeighed(parcel="a", kilos=2), origin)
    with pytest.raises(Reused):
        new.bus.emit(Weighed(parcel="a", grams=2001), origin)
    with pytest.raises(Reused):
        new.bus.send_later(Moved(parcel="a", number=2, to="b"), origin)


def test_a_repeat_that_the_old_build_gets_of_what_the_new_one_did_is_sent_on_to_it(
    old: Build, new: Build, log_database: Database
) -> None:
    origin = Origin(id=new_id())
    new.bus.emit(Weighed(parcel="a", grams=2000), origin)
    with pytest.raises(NewerBuild, match=r"ATM076: builds.weighed .* is stored in version 2"):
        old.bus.emit(OldWeighed(parcel="a", kilos=2), origin)
    with log_database.look() as connection:
        assert connection.exec_driver_sql("select count(*) from builds_parcel").scalar() == 1
