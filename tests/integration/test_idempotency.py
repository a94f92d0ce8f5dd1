"""`Idempotency-Key` in all corners, over HTTP: what is a repeat, what it is told, and what is another message.

Repeats at the same instant are in `tests/e2e/test_pairs.py`, crashes in `tests/e2e/test_cut_off.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from atomos.bootstrap import Atomos, find_container
from atomos.core.adapters.operations import SqlRetention
from atomos.core.service.credentials import mint
from atomos.settings import SecuritySettings
from tests.with_put import APP

SECRET = "a secret of the tests that nobody else has"
BATCHES = "/allocation/batches"
BATCH = f"{BATCHES}/batch-1"
COUNTED = "/counting/batches/batch-1"
LINES = "/allocation/orders/order-1/lines"
STOCK = {"reference": "batch-1", "sku": "CHAIR", "quantity": 10}
LINE = {"sku": "CHAIR", "quantity": 3}

Give = Callable[[str], dict[str, str]]
"""Makes an API key for an owner, and gives the headers with it."""


@pytest.fixture
def atomos_with_put(atomos: Atomos) -> Iterator[Atomos]:
    """The reference service with a PUT that needs a key, on the database of the test."""
    made = Atomos(find_container(APP), replace(atomos.settings, security=SecuritySettings(secret=SECRET)))
    yield made
    made.close()


@pytest.fixture
def http(atomos_with_put: Atomos) -> FlaskClient:
    """A client of it, with ten chairs in one batch: version 1."""
    application = atomos_with_put.init_app(Flask("with put"))
    client = application.test_client()
    assert client.post(BATCHES, json=STOCK).status_code == 201
    return client


@pytest.fixture
def give(atomos_with_put: Atomos) -> Give:
    def give(owner: str) -> dict[str, str]:
        now = datetime.now(UTC)
        made = mint(owner, ("stock:write", "orders:write"), SECRET, now, now + timedelta(days=1))
        atomos_with_put.container.core.keys().add(made.key)
        return {"Authorization": f"Bearer {made.token}"}

    return give


@pytest.fixture
def commands(atomos_with_put: Atomos) -> Callable[[], int]:
    """What counts the commands that were obeyed: the effects."""

    def count() -> int:
        with atomos_with_put.container.core.database().look() as connection:
            found = connection.exec_driver_sql("select count(*) from atomos_message where kind = 'command'")
            return int(found.scalar_one())

    return count


Count = Callable[[], int]


def send(
    http: FlaskClient, method: str, path: str, body: Any = None, key: str = "one", **headers: str
) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.open(path, method=method, json=body, headers={"Idempotency-Key": key, **named})


def told(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.data, dict(answer.headers)


CHANGES = [
    ("POST", BATCHES, {**STOCK, "reference": "batch-2"}, 201, {"Location", "ETag"}),
    ("POST", LINES, LINE, 201, {"Location"}),
    ("PATCH", BATCH, {"quantity": 7}, 200, {"ETag"}),
    ("PUT", COUNTED, {"quantity": 7}, 200, {"ETag"}),
    ("DELETE", "/allocation/orders/order-0/lines/CHAIR", None, 204, set()),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "headers"), CHANGES)
def test_a_repeat_is_told_what_the_first_was_told_whatever_happened_meanwhile(
    http: FlaskClient, commands: Count, method: str, path: str, body: Any, status: int, headers: set[str]
) -> None:
    http.post("/allocation/orders/order-0/lines", json=LINE)
    first = send(http, method, path, body)
    assert (first.status_code, headers - set(first.headers.keys())) == (status, set())
    http.patch(BATCH, json={"quantity": 99})
    before = commands()
    assert told(send(http, method, path, body)) == told(first)
    assert commands() == before


def test_what_must_not_be_sent_without_a_key_is_refused_and_nothing_happens(
    http: FlaskClient, commands: Count
) -> None:
    before = commands()
    answer = http.put(COUNTED, json={"quantity": 7})
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert "needs the header Idempotency-Key" in answer.json["detail"]
    assert commands() == before
    assert send(http, "PUT", COUNTED, {"quantity": 7}).status_code == 200


@pytest.mark.parametrize("key", ["", " ", "one two", "one,two", '"one"', "\x7f", "x" * 256])
def test_of_what_needs_a_key_one_that_is_none_is_refused_too(http: FlaskClient, key: str) -> None:
    expected = 200 if key == '"one"' else 400
    environ = {"HTTP_IDEMPOTENCY_KEY": key}
    assert http.put(COUNTED, json={"quantity": 7}, environ_overrides=environ).status_code == expected


@pytest.mark.parametrize(
    ("method", "path", "body", "other"),
    [
        ("POST", LINES, LINE, {**LINE, "quantity": 4}),
        ("PATCH", BATCH, {"quantity": 7}, {"quantity": 8}),
        ("PUT", COUNTED, {"quantity": 7}, {"quantity": 8}),
    ],
)
def test_a_key_belongs_to_one_content(
    http: FlaskClient, commands: Count, method: str, path: str, body: Any, other: Any
) -> None:
    first = send(http, method, path, body)
    before = commands()
    answer = send(http, method, path, other)
    assert (answer.status_code, answer.json["type"]) == (422, "urn:atomos:problem:reused")
    assert told(send(http, method, path, body)) == told(first), "the first is kept"
    assert commands() == before


def test_a_key_belongs_to_one_path(http: FlaskClient) -> None:
    for order in ("order-1", "order-2"):
        http.post(f"/allocation/orders/{order}/lines", json=LINE)
    assert send(http, "DELETE", "/allocation/orders/order-1/lines/CHAIR").status_code == 204
    other = send(http, "DELETE", "/allocation/orders/order-2/lines/CHAIR")
    assert (other.status_code, other.json["type"]) == (422, "urn:atomos:problem:reused")


def test_content_that_is_only_written_in_another_way_is_the_same(http: FlaskClient) -> None:
    first = send(http, "POST", LINES, LINE)
    for text in ('{"quantity":3,"sku":"CHAIR"}', '{ "sku" : " CHAIR ",\n "quantity" : 3 }'):
        headers = {"Idempotency-Key": "one", "Content-Type": "application/json"}
        assert told(http.post(LINES, data=text, headers=headers)) == told(first)


def test_one_key_on_two_routes_is_two_keys(http: FlaskClient) -> None:
    assert send(http, "POST", LINES, LINE).status_code == 201
    assert send(http, "PATCH", BATCH, {"quantity": 7}).status_code == 200
    assert send(http, "PUT", COUNTED, {"quantity": 7}).status_code == 200
    assert send(http, "DELETE", f"{LINES}/CHAIR").status_code == 204


def test_one_key_of_two_principals_is_two_keys(http: FlaskClient, give: Give, commands: Count) -> None:
    before = commands()
    for owner in ("ana", "ben"):
        answers = [send(http, "PATCH", BATCH, {"quantity": 7}, **give(owner)) for _ in range(2)]
        assert told(answers[0]) == told(answers[1])
    assert commands() == before + 2


def test_of_one_principal_two_api_keys_are_the_same_sender(
    http: FlaskClient, give: Give, commands: Count
) -> None:
    before = commands()
    for headers in (give("ana"), give("ana")):
        assert send(http, "PATCH", BATCH, {"quantity": 7}, **headers).status_code == 200
    assert commands() == before + 1, "a key that was rotated between a request and its repeat changes nothing"


def test_what_was_not_found_is_not_stored_and_may_be_tried_again_with_its_key(http: FlaskClient) -> None:
    line = {**LINE, "sku": "TABLE"}
    assert send(http, "POST", LINES, line).status_code == 404
    http.post(BATCHES, json={"reference": "table-1", "sku": "TABLE", "quantity": 5})
    assert send(http, "POST", LINES, line).status_code == 201


@pytest.mark.parametrize("invalid", [{**LINE, "quantity": -1}, {**LINE, "color": "red"}, "no object", None])
def test_what_was_invalid_is_not_stored_and_may_be_corrected_under_its_key(
    http: FlaskClient, invalid: Any
) -> None:
    assert send(http, "POST", LINES, invalid).status_code == 422
    assert send(http, "POST", LINES, LINE).status_code == 201


def test_a_contradiction_is_not_stored_either(http: FlaskClient) -> None:
    http.post(LINES, json=LINE)
    assert send(http, "POST", LINES, {**LINE, "quantity": 4}).status_code == 409
    assert http.delete(f"{LINES}/CHAIR").status_code == 204
    assert send(http, "POST", LINES, {**LINE, "quantity": 4}).status_code == 201


def test_a_condition_that_did_not_hold_may_be_replaced_under_the_same_key(http: FlaskClient) -> None:
    assert send(http, "PATCH", BATCH, {"quantity": 7}, If_Match='"9"').status_code == 412
    assert send(http, "PATCH", BATCH, {"quantity": 7}, If_Match='"1"').status_code == 200


@pytest.mark.parametrize("other", ['"2"', '"9"', "*", None])
@pytest.mark.parametrize(("method", "path"), [("PATCH", BATCH), ("PUT", COUNTED)])
def test_a_repeat_with_another_condition_is_told_what_was_done(
    http: FlaskClient, commands: Count, method: str, path: str, other: str | None
) -> None:
    first = send(http, method, path, {"quantity": 7}, If_Match='"1"')
    before = commands()
    condition = {} if other is None else {"If_Match": other}
    assert told(send(http, method, path, {"quantity": 7}, **condition)) == told(first)
    assert (first.status_code, commands()) == (200, before)


def test_a_condition_that_cannot_be_read_is_refused_though_it_is_a_repeat(http: FlaskClient) -> None:
    assert send(http, "PATCH", BATCH, {"quantity": 7}).status_code == 200
    assert send(http, "PATCH", BATCH, {"quantity": 7}, If_Match="7").status_code == 400


def test_a_key_on_a_question_is_not_looked_at(http: FlaskClient) -> None:
    for path in (BATCH, BATCHES):
        for key in ("one", "not a key", ""):
            assert send(http, "GET", path, key=key).status_code == 200
            assert send(http, "HEAD", path, key=key).status_code == 200


def test_after_the_retention_a_repeat_is_a_new_message(
    http: FlaskClient, atomos_with_put: Atomos, commands: Count
) -> None:
    first = send(http, "PATCH", BATCH, {"quantity": 7})
    database = atomos_with_put.container.core.database()
    atomos_with_put.worker().drain()
    assert SqlRetention(database, days=0, before=datetime.now(UTC) + timedelta(hours=1))() > 0
    assert commands() == 0
    repeat = send(http, "PATCH", BATCH, {"quantity": 7})
    assert (repeat.status_code, repeat.json) == (200, first.json), "the same content changes nothing"
    assert commands() == 1


def test_a_repeat_belongs_to_the_conversation_of_the_first(http: FlaskClient) -> None:
    first, repeat = (send(http, "PATCH", BATCH, {"quantity": 7}) for _ in range(2))
    assert first.headers["X-Correlation-ID"] == repeat.headers["X-Correlation-ID"]
