"""Health: what waits too long, for whom nobody works, which transaction is open; told, and deciding nothing."""

# ruff: noqa: S608 - statements are put together from constants

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from atomos.core.adapters import Database
from atomos.core.adapters.health import _WAITING, HealthLimits, LogHealth
from atomos.core.adapters.log_sql import LogSql
from atomos.core.service.delivery import Delivery
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL, ON_SQLITE
from .operations_log import Log, Row

SECONDS = 20.0
LIMITS = HealthLimits(waiting=60, transaction=0.2, alive=30)


@pytest.fixture
def log(log_database: Database) -> Log:
    log = Log(log_database)
    for recipient in ("orders.pack", "orders.tell", "orders.rest"):
        log.register(recipient)
    return log


@pytest.fixture
def health(log: Log) -> LogHealth:
    return LogHealth(log.database, LIMITS, now=log.clock.now)


def test_nothing_waits_and_nothing_is_said(health: LogHealth) -> None:
    health.answers()
    assert (health.waiting(), health.without_worker(), health.open_transaction()) == (None, None, None)


def test_deliveries_that_wait_for_too_long_are_named_by_recipient_the_longest_first(
    log: Log, health: LogHealth
) -> None:
    log.send(Delivery("orders.tell"))
    log.clock.move(seconds=50)
    assert health.waiting() is None
    log.clock.move(seconds=20)
    assert health.waiting() == "deliveries have been waiting: orders.tell for 70 s (limit 60 s)"


def test_what_is_worked_on_paused_over_or_not_due_does_not_wait(log: Log, health: LogHealth) -> None:
    log.change("update atomos_recipient set paused_at = :now where name = 'orders.rest'", now=log.at(0))
    [(_, seq)] = log.put(Row("orders.pack", "ready"))
    log.lease("orders.pack", [seq], until=1000)
    log.put(
        Row("orders.rest", "ready"),
        Row("orders.tell", "done"),
        Row("orders.tell", "dead"),
        Row("orders.tell", "scheduled", until=5000),
        Row("orders.tell", "retrying", until=5000),
    )
    log.clock.move(seconds=100)
    assert health.waiting() is None
    log.put(Row("orders.pack", "ready"))
    log.clock.move(seconds=100)
    assert health.waiting() is not None


def test_what_was_scheduled_waits_since_it_was_due_and_not_since_it_was_sent(
    log: Log, health: LogHealth
) -> None:
    log.put(Row("orders.tell", "scheduled", until=3600))
    log.clock.move(seconds=3630)
    log.deliveries.tidy("orders.tell")
    assert log.look("select status from atomos_delivery") == [("ready",)]
    assert health.waiting() is None
    log.clock.move(seconds=40)
    assert health.waiting() == "deliveries have been waiting: orders.tell for 70 s (limit 60 s)"


def test_a_recipient_that_no_live_worker_has_is_named_once_its_deliveries_wait(
    log: Log, health: LogHealth
) -> None:
    log.send(Delivery("orders.tell"), Delivery("orders.pack"))
    log.clock.move(seconds=31)
    log.work("orders.pack", id_="alive", seen=0)
    log.work("orders.tell", id_="gone", seen=-40)
    assert health.without_worker() == (
        "no live worker has orders.tell, and deliveries wait; start `atomos worker`"
    )
    log.work("orders.tell", id_="back", seen=-20)
    assert health.without_worker() is None


def test_of_many_recipients_only_some_are_named(log: Log, health: LogHealth) -> None:
    for number in range(5):
        log.register(f"shop.{number}")
        log.send(Delivery(f"shop.{number}"))
    log.clock.move(seconds=100)
    said = health.without_worker()
    assert said is not None and "shop.2 and 2 more" in said


@pytest.fixture
def forgetful(log: Log) -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody who does not end his transactions."""
    url = log.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, application_name="report by hand") as connection:
        yield connection
        connection.rollback()


@ON_POSTGRESQL
def test_a_transaction_that_was_left_open_is_named(
    health: LogHealth, forgetful: psycopg.Connection[Any]
) -> None:
    forgetful.execute("select count(*) from atomos_message")
    wait_until(lambda: health.open_transaction() is not None, SECONDS, "a warning")
    said = health.open_transaction()
    assert said is not None
    assert f"pid {forgetful.info.backend_pid} (report by hand, idle in transaction) for " in said
    forgetful.rollback()
    assert health.open_transaction() is None


@ON_SQLITE
def test_on_sqlite_nobody_says_which_transaction_is_open(health: LogHealth) -> None:
    assert health.open_transaction() is None


def fill(log: Log, rows: int) -> None:
    """Store done deliveries, and a few that wait."""
    series = (
        f"with recursive n(n) as (select 1 union all select n + 1 from n where n < {rows})"
        if log.is_sqlite
        else f"with n as (select generate_series(1, {rows}) n)"
    )
    id_ = "printf('%08x-0000-7000-8000-000000000000', n)" if log.is_sqlite else "md5(n::text)::uuid"
    now = "0" if log.is_sqlite else "now()"
    log.change(
        "insert into atomos_message (id, kind, name, version, payload, fingerprint, correlation_id, principal, "
        f"deliveries, recorded_at) {series} select {id_}, 'event', 'a', 1, '{{}}', '', {id_}, '', 1, {now} from n"
    )
    log.change(
        f"insert into atomos_delivery (message_id, recipient, status) {series} select {id_}, 'orders.pack', "
        f"case when n % 10000 = 0 then 'ready' else 'done' end from n"
    )


@pytest.mark.parametrize("analysed", [False, True])
def test_it_costs_the_same_however_many_rows_there_are(log: Log, health: LogHealth, analysed: bool) -> None:
    fill(log, 100_000)
    if analysed:
        log.change("analyze")
    with log.database.look() as connection:
        explain = "explain query plan " if log.is_sqlite else "explain (format json) "
        plan = LogSql(connection, None).rows(explain + _WAITING)
    said = json.dumps([tuple(row) for row in plan])
    assert "atomos_delivery_ready" in said
    if log.is_sqlite:
        assert "SCAN d" not in said and "SCAN m" not in said
    else:
        assert _scanned(plan[0][0]) <= {"atomos_recipient", "atomos_lease"}
    log.clock.move(seconds=100)
    assert health.waiting() is not None


def _scanned(plan: Any) -> set[str]:
    """Name the tables that a plan reads from one end to the other."""
    found, left = set(), [each["Plan"] for each in plan]
    while left:
        node = left.pop()
        left += node.get("Plans", [])
        if node["Node Type"] == "Seq Scan":
            found.add(node["Relation Name"])
    return found


def test_a_warning_is_told_and_the_service_stays_ready(atomos: Any, http: FlaskClient) -> None:
    health = LogHealth(atomos.container.core.database(), HealthLimits(waiting=0.001, alive=0.001))
    with atomos.container.core.health.override(health):
        ready = atomos.init_app(Flask("warned")).test_client()
    assert ready.get("/health/ready").json == {"status": "ok"}
    ready.post("/allocation/batches", json={"reference": "b1", "sku": "CHAIR", "quantity": 1})
    ready.post("/allocation/orders/order-1/lines", json={"sku": "CHAIR", "quantity": 2})
    atomos.container.core.deliveries().enrol(atomos.bus.flow.routes.recipients())
    wait_until(lambda: "warnings" in ready.get("/health/ready").json, SECONDS, "a warning")
    answer = ready.get("/health/ready")
    assert answer.status_code == 200
    assert set(answer.json["warnings"]) == {"waiting", "worker"}
    assert "allocation.warn_buyers" in answer.json["warnings"]["worker"]
