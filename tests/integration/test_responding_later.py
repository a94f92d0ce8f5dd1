"""`Prefer: respond-async`: the event is stored, and its sender sees later what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

LATER = {"Prefer": "respond-async"}
BATCH = {"reference": "batch-1", "sku": "CHAIR", "quantity": 10}
LINE = {"sku": "CHAIR", "quantity": 3}
LINES = "/allocation/orders/order-1/lines"

Drain = Callable[[], int]


def send(http: FlaskClient, path: str, body: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post(path, json=body, headers={**LATER, **named})


def test_it_is_accepted_and_done_later(http: FlaskClient, drain: Drain) -> None:
    accepted = send(http, "/allocation/batches", BATCH)
    assert (accepted.status_code, accepted.headers["Preference-Applied"]) == (202, "respond-async")
    where = accepted.headers["Location"]
    assert where == f"/messages/{accepted.json['id']}"
    assert accepted.json["state"] == "waiting"
    assert http.get("/allocation/batches/batch-1").status_code == 404
    waiting = http.get(where)
    assert (waiting.json["state"], waiting.headers["Retry-After"]) == ("waiting", "1")
    drain()
    done = http.get(where).json
    assert done == {
        "id": accepted.json["id"],
        "state": "done",
        "result": {**BATCH, "version": 1, "eta": None, "available": 10},
    }
    assert http.get("/allocation/batches/batch-1").json == done["result"]


def test_what_the_domain_refuses_is_told_as_it_would_have_been(http: FlaskClient, drain: Drain) -> None:
    at_once = http.post(LINES, json=LINE).json
    where = send(http, LINES, LINE).headers["Location"]
    drain()
    later = http.get(where).json
    assert later["state"] == "failed"
    assert later["problem"] == {name: at_once[name] for name in ("type", "title", "status", "detail")}


def test_an_answer_that_is_nothing_is_done(http: FlaskClient, drain: Drain) -> None:
    http.post("/allocation/batches", json=BATCH)
    http.post(LINES, json=LINE)
    where = http.delete(f"{LINES}/CHAIR", headers=LATER).headers["Location"]
    drain()
    assert http.get(where).json["state"] == "done"
    assert http.get(where).json["result"] is None


@pytest.mark.parametrize(
    "given", ["respond-async, wait=10", "wait=10,Respond-Async", 'respond-async; foo="x"']
)
def test_a_preference_may_stand_beside_others(http: FlaskClient, given: str) -> None:
    assert http.post("/allocation/batches", json=BATCH, headers={"Prefer": given}).status_code == 202


@pytest.mark.parametrize("given", ["respond-asynchronously", "return=minimal", "x-respond-async", ""])
def test_any_other_preference_changes_nothing(http: FlaskClient, given: str) -> None:
    answer = http.post("/allocation/batches", json=BATCH, headers={"Prefer": given})
    assert (answer.status_code, "Preference-Applied" in answer.headers) == (201, False)


def test_what_is_invalid_is_refused_at_once(http: FlaskClient) -> None:
    assert send(http, "/allocation/batches", {**BATCH, "quantity": -1}).status_code == 422


def test_with_a_key_it_is_stored_once(http: FlaskClient, drain: Drain) -> None:
    first, second = (send(http, "/allocation/batches", BATCH, Idempotency_Key="one") for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    drain()
    third = send(http, "/allocation/batches", BATCH, Idempotency_Key="one")
    assert third.headers["Location"] == first.headers["Location"]
    other = send(http, "/allocation/batches", {**BATCH, "quantity": 5}, Idempotency_Key="one")
    assert other.json["type"] == "urn:atomos:problem:reused"


def test_a_repeat_that_would_wait_is_told_where_to_look(http: FlaskClient, drain: Drain) -> None:
    first = send(http, "/allocation/batches", BATCH, Idempotency_Key="one")
    for _ in range(2):
        repeat = http.post("/allocation/batches", json=BATCH, headers={"Idempotency-Key": "one"})
        assert (repeat.status_code, repeat.headers["Location"]) == (202, first.headers["Location"])
        drain()


def test_a_repeat_that_does_not_wait_of_one_that_did_finds_the_answer(http: FlaskClient) -> None:
    first = http.post("/allocation/batches", json=BATCH, headers={"Idempotency-Key": "one"})
    repeat = send(http, "/allocation/batches", BATCH, Idempotency_Key="one")
    found = http.get(repeat.headers["Location"]).json
    assert (found["state"], found["result"]) == ("done", first.json)


def test_with_a_condition_it_is_waited_for(http: FlaskClient) -> None:
    http.post("/allocation/batches", json=BATCH)
    headers = {**LATER, "If-Match": '"1"'}
    answer = http.patch("/allocation/batches/batch-1", json={"quantity": 4}, headers=headers)
    assert (answer.status_code, "Preference-Applied" in answer.headers) == (200, False)


def test_nobody_sent_what_is_not_there(http: FlaskClient) -> None:
    answer = http.get("/messages/0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert http.get("/messages/none").status_code == 404


def test_the_document_says_that_nobody_has_to_wait(http: FlaskClient) -> None:
    document = http.get("/openapi.json").json
    posted = document["paths"]["/allocation/batches"]["post"]
    assert {"$ref": "#/components/parameters/Prefer"} in posted["parameters"]
    accepted = document["components"]["responses"]["Accepted"]
    assert posted["responses"]["202"] == {"$ref": "#/components/responses/Accepted"}
    assert accepted["headers"].keys() == {"Location", "Preference-Applied", "Retry-After", "X-Correlation-ID"}
    followed = document["paths"]["/messages/{message_id}"]["get"]["responses"]
    assert {"200", "404"} <= followed.keys()
    assert "202" not in document["paths"]["/allocation/batches"]["get"]["responses"]
