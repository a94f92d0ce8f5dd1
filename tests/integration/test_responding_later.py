"""`Prefer: respond-async`: the event is stored, and its sender sees later what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from atomos.allocation.domain.model import Product
from atomos.core.domain import NotFound
from atomos.core.service import MessageBus, Origin, Principal
from atomos.core.service.operations import DeliveryFilter
from atomos.testing import MovedClock
from atomos.testing.faults import Scenario
from atomos.testing.processes import wait_until
from tests.factories import BatchReceivedFactory

LATER = {"Prefer": "respond-async"}
BATCH = {"reference": "batch-1", "sku": "CHAIR", "quantity": 10}
LINE = {"sku": "CHAIR", "quantity": 3}
LINES = "/allocation/orders/order-1/lines"

PROJECT = Path(__file__).parents[2]

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


# States


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """What goes wrong, one after the other, where a batch is to be counted."""
    errors: list[Exception] = []
    count = Product.change_quantity

    def counted(self: Product, *arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return count(self, *arguments)

    monkeypatch.setattr(Product, "change_quantity", counted)
    return errors


@pytest.fixture
def counting(http: FlaskClient) -> str:
    """Where the progress of a count is, that waits."""
    http.post("/allocation/batches", json=BATCH)
    counted = http.patch("/allocation/batches/batch-1", json={"quantity": 7}, headers=LATER)
    return str(counted.headers["Location"])


def test_while_it_is_tried_again_it_waits(
    http: FlaskClient, drain: Drain, clock: MovedClock, counting: str, breaks: list[Exception]
) -> None:
    breaks += [RuntimeError("secret inside")]
    drain()
    waiting = http.get(counting)
    assert (waiting.json, waiting.headers["Retry-After"]) == (
        {"id": waiting.json["id"], "state": "waiting"},
        "1",
    )
    clock.move(hours=1)
    drain()
    assert http.get(counting).json["state"] == "done"


def test_what_was_given_up_has_failed_and_says_nothing_of_the_inside(
    http: FlaskClient, drain: Drain, clock: MovedClock, counting: str, breaks: list[Exception]
) -> None:
    breaks += [RuntimeError("secret inside")] * 100
    for _ in range(12):
        drain()
        clock.move(hours=1)
    failed = http.get(counting)
    assert (failed.json["state"], failed.json["problem"]["status"]) == ("failed", 500)
    assert failed.json["problem"]["type"] == "urn:atomos:problem:internal"
    assert "secret" not in failed.text
    assert "Retry-After" not in failed.headers


def test_what_an_operator_retries_waits_again_and_is_done(
    http: FlaskClient, drain: Drain, atomos: Any, counting: str, breaks: list[Exception]
) -> None:
    breaks += [NotFound("There is no shelf.")]
    drain()
    failed = http.get(counting).json
    assert (failed["state"], failed["problem"]["status"], failed["problem"]["detail"]) == (
        "failed",
        404,
        "There is no shelf.",
    )
    assert atomos.container.core.control().retry(DeliveryFilter(("dead",)), "ana") == 1
    assert http.get(counting).json["state"] == "waiting"
    drain()
    assert http.get(counting).json["result"]["quantity"] == 7


def test_what_an_operator_discards_has_failed_and_is_said_to_be_taken_back(
    http: FlaskClient, drain: Drain, atomos: Any, counting: str
) -> None:
    assert atomos.container.core.control().discard(DeliveryFilter(("ready",)), "ana", "a secret reason") == 1
    drain()
    failed = http.get(counting)
    assert (failed.json["state"], failed.json["problem"]["type"]) == (
        "failed",
        "urn:atomos:problem:taken-back",
    )
    assert "secret" not in failed.text
    assert http.get("/allocation/batches/batch-1").json["quantity"] == 10


def test_what_failed_stays_failed_for_a_repeat_and_is_tried_again_under_another_key(
    http: FlaskClient, drain: Drain
) -> None:
    first = send(http, LINES, LINE, Idempotency_Key="one")
    drain()
    http.post("/allocation/batches", json=BATCH)
    repeat = send(http, LINES, LINE, Idempotency_Key="one")
    drain()
    assert repeat.headers["Location"] == first.headers["Location"]
    assert http.get(repeat.headers["Location"]).json["state"] == "failed"
    other = send(http, LINES, LINE, Idempotency_Key="two")
    drain()
    assert http.get(other.headers["Location"]).json["state"] == "done"


# Where its progress is


def test_nobody_sent_what_is_not_there(http: FlaskClient) -> None:
    for path in ("0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e", "none", "", "%00", "0190b3a2"):
        answer = http.get(f"/messages/{path}")
        assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_only_events_are_followed_and_not_what_they_led_to(
    http: FlaskClient, drain: Drain, atomos: Any
) -> None:
    http.post("/allocation/batches", json=BATCH)
    with atomos.container.core.database().look() as connection:
        found = connection.exec_driver_sql("select id, kind from atomos_message").fetchall()
    statuses = {kind: http.get(f"/messages/{id_}").status_code for id_, kind in found}
    assert statuses == {"event": 200, "command": 404}


def test_it_is_asked_with_get_and_head_and_nothing_else(http: FlaskClient, counting: str) -> None:
    shown, headed, options = http.get(counting), http.head(counting), http.options(counting)
    assert (headed.status_code, headed.data) == (200, b"")
    assert {**headed.headers, "X-Correlation-ID": ""} == {**shown.headers, "X-Correlation-ID": ""}
    assert set(options.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = http.open(counting, method=method)
        assert (refused.status_code, refused.content_type) == (405, "application/problem+json")
        assert "GET" in refused.headers["Allow"]


def test_an_id_may_be_written_large(http: FlaskClient, counting: str) -> None:
    assert http.get(f"/messages/{counting.rpartition('/')[2].upper()}").json == http.get(counting).json


def test_a_conversation_that_is_none_is_refused_there_too(http: FlaskClient, counting: str) -> None:
    refused = http.get(counting, headers={"X-Correlation-ID": "none"})
    assert (refused.status_code, refused.content_type) == (400, "application/problem+json")
    assert "X-Correlation-ID" in refused.json["detail"]
    assert "400" in http.get("/openapi.json").json["paths"]["/messages/{message_id}"]["get"]["responses"]


def test_on_a_developers_machine_anyone_may_follow_what_anyone_sent(
    http: FlaskClient, bus: MessageBus, drain: Drain
) -> None:
    id_ = bus.send_later(BatchReceivedFactory(), Origin(Principal("ana")))
    drain()
    assert http.get(f"/messages/{id_}").json["state"] == "done"


@pytest.fixture
def scenario(tmp_path: Path, database_url: str) -> Iterator[Scenario]:
    """The reference service in processes of its own, on the database of the test."""
    with Scenario(tmp_path, database_url, app="atomos.container:Application", home=PROJECT) as scenario:
        yield scenario


@pytest.mark.slow
def test_a_real_worker_does_what_a_real_service_has_stored(scenario: Scenario, http: FlaskClient) -> None:
    done = send(http, "/allocation/batches", BATCH).headers["Location"]
    failed = send(http, LINES, {**LINE, "sku": "TABLE"}).headers["Location"]
    assert [http.get(each).json["state"] for each in (done, failed)] == ["waiting", "waiting"]
    scenario.start_worker()
    wait_until(lambda: http.get(done).json["state"] == "done", 60, "the worker to be done")
    wait_until(lambda: http.get(failed).json["state"] == "failed", 60, "the worker to give it up")
    assert http.get(done).json["result"]["reference"] == "batch-1"
    assert http.get(failed).json["problem"]["status"] == 404


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
