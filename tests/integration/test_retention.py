"""Retention: whole conversations that are old and over, in small transactions, and nothing else."""

# ruff: noqa: S608 - statements are put together from constants of tests

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.operations import SqlRetention
from atomos.core.service.delivery import Delivery
from atomos.core.service.operations import RETRIABLE, DeliveryFilter

from .conftest import ON_POSTGRESQL
from .operations_log import Log, Row

DAYS = 30


@pytest.fixture
def log(log_database: Database) -> Log:
    made = Log(log_database)
    made.register("mail")
    return made


@pytest.fixture
def retention(log: Log) -> SqlRetention:
    return SqlRetention(log.database, DAYS, now=log.clock.now)


def swept(retention: SqlRetention) -> int:
    return sum(retention.sweep())


def left(log: Log) -> list[str]:
    return [str(row[0]) for row in log.look("select id from atomos_message order by recorded_at, id")]


def test_what_is_old_and_over_is_removed_with_its_deliveries(log: Log, retention: SqlRetention) -> None:
    log.put(Row("mail", "done"), Row("mail", "discarded"))
    log.send()
    assert (retention.count(), swept(retention)) == (0, 0)
    log.clock.move(days=DAYS + 1)
    assert retention.count() == 3
    assert swept(retention) == 3
    assert (left(log), log.rows("seq")) == ([], [])


@pytest.mark.parametrize("status", ["ready", "scheduled", "retrying", "parked", "dead"])
def test_what_waits_or_died_keeps_its_whole_conversation(
    status: str, log: Log, retention: SqlRetention
) -> None:
    first = log.send(Delivery("mail"))
    log.change("update atomos_delivery set status = 'done'")
    second = log.send(Delivery("mail"), cause=first)
    log.change(f"update atomos_delivery set status = '{status}' where message_id = '{second.id}'")
    log.clock.move(days=DAYS + 1)
    assert (retention.count(), swept(retention)) == (0, 0)
    assert left(log) == [first.id, second.id]


def test_a_conversation_that_goes_on_is_kept_whole(log: Log, retention: SqlRetention) -> None:
    first = log.send()
    log.change("update atomos_message set recorded_at = :at", at=log.at(-86_400 * (DAYS + 1)))
    second = log.send(cause=first)
    alone = log.send()
    log.change(
        "update atomos_message set recorded_at = :at where id = :id", at=log.at(-86_400 * 40), id=alone.id
    )
    assert (retention.count(), swept(retention)) == (1, 1)
    assert left(log) == [first.id, second.id]


def test_zero_days_keep_everything_and_an_instant_takes_their_place(log: Log) -> None:
    log.send()
    log.clock.move(days=10_000)
    for_ever = SqlRetention(log.database, 0, now=log.clock.now)
    assert (for_ever(), for_ever.count()) == (0, 0)
    assert swept(SqlRetention(log.database, 0, before=log.clock.now(), now=log.clock.now)) == 1


def test_what_a_dead_one_held_goes_when_someone_has_decided(log: Log, retention: SqlRetention) -> None:
    log.put(Row("mail", "dead"))
    log.clock.move(days=DAYS + 1)
    assert swept(retention) == 0
    log.control.discard(DeliveryFilter(RETRIABLE), "ana", "too late")
    assert swept(retention) == 1


def test_many_are_removed_by_calls_that_go_on_where_the_last_one_stopped(log: Log) -> None:
    log.put(*[Row("mail", "done")] * 3500)
    log.clock.move(days=DAYS + 1)
    impatient = SqlRetention(log.database, DAYS, moment=0, now=log.clock.now)
    calls = 0
    while left(log):
        assert impatient() <= 3500
        calls += 1
        assert calls < 100
    assert calls > 1
    assert log.rows("seq") == []
    assert log.inspection.audit([]).damages == ()


def test_a_conversation_is_one_transaction_however_long_it_is(
    log: Log, retention: SqlRetention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomos.core.adapters.operations.retention._ROWS_A_BATCH", 2)
    removed: list[int] = []
    remove = retention._remove

    def note(*args: Any) -> int:
        removed.append(remove(*args))
        return removed[-1]

    monkeypatch.setattr(retention, "_remove", note)
    log.send()
    first = log.send()
    for _ in range(3):
        log.send(cause=first)
    log.send()
    log.clock.move(days=DAYS + 1)
    assert swept(retention) == 6
    assert 4 in removed


@pytest.mark.parametrize("meanwhile", ["something follows", "a delivery is taken back"])
def test_what_came_alive_after_it_was_found_is_kept(
    log: Log, retention: SqlRetention, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    first = log.send(Delivery("mail"))
    log.change("update atomos_delivery set status = 'done'")
    log.clock.move(days=DAYS + 1)
    remove = retention._remove

    def remove_late(*args: Any) -> int:
        if meanwhile == "something follows":
            followed = log.send(cause=first)
            log.change(
                "update atomos_message set recorded_at = :at where id = :id", at=log.at(0), id=followed.id
            )
        else:
            log.change("update atomos_delivery set status = 'ready'")
        return remove(*args)

    monkeypatch.setattr(retention, "_remove", remove_late)
    assert swept(retention) == 0
    assert first.id in left(log)
    assert log.rows("seq") != []


@ON_POSTGRESQL  # elsewhere there is one writer at a time
def test_a_conversation_of_which_someone_holds_a_row_stays_whole(log: Log, retention: SqlRetention) -> None:
    first = log.send()
    log.send(cause=first)
    free = log.send()
    log.clock.move(days=DAYS + 1)
    with log.database.transaction() as connection:
        connection.exec_driver_sql(f"select 1 from atomos_message where id = '{first.id}' for update")
        assert swept(retention) == 1
    assert free.id not in left(log)
    assert swept(retention) == 2


def test_two_at_once_do_no_harm(log: Log) -> None:
    log.put(*[Row("mail", "done")] * 1500)
    log.clock.move(days=DAYS + 1)
    both = [SqlRetention(log.database, DAYS, now=log.clock.now) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(swept, both)) == 1500
    assert left(log) == []
