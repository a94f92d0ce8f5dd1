"""API keys over HTTP: who may do what, and that a key ends when it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from atomos.bootstrap import Atomos
from atomos.core.service import authentication
from atomos.core.service.authentication import TRUSTED_SECONDS
from atomos.core.service.credentials import Key, id_of, mint
from atomos.settings import SecuritySettings
from atomos.testing import MovedClock

SECRET = "a secret of the tests that nobody else has"
BATCH = {"reference": "batch-1", "sku": "CHAIR", "quantity": 10}


class Elapsed:
    """This process's monotonic clock, as far as trust in keys goes."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    moved = Elapsed()
    monkeypatch.setattr(authentication, "monotonic", moved)
    return moved


@pytest.fixture
def guarded(atomos: Any, atomos_container: Any, elapsed: Elapsed) -> Iterator[Atomos]:
    """An application that needs credentials, on the database of the test."""
    security = SecuritySettings(authentication=True, secret=SECRET)
    database = replace(atomos.settings.database, lock_timeout=0.2)
    made = Atomos(atomos_container, replace(atomos.settings, security=security, database=database))
    yield made
    made.close()


@pytest.fixture
def http(guarded: Atomos) -> FlaskClient:
    application: Flask = guarded.init_app(Flask("guarded"))
    return application.test_client()


Give = Callable[..., str]
"""Makes a key with permissions, and gives its token."""


@pytest.fixture
def give(guarded: Atomos) -> Give:
    def give(*scopes: str, owner: str = "warehouse", days: float = 1) -> str:
        now = datetime.now(UTC)
        made = mint(owner, scopes, SECRET, now, now + timedelta(days=days))
        guarded.container.core.keys().add(made.key)
        return made.token

    return give


def send(http: FlaskClient, token: str | None, path: str = "/allocation/batches", body: Any = None) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if body is None:
        return http.get(path, headers=headers)
    return http.post(path, json=body, headers=headers)


def only(guarded: Atomos) -> Key:
    [key] = guarded.container.core.keys().listed()
    return key  # type: ignore[no-any-return]


def test_who_has_the_permission_may(http: FlaskClient, give: Give) -> None:
    token = give("stock:write", "stock:read")
    assert send(http, token, body=BATCH).status_code == 201
    assert len(send(http, token).json["items"]) == 1


def test_who_has_another_permission_may_not(http: FlaskClient, give: Give) -> None:
    answer = send(http, give("stock:read"), body=BATCH)
    assert (answer.status_code, answer.json["code"]) == (403, "ATM042")
    assert "key:warehouse" in answer.json["detail"]
    assert "stock:write" in answer.json["detail"]


def test_without_credentials_nothing_is_done_that_is_not_public(http: FlaskClient) -> None:
    for answer in (send(http, None), send(http, None, body={"no": "such field"})):
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.content_type == "application/problem+json"
    assert http.get("/health/live").status_code == http.get("/openapi.json").status_code == 200


def test_credentials_are_asked_for_before_anything_else_is_read(http: FlaskClient) -> None:
    answer = http.post("/allocation/batches", data=b"{" * 100, content_type="text/plain")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic d2FyZTpob3VzZQ==",
        "Bearer one two",
        "Bearer atk_x_y",
        f"Bearer {'x' * 9000}",
    ],
)
def test_credentials_that_are_none_are_refused(http: FlaskClient, given: str) -> None:
    answer = http.get("/allocation/batches", headers={"Authorization": given})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert "x" * 50 not in answer.text


def test_a_key_with_another_secret_part_is_refused(http: FlaskClient, give: Give) -> None:
    token = give("stock:read")
    assert send(http, token).status_code == 200
    assert send(http, token[:-1] + ("a" if token[-1] != "a" else "b")).status_code == 401


def test_a_table_that_was_read_opens_nothing(http: FlaskClient, give: Give, guarded: Atomos) -> None:
    token = give("stock:read")
    key = only(guarded)
    assert token not in str(key)
    assert send(http, f"atk_{key.id}_{key.digest}").status_code == 401


def test_a_key_that_was_revoked_stops_within_five_seconds(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed
) -> None:
    token = give("stock:read")
    assert send(http, token).status_code == 200
    guarded.container.core.keys().revoke(only(guarded).id)
    elapsed.seconds += TRUSTED_SECONDS
    assert TRUSTED_SECONDS < 5
    assert send(http, token).status_code == 401


def test_the_time_that_a_look_up_takes_is_a_part_of_the_five_seconds(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, keys = give("stock:read"), guarded.container.core.keys()
    find = keys.find

    def found_slowly(id_: str) -> Key | None:
        found = find(id_)
        keys.revoke(id_)
        elapsed.seconds += 3
        return found  # type: ignore[no-any-return]

    monkeypatch.setattr(keys, "find", found_slowly)
    assert send(http, token).status_code == 200
    monkeypatch.setattr(keys, "find", find)
    elapsed.seconds += TRUSTED_SECONDS - 3
    assert send(http, token).status_code == 401


def test_a_key_works_to_the_instant_at_which_it_ends(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed
) -> None:
    clock = MovedClock()
    guarded.guard.authenticators[0]._now = clock.now  # type: ignore[attr-defined]
    now = datetime.now(UTC)
    made = mint("warehouse", ("stock:read",), SECRET, now, clock.now() + timedelta(seconds=3))
    guarded.container.core.keys().add(made.key)
    clock.move(seconds=2)
    assert send(http, made.token).status_code == 200
    clock.move(seconds=1)
    assert send(http, made.token).status_code == 401, "not looked up again, and ended all the same"


def test_two_keys_of_one_owner_are_good_beside_each_other(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed
) -> None:
    old, new = give("stock:read"), give("stock:read")
    assert [send(http, token).status_code for token in (old, new)] == [200, 200]
    keys = guarded.container.core.keys()
    keys.revoke(id_of(old))
    elapsed.seconds += TRUSTED_SECONDS
    assert [send(http, token).status_code for token in (old, new)] == [401, 200]


def test_no_request_fails_because_it_cannot_be_noted_when_a_key_was_used(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed
) -> None:
    token, database = give("stock:read"), guarded.container.core.database()
    send(http, token)
    elapsed.seconds += 61
    with database.log.connect() as connection, connection.begin():
        if database.dialect == "postgresql":
            connection.exec_driver_sql("lock table atomos_key in share mode")
        assert send(http, token).status_code == 200
    assert only(guarded).used_at is None
    elapsed.seconds += 61
    send(http, token)
    assert only(guarded).used_at is not None


def test_a_key_that_has_ended_is_refused_at_once(http: FlaskClient, give: Give, guarded: Atomos) -> None:
    token = give("stock:read")
    assert send(http, token).status_code == 200
    guarded.container.core.keys().expire(only(guarded).id, datetime.now(UTC) - timedelta(seconds=1))
    guarded.guard.authenticators[0]._known.clear()  # type: ignore[attr-defined]
    assert send(http, token).status_code == 401


def test_a_key_is_looked_up_once_in_a_while_only(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, keys, looked = give("stock:read"), guarded.container.core.keys(), []
    find = keys.find
    monkeypatch.setattr(keys, "find", lambda id_: (looked.append(id_), find(id_))[1])
    for _ in range(5):
        assert send(http, token).status_code == 200
    assert len(looked) == 1
    elapsed.seconds += TRUSTED_SECONDS
    send(http, token)
    assert len(looked) == 2


def test_when_a_key_was_used_is_noted_in_batches(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed
) -> None:
    token = give("stock:read")
    send(http, token)
    assert only(guarded).used_at is None
    elapsed.seconds += 61
    send(http, token)
    noted = only(guarded).used_at
    assert noted is not None
    assert abs(noted - datetime.now(UTC)) < timedelta(minutes=1)


def test_what_a_key_sent_is_kept_under_its_owner(http: FlaskClient, give: Give, guarded: Atomos) -> None:
    send(http, give("stock:write"), body=BATCH)
    with guarded.container.core.database().look() as connection:
        kept = connection.exec_driver_sql("select distinct principal from atomos_message").fetchall()
    assert [tuple(row) for row in kept] == [("key:warehouse",)]


def test_only_who_sent_an_event_may_follow_it_and_operators(http: FlaskClient, give: Give) -> None:
    token = give("stock:write")
    headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}
    where = http.post("/allocation/batches", json=BATCH, headers=headers).headers["Location"]
    assert send(http, token, where).status_code == 200
    assert send(http, give("operations:read", owner="ana"), where).status_code == 200
    assert send(http, give("stock:write", owner="shop"), where).status_code == 404
    assert send(http, None, where).status_code == 404


def test_one_owner_cannot_take_the_answer_of_another_by_its_key(http: FlaskClient, give: Give) -> None:
    for owner, status in (("one", 201), ("one", 201), ("two", 200)):
        headers = {"Authorization": f"Bearer {give('stock:write', owner=owner)}", "Idempotency-Key": "same"}
        assert http.post("/allocation/batches", json=BATCH, headers=headers).status_code == status


def lines_of(logged: list[Any], action: str) -> list[Any]:
    return [line for line in logged if line["event"] == action]


def test_a_key_that_is_accepted_is_logged_once_a_minute_and_one_that_is_refused_each_time(
    http: FlaskClient, give: Give, guarded: Atomos, elapsed: Elapsed
) -> None:
    token = give("stock:read")
    with capture_logs() as logged:
        for _ in range(3):
            send(http, token)
            elapsed.seconds += TRUSTED_SECONDS
        for _ in range(2):
            send(http, token[:-1] + ("a" if token[-1] != "a" else "b"))
        send(http, token, body=BATCH)
    [accepted] = lines_of(logged, "authentication.accepted")
    assert (accepted["principal"], accepted["key"]) == ("key:warehouse", only(guarded).id)
    refused = lines_of(logged, "http.refused")
    assert [(line["status"], line["principal"]) for line in refused] == [
        (401, None),
        (401, None),
        (403, "key:warehouse"),
    ]
    assert token[-20:-1] not in str(logged)


def test_what_is_done_to_a_key_is_logged_without_the_key(guarded: Atomos, give: Give) -> None:
    with capture_logs() as logged:
        token = give("stock:read")
        key, keys = only(guarded), guarded.container.core.keys()
        keys.expire(key.id, datetime.now(UTC) + timedelta(hours=1))
        keys.revoke(key.id)
    assert [line["event"] for line in logged] == ["key.created", "key.expires", "key.revoked"]
    assert {(line["key"], line["owner"]) for line in logged} == {(key.id, "warehouse")}
    assert key.expires_at is not None
    assert logged[0]["ends"] == key.expires_at.isoformat()
    assert token not in str(logged)
    assert key.digest not in str(logged)


def test_how_the_service_runs_is_for_operators(http: FlaskClient, give: Give) -> None:
    assert send(http, None, "/metrics").status_code == 401
    assert send(http, give("stock:read"), "/metrics").status_code == 403
    assert send(http, give("operations:read", owner="monitor"), "/metrics").status_code == 200


def test_whether_it_is_ready_is_for_everyone_and_why_not_is_for_operators(
    http: FlaskClient, give: Give, guarded: Atomos
) -> None:
    operator, other = give("operations:read"), give("stock:read")
    with guarded.container.core.database().transaction() as connection:
        connection.exec_driver_sql("drop table allocation_version")
    for token in (None, other, "wrong"):
        answer = send(http, token, "/health/ready")
        assert (answer.status_code, "checks" in answer.json) == (503, False)
        assert "0001" not in answer.text
    answer = send(http, operator, "/health/ready")
    assert (answer.status_code, list(answer.json["checks"])) == (503, ["migrations"])
