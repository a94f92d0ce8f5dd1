"""Who caused what: the principal is asked once, on entry, and goes with everything that comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from atomos.bootstrap import Atomos
from atomos.core.service import Origin, Principal
from atomos.core.service.credentials import mint
from atomos.core.service.operations import MessageFilter, StoredMessage
from atomos.settings import SecuritySettings
from atomos.testing import MovedClock

from .operations_log import Log
from .worker_samples import Answered, Bells, Called

SECRET = "a secret of the tests that nobody else has"
BATCH = {"reference": "batch-1", "sku": "CHAIR", "quantity": 10}
ALL = ("stock:write", "stock:read", "orders:write", "orders:read")

Give = Callable[..., dict[str, str]]
"""Makes an API key for an owner with permissions, and gives the headers with it."""


@pytest.fixture
def guarded(atomos: Any, atomos_container: Any, clock: MovedClock) -> Iterator[Atomos]:
    """The reference service with authentication, on the database and the clock of the test."""
    from atomos.testing.plugin import _moved

    security = SecuritySettings(authentication=True, secret=SECRET)
    made = Atomos(atomos_container, replace(atomos.settings, security=security))
    with _moved(made.container.core, clock):
        yield made
        made.close()


@pytest.fixture
def http(guarded: Atomos) -> FlaskClient:
    application: Flask = guarded.init_app(Flask("guarded"))
    return application.test_client()


@pytest.fixture
def give(guarded: Atomos) -> Give:
    def give(owner: str, *scopes: str) -> dict[str, str]:
        now = datetime.now(UTC)
        made = mint(owner, scopes or ALL, SECRET, now, now + timedelta(days=1))
        guarded.container.core.keys().add(made.key)
        return {"Authorization": f"Bearer {made.token}"}

    return give


def caused(guarded: Atomos, principal: str) -> Sequence[StoredMessage]:
    """Everything that a principal caused, in one query."""
    page = guarded.container.core.inspection().messages(MessageFilter(principal=principal), 1000)
    assert page.cursor is None
    return page.items


def test_all_that_a_user_caused_through_all_steps_is_one_query(
    guarded: Atomos, http: FlaskClient, give: Give, clock: MovedClock
) -> None:
    ana, ben, drain = give("ana"), give("ben"), guarded.worker().drain
    order = {
        "order_id": "order-1",
        "deadline": (clock.now() + timedelta(hours=1)).isoformat(),
        "lines": [{"sku": "CHAIR", "quantity": 3}, {"sku": "TABLE", "quantity": 1}],
    }
    assert http.post("/allocation/batches", json=BATCH, headers=ben).status_code == 201
    placed = http.post("/allocation/orders", json=order, headers={**ana, "Prefer": "respond-async"})
    assert placed.status_code == 202
    drain()
    clock.move(hours=2)
    drain()
    of_ana = caused(guarded, "key:ana")
    names = {each.name.removeprefix("allocation.") for each in of_ana}
    first = {"order-placed", "place-order", "line-wanted", "promise-line", "allocated"}
    later = {"order-line-changed", "note-line", "deadline-passed", "report-short", "order-fell-short"}
    assert first | later <= names, "each on a transaction of its own, the last after an hour"
    assert {each.correlation_id for each in of_ana} == {placed.headers["X-Correlation-ID"]}
    assert {each.name for each in caused(guarded, "key:ben")} >= {"allocation.batch-received"}
    with guarded.container.core.database().look() as connection:
        found = connection.execute(text("select principal from atomos_message")).scalars().all()
    assert found.count("key:ana") == len(of_ana)
    assert set(found) == {"key:ana", "key:ben"}


def test_what_somebody_else_made_possible_is_caused_by_who_did(
    guarded: Atomos, http: FlaskClient, give: Give
) -> None:
    ana, ben, drain = give("ana"), give("ben"), guarded.worker().drain
    http.post("/allocation/batches", json=BATCH, headers=ben)
    http.post("/allocation/orders/order-1/lines", json={"sku": "CHAIR", "quantity": 9}, headers=ana)
    http.patch("/allocation/batches/batch-1", json={"quantity": 1}, headers=ben)
    drain()
    assert "allocation.deallocated" not in {each.name for each in caused(guarded, "key:ana")}
    assert "allocation.deallocated" in {each.name for each in caused(guarded, "key:ben")}


def test_what_a_reaction_returns_has_the_principal_that_caused_it(bells: Bells) -> None:
    bells.script.deeds["call"] = lambda _: [Answered(number=1)]
    bells.bus.emit(Called(), Origin(Principal("ana")))
    bells.worker().drain()
    assert bells.look("select name, principal from atomos_message where name = 'bells.answered'") == [
        ("bells.answered", "ana")
    ]


@pytest.fixture
def bells(log_database: Any) -> Bells:
    return Bells(log_database, clock=MovedClock())


def test_a_question_is_not_kept(guarded: Atomos, http: FlaskClient, give: Give) -> None:
    assert http.get("/allocation/batches", headers=give("ana")).status_code == 200
    assert caused(guarded, "key:ana") == ()


# What was accepted is carried out.


def test_what_was_accepted_is_carried_out_though_the_permission_ended_meanwhile(
    guarded: Atomos, http: FlaskClient, give: Give
) -> None:
    headers = give("ana", "stock:write")
    later = {**headers, "Prefer": "respond-async"}
    where = http.post("/allocation/batches", json=BATCH, headers=later).headers["Location"]
    [key] = guarded.container.core.keys().listed()
    guarded.container.core.keys().revoke(key.id)
    guarded.worker().drain()
    assert http.get(where, headers=give("boss", "operations:read")).json["state"] == "done"


def test_who_has_no_permission_cannot_send_it_for_later_either(
    guarded: Atomos, http: FlaskClient, give: Give
) -> None:
    later = {**give("ana", "stock:read"), "Prefer": "respond-async"}
    answer = http.post("/allocation/batches", json=BATCH, headers=later)
    assert (answer.status_code, answer.json["code"]) == (403, "ATM042")
    assert caused(guarded, "key:ana") == ()


# It stays quick.


FILL = {
    "sqlite": """
with recursive n(n) as (select 1 union all select n + 1 from n where n < {count})
insert into atomos_message (id, kind, name, version, payload, fingerprint, correlation_id, principal, deliveries,
  recorded_at)
select 'id-' || n, 'event', 'operations.sent', 1, '{{"to": "x"}}', '', 'id-' || n,
  case when n % 2 = 0 then 'anonymous' else 'user-' || (n % 500) end, 0, 1700000000000000 + n * 1000 from n""",
    "postgresql": """
insert into atomos_message (id, kind, name, version, payload, fingerprint, correlation_id, principal, deliveries,
  recorded_at)
select gen_random_uuid(), 'event', 'operations.sent', 1, '{{"to": "x"}}', '', gen_random_uuid(),
  case when n % 2 = 0 then 'anonymous' else 'user-' || (n % 500) end, 0,
  to_timestamp(1700000000) + n * interval '1 second' from generate_series(1, {count}) n""",
}
_QUERY = (
    "select id from atomos_message m where m.principal = 'anonymous' "
    "order by m.recorded_at desc, m.id desc limit 51"
)


@pytest.mark.parametrize("analysed", [False, True])
def test_everything_of_a_principal_is_found_in_an_index_and_what_is_newest_without_sorting(
    log_database: Any, analysed: bool
) -> None:
    log = Log(log_database)
    with log_database.transaction() as connection:
        connection.execute(text(FILL[log_database.dialect].format(count=20_000)))
        if analysed:
            connection.exec_driver_sql("analyze")
    explain = "explain query plan " if log.is_sqlite else "explain (format json) "
    with log_database.look() as connection:
        plan = json.dumps([list(map(str, row)) for row in connection.exec_driver_sql(explain + _QUERY)])
    assert "atomos_message_principal" in plan
    assert "SCAN m" not in plan
    assert "Seq Scan" not in plan
    if analysed:
        assert "TEMP B-TREE" not in plan
        assert "'Node Type': 'Sort'" not in plan
    for principal, count in (("anonymous", 50), ("user-1", 40)):
        assert len(log.inspection.messages(MessageFilter(principal=principal), 50).items) == count
