"""The look-up of a message that may come again: in front of its handler, and with the beginning of its transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, event, exc, text

from atomos.core.adapters import Database, begun, postgres
from atomos.core.adapters.dialects import postgresql_begin
from atomos.core.domain import DomainError
from atomos.core.service import Conflict, Origin, Reused, Routes, Unavailable
from atomos.core.service.envelope import new_id
from atomos.core.service.errors import NotCommitted, NotLookedUp
from atomos.core.service.ports import HandlingMeter, Meter
from atomos.testing.probing import SilentMeter

from .conftest import ON_POSTGRESQL
from .worker_samples import COUNTS, Bells, BellsUnitOfWork, Chimed, Count, Script, insert

states: list[TransactionStatus] = []
"""In which state the writer's connection was when a unit of work had begun, before it did anything."""


@pytest.fixture(autouse=True)
def _forget() -> None:
    states.clear()


def alone(command: Count, uow: BellsUnitOfWork) -> None:
    with uow:
        write(command, uow)
        return uow.commit()


def not_alone(command: Count, uow: BellsUnitOfWork, script: Script) -> None:
    script.perform("count", command)
    with uow:
        write(command, uow)
        return uow.commit()


def write(command: Count, uow: BellsUnitOfWork) -> None:
    driver: Any = uow.session.connection().connection.driver_connection
    states.append(driver.info.transaction_status if hasattr(driver, "info") else TransactionStatus.UNKNOWN)
    if command.number < 0:
        raise ValueError("a number below zero")
    uow.session.execute(insert(COUNTS).values(bell=command.bell, number=command.number))


def forgetful(command: Count, uow: BellsUnitOfWork) -> None:
    """Never enters its unit of work."""


def bells_with(
    database: Database,
    handler: Callable[..., None],
    *,
    work: type[BellsUnitOfWork] = BellsUnitOfWork,
    meter: Meter = SilentMeter(),  # noqa: B008 - it has no state
) -> Bells:
    routes = Routes(triggers={Chimed: [Count]}, commands={Count: handler})
    return Bells(database, routes=routes, work=work, meter=meter)


@pytest.fixture
def bells(log_database: Database) -> Bells:
    return bells_with(log_database, alone)


def resting(database: Database) -> Any:
    """The writer's connection, which a unit of work has given back, as the driver has it."""
    with database.writer.connect() as connection:
        return connection.connection.driver_connection


def prepared(driver: Any) -> set[str]:
    """What is prepared on a connection by statements, and not by the driver."""
    driver.autocommit = True
    found = driver.execute("select name from pg_prepared_statements where from_sql").fetchall()
    driver.autocommit = False
    return {name for (name,) in found}


@pytest.mark.parametrize("handler", [alone, not_alone])
def test_a_repeat_does_not_reach_what_its_handler_does(
    log_database: Database, handler: Callable[..., None]
) -> None:
    bells, origin = bells_with(log_database, handler), Origin(id=new_id())
    for _ in range(3):
        bells.bus.emit(Chimed(number=7), origin)
    assert (bells.counts(), len(states)) == ([7], 1)
    assert len(bells.script.heard["count"]) == (1 if handler is not_alone else 0)
    with pytest.raises(Reused):
        bells.bus.emit(Chimed(number=8), origin)
    assert len(states) == 1


@ON_POSTGRESQL
@pytest.mark.parametrize(
    ("handler", "keyed", "state"),
    [
        (alone, True, TransactionStatus.INTRANS),
        (alone, False, TransactionStatus.IDLE),
        (not_alone, True, TransactionStatus.IDLE),
    ],
)
def test_only_who_is_given_nothing_but_a_unit_of_work_has_its_transaction_begun_by_the_look_up(
    log_database: Database, handler: Callable[..., None], keyed: bool, state: TransactionStatus
) -> None:
    bells_with(log_database, handler).bus.emit(Chimed(), Origin(id=new_id() if keyed else None))
    assert [state] == states


@ON_POSTGRESQL
def test_the_look_up_stays_prepared_after_a_repeat_and_is_prepared_again_after_a_refusal(
    bells: Bells, log_database: Database
) -> None:
    origin = Origin(id=new_id())
    for _ in range(10):  # so often that the driver has prepared statements of its own
        bells.bus.emit(Chimed(number=1), Origin(id=new_id()))
    for _ in range(2):
        bells.bus.emit(Chimed(number=2), origin)
    assert prepared(resting(log_database)) == {"atomos_known"}
    with pytest.raises(ValueError, match="below zero"):
        bells.bus.emit(Chimed(number=-1), Origin(id=new_id()))
    assert prepared(resting(log_database)) == set(), "the driver took it back"
    bells.bus.emit(Chimed(number=3), Origin(id=new_id()))
    bells.bus.emit(Chimed(number=2), origin)
    assert prepared(resting(log_database)) == {"atomos_known"}
    with pytest.raises(ValueError, match="below zero"):  # now it has nothing of its own, and leaves ours
        bells.bus.emit(Chimed(number=-1), Origin(id=new_id()))
    bells.bus.emit(Chimed(number=4), Origin(id=new_id()))
    assert bells.counts() == [1] * 10 + [2, 3, 4]


@ON_POSTGRESQL
def test_the_look_up_is_prepared_once_and_anew_only_after_a_rollback(
    bells: Bells, log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name() -> str:
        return str(resting(log_database).info.parameter_status("application_name"))

    bells.bus.emit(Chimed(), origin := Origin(id=new_id()))
    bells.bus.emit(Chimed(), origin)
    marked = f"{postgresql_begin._PREPARE} set application_name = 'prepared';"
    monkeypatch.setattr(postgresql_begin, "_PREPARE", marked)
    bells.bus.emit(Chimed(), Origin(id=new_id()))
    assert name() == "atomos writer"
    with pytest.raises(ValueError, match="below zero"):
        bells.bus.emit(Chimed(number=-1), Origin(id=new_id()))
    bells.bus.emit(Chimed(), Origin(id=new_id()))
    assert name() == "prepared"


@ON_POSTGRESQL
def test_a_savepoint_that_was_rolled_back_is_a_rollback_too(
    log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(command: Count, uow: BellsUnitOfWork) -> None:
        with uow:
            if command.number == 1:
                savepoint = uow.session.begin_nested()
                uow.session.execute(text("select 1"))
                savepoint.rollback()
            write(command, uow)
            return uow.commit()

    bells = bells_with(log_database, save)
    monkeypatch.setattr(postgresql_begin, "_look_up", lambda *_: pytest.fail("it was not prepared"))
    for number in [*[0] * 10, 1, 0]:  # the driver has statements of its own by then
        bells.bus.emit(Chimed(number=number), Origin(id=new_id()))


@ON_POSTGRESQL
def test_what_was_taken_back_behind_our_back_is_prepared_again(bells: Bells, log_database: Database) -> None:
    bells.bus.emit(Chimed(number=1), Origin(id=new_id()))
    driver = resting(log_database)
    driver.execute("deallocate all")
    driver.commit()
    bells.bus.emit(Chimed(number=2), Origin(id=new_id()))
    bells.bus.emit(Chimed(number=3), Origin(id=new_id()))
    assert (bells.counts(), prepared(resting(log_database))) == ([1, 2, 3], {"atomos_known"})


def test_a_second_try_after_a_conflict_is_looked_up_and_begun_like_the_first(log_database: Database) -> None:
    def beaten_once(command: Count, uow: BellsUnitOfWork) -> None:
        with uow:
            write(command, uow)
            if len(states) == 1:
                raise Conflict("someone was first")
            return uow.commit()

    bells, origin = bells_with(log_database, beaten_once), Origin(id=new_id())
    for _ in range(2):
        bells.bus.emit(Chimed(number=1), origin)
    assert (bells.counts(), len(states), len(set(states))) == ([1], 2, 1)


@ON_POSTGRESQL
def test_a_transaction_that_nobody_took_is_closed_with_the_handling(log_database: Database) -> None:
    bells = bells_with(log_database, forgetful)
    with pytest.raises(NotCommitted):
        bells.bus.emit(Chimed(), Origin(id=new_id()))
    assert log_database.writer.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert resting(log_database).info.transaction_status == TransactionStatus.IDLE


@ON_POSTGRESQL
def test_a_transaction_that_was_left_alone_is_given_up_for_another(
    log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun, "_LEFT_SECONDS", 0.0)
    bells_with(log_database, alone).bus.emit(Chimed(number=1), Origin(id=new_id()))
    assert states == [TransactionStatus.IDLE]
    assert log_database.writer.pool.checkedout() == 0  # type: ignore[attr-defined]


@ON_POSTGRESQL
@pytest.mark.parametrize("refuses", [True, False])
def test_a_transaction_that_the_server_ended_meanwhile_costs_its_handler_nothing(
    log_database: Database, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    monkeypatch.setattr(begun, "_LEFT_SECONDS", 0.0)

    def dawdle(command: Count, uow: BellsUnitOfWork) -> None:
        idle = text(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where state = 'idle in transaction' and datname = current_database()"
        )
        with log_database.transaction() as connection:
            assert connection.execute(idle).all() == [(True,)]
        if refuses:
            raise DomainError("no")
        with uow:
            write(command, uow)
            return uow.commit()

    bells = bells_with(log_database, dawdle)
    with pytest.raises(DomainError, match="no") if refuses else nullcontext():
        bells.bus.emit(Chimed(number=1), Origin(id=new_id()))
    assert bells.counts() == ([] if refuses else [1])
    assert log_database.writer.pool.checkedout() == 0  # type: ignore[attr-defined]


@ON_POSTGRESQL
def test_a_look_up_that_waits_for_a_lock_in_vain_is_not_made_again(
    log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(log_url, lock_timeout=0.1)
    bells = bells_with(database, alone)
    bells.bus.emit(Chimed(number=1), Origin(id=new_id()))
    looks: list[Any] = []
    for place, name in (postgresql_begin, "_look_up"), (bells.log, "recall"):
        monkeypatch.setattr(place, name, lambda *each: looks.append(each))
    with database.transaction() as connection:
        connection.execute(text("lock table atomos_message in access exclusive mode"))
        with pytest.raises(NotLookedUp):
            bells.bus.emit(Chimed(number=2), Origin(id=new_id()))
    bells.bus.emit(Chimed(number=3), Origin(id=new_id()))
    assert (bells.counts(), looks) == ([1, 3], [])
    database.close()


@ON_POSTGRESQL
def test_where_nothing_can_be_prepared_the_driver_looks_up(
    bells: Bells, log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_begin, "_PREPARE", "DO LANGUAGE nowhere 'nothing';")
    origin = Origin(id=new_id())
    for _ in range(2):
        bells.bus.emit(Chimed(number=1), origin)
    monkeypatch.setattr(postgresql_begin, "_PREPARE", "DO $$ BEGIN RAISE WARNING 'tried again'; END $$;")
    notices: list[Any] = []
    resting(log_database).add_notice_handler(notices.append)
    bells.bus.emit(Chimed(number=2), Origin(id=new_id()))
    assert (bells.counts(), notices) == ([1, 2], [])


@ON_POSTGRESQL
def test_a_unit_of_work_of_another_database_begins_its_own(
    log_database: Database, log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Database(log_url)
    bells = bells_with(log_database, alone)
    monkeypatch.setattr(bells, "database", other)
    bells.bus.emit(Chimed(number=1), Origin(id=new_id()))
    assert (bells.counts(), states) == ([1], [TransactionStatus.IDLE])
    other.close()


@ON_POSTGRESQL
def test_a_second_unit_of_work_of_a_handling_begins_its_own(log_database: Database) -> None:
    def twice(command: Count, uow: BellsUnitOfWork) -> None:
        with uow:
            write(command, uow)
        another = BellsUnitOfWork(uow._database, uow._log)
        with another:
            write(command, another)
            return another.commit()

    bells = bells_with(log_database, twice)
    bells.bus.emit(Chimed(number=1), Origin(id=new_id()))
    assert (bells.counts(), states) == ([1], [TransactionStatus.INTRANS, TransactionStatus.IDLE])


class Serializable(BellsUnitOfWork):
    begins_itself = True


def serializable(command: Count, uow: Serializable) -> None:
    with uow:
        how = {"isolation_level": "SERIALIZABLE"}
        found = uow.session.connection(execution_options=how).scalar(text("show transaction_isolation"))
        assert found == "serializable"
        write(command, uow)
        return uow.commit()


@ON_POSTGRESQL
def test_a_unit_of_work_that_begins_itself_may_choose_its_isolation(log_database: Database) -> None:
    bells = bells_with(log_database, serializable, work=Serializable)
    for number in (1, 2):
        bells.bus.emit(Chimed(number=number), Origin(id=new_id()))
    assert bells.counts() == [1, 2]


@ON_POSTGRESQL
def test_an_isolation_level_of_the_whole_engine_holds(log_database: Database) -> None:
    found: list[Any] = []

    def look(command: Count, uow: BellsUnitOfWork) -> None:
        with uow:
            found.append(uow.session.scalar(text("show transaction_isolation")))
            return uow.commit()

    log_database.writer.update_execution_options(isolation_level="SERIALIZABLE")
    bells, origin = bells_with(log_database, look), Origin(id=new_id())
    for _ in range(2):
        bells.bus.emit(Chimed(), origin)
    assert found == ["serializable"]


@ON_POSTGRESQL
def test_what_an_application_does_as_a_transaction_begins_stays(log_database: Database) -> None:
    def set_local(connection: Connection) -> None:
        connection.exec_driver_sql("set local application_name = 'mine'")

    event.listen(log_database.writer, "begin", set_local)
    notices: list[Any] = []
    resting(log_database).add_notice_handler(notices.append)
    names: list[str] = []

    def look(command: Count, uow: BellsUnitOfWork) -> None:
        with uow:
            names.append(str(uow.session.scalar(text("show application_name"))))
            return uow.commit()

    bells = bells_with(log_database, look)
    origin = Origin(id=new_id())
    bells.bus.emit(Chimed(), origin)
    bells.bus.emit(Chimed(), origin)
    assert (names, notices) == (["mine"], [])


@ON_POSTGRESQL
def test_a_connection_lost_before_the_look_up_is_unavailable_once(
    bells: Bells, log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_TRUSTED_SECONDS", 60.0)
    bells.bus.emit(Chimed(number=1), Origin(id=new_id()))
    lost = resting(log_database)
    with log_database.transaction() as connection:
        connection.execute(text("select pg_terminate_backend(:pid)"), {"pid": lost.info.backend_pid})
    with pytest.raises(NotLookedUp):
        bells.bus.emit(Chimed(number=2), Origin(id=new_id()))
    bells.bus.emit(Chimed(number=3), Origin(id=new_id()))
    assert bells.counts() == [1, 3]
    assert resting(log_database) is not lost


@pytest.mark.parametrize("handler", [alone, not_alone])
def test_a_look_up_that_cannot_be_made_is_not_made_twice(
    log_database: Database, handler: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bells = bells_with(log_database, handler)
    opened = []

    def away(*_: Any) -> Any:
        opened.append(1)
        raise exc.TimeoutError("the pool is exhausted")

    for engine in (log_database.writer, log_database._looks):
        monkeypatch.setattr(engine.pool, "connect", away)
    with pytest.raises(Unavailable):
        bells.bus.emit(Chimed(), Origin(id=new_id()))
    assert (len(opened), states) == (1, [])


@ON_POSTGRESQL
def test_an_id_that_is_none_is_refused_as_a_value_and_is_no_part_of_a_statement(bells: Bells) -> None:
    with pytest.raises(Exception, match="invalid input syntax for type uuid"):
        bells.bus.emit(Chimed(number=1), Origin(id="x'); delete from bells_count; select ('"))
    bells.bus.emit(Chimed(number=2), Origin(id=new_id()))
    assert bells.counts() == [2]


class Outcomes(Meter, HandlingMeter):
    """Keeps how handlings ended."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def of(self, kind: str, name: str) -> HandlingMeter:
        return self

    def handled(self, outcome: str, seconds: float) -> None:
        self.all.append(outcome)


def test_a_repeat_is_no_failure_of_its_handler(log_database: Database) -> None:
    outcomes, origin = Outcomes(), Origin(id=new_id())
    bells = bells_with(log_database, alone, meter=outcomes)
    for _ in range(2):
        bells.bus.emit(Chimed(), origin)
    assert outcomes.all == ["ok", "ok", "ok", "repeated"], "each time the trigger, and the command"
