"""`ETag`, `If-Match` and `If-None-Match`: a change is made to the version that its sender has read, or not at all."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

BATCH = "/allocation/batches/batch-1"
LINE = "/allocation/orders/order-1/lines"


@pytest.fixture
def stocked(http: FlaskClient) -> FlaskClient:
    """A client of a service with ten chairs in one batch: version 1."""
    http.post("/allocation/batches", json={"reference": "batch-1", "sku": "CHAIR", "quantity": 10})
    return http


def count(http: FlaskClient, quantity: int, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.patch(BATCH, json={"quantity": quantity}, headers=named)


def test_every_answer_with_a_version_has_its_tag(stocked: FlaskClient) -> None:
    assert stocked.get(BATCH).headers["ETag"] == '"1"'
    changed = count(stocked, 9)
    assert (changed.json["version"], changed.headers["ETag"]) == (2, '"2"')
    assert stocked.get(BATCH).headers["ETag"] == stocked.head(BATCH).headers["ETag"] == '"2"'
    assert stocked.get("/allocation/products/CHAIR").headers["ETag"] == '"2"'
    created = stocked.post("/allocation/batches", json={"reference": "b2", "sku": "CHAIR", "quantity": 1})
    assert (created.status_code, created.headers["ETag"]) == (201, '"3"')


def test_what_changed_nothing_keeps_its_version(stocked: FlaskClient) -> None:
    assert count(stocked, 10).headers["ETag"] == stocked.get(BATCH).headers["ETag"] == '"1"'


def test_an_answer_without_a_version_has_no_tag(stocked: FlaskClient) -> None:
    assert "ETag" not in stocked.get("/allocation/batches").headers


@pytest.mark.parametrize("tags", ['"1"', "*", '"7", "1"', '"seven" ,"1"'])
def test_a_change_is_made_to_the_version_that_was_read(stocked: FlaskClient, tags: str) -> None:
    assert count(stocked, 4, If_Match=tags).status_code == 200
    assert stocked.get(BATCH).json["quantity"] == 4


@pytest.mark.parametrize("tags", ['"2"', 'W/"1"', '"seven"', '""', '"01"', '"2", "3"'])
def test_a_change_to_another_version_is_refused_and_changes_nothing(stocked: FlaskClient, tags: str) -> None:
    answer = count(stocked, 4, If_Match=tags)
    assert (answer.status_code, answer.content_type) == (412, "application/problem+json")
    assert (answer.json["type"], answer.json["code"]) == ("urn:atomos:problem:outdated", "ATM077")
    assert stocked.get(BATCH).json["quantity"] == 10


def test_of_two_changes_to_one_version_the_second_is_refused(stocked: FlaskClient) -> None:
    assert count(stocked, 4, If_Match='"1"').status_code == 200
    assert count(stocked, 5, If_Match='"1"').status_code == 412
    assert stocked.get(BATCH).json["quantity"] == 4


def test_a_repeat_with_its_key_gets_its_answer_though_the_version_is_another_by_now(
    stocked: FlaskClient,
) -> None:
    first = count(stocked, 4, If_Match='"1"', Idempotency_Key="one")
    again = count(stocked, 4, If_Match='"1"', Idempotency_Key="one")
    assert (again.status_code, again.json, again.headers["ETag"]) == (200, first.json, '"2"')
    assert stocked.get(BATCH).json["version"] == 2


def test_what_is_not_there_has_no_version_that_could_match(http: FlaskClient) -> None:
    batch = {"reference": "new", "sku": "NEW", "quantity": 1}
    assert http.post("/allocation/batches", json=batch, headers={"If-Match": "*"}).status_code == 412
    assert http.get("/allocation/batches/new").status_code == 404
    assert http.patch(BATCH, json={"quantity": 1}, headers={"If-Match": '"1"'}).status_code == 404


@pytest.mark.parametrize("tags", ["1", "", '"1', '"1" "2"', '*, "1"', "W/1", '"1",'])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_tags_that_are_none_are_said_to_be_none(stocked: FlaskClient, header: str, tags: str) -> None:
    answer = stocked.get(BATCH, headers={header: tags})
    assert answer.status_code == 400
    assert f"The header {header} takes tags" in answer.json["detail"]


def test_a_change_takes_no_if_none_match(stocked: FlaskClient) -> None:
    answer = count(stocked, 4, If_None_Match="*")
    assert (answer.status_code, stocked.get(BATCH).json["quantity"]) == (400, 10)
    assert "a change takes If-Match" in answer.json["detail"]


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', "*", '"3", "1"'])
def test_who_has_it_already_is_not_sent_it_again(stocked: FlaskClient, tags: str) -> None:
    for method in ("GET", "HEAD"):
        answer = stocked.open(BATCH, method=method, headers={"If-None-Match": tags})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", '"1"')
        assert "Content-Type" not in answer.headers


def test_who_has_another_version_is_sent_this_one(stocked: FlaskClient) -> None:
    count(stocked, 9)
    answer = stocked.get(BATCH, headers={"If-None-Match": '"1"'})
    assert (answer.status_code, answer.json["quantity"]) == (200, 9)


def test_a_question_may_be_about_one_version_too(stocked: FlaskClient) -> None:
    assert stocked.get(BATCH, headers={"If-Match": '"1"'}).status_code == 200
    assert stocked.get(BATCH, headers={"If-Match": '"2"'}).status_code == 412
    assert stocked.get("/allocation/batches", headers={"If-Match": '"2"'}).status_code == 412


def test_the_first_that_is_loaded_is_what_the_sender_means(stocked: FlaskClient) -> None:
    line = {"sku": "CHAIR", "quantity": 3}
    assert stocked.post(LINE, json=line, headers={"If-Match": '"2"'}).status_code == 412
    assert stocked.post(LINE, json=line, headers={"If-Match": '"1"'}).status_code == 201
    assert stocked.delete(f"{LINE}/CHAIR", headers={"If-Match": '"1"'}).status_code == 412
    assert stocked.delete(f"{LINE}/CHAIR", headers={"If-Match": '"2"'}).status_code == 204


def test_a_compressed_answer_has_a_tag_of_its_own_for_the_same_version(http: FlaskClient) -> None:
    for number in range(20):
        batch = {"reference": f"b{number}", "sku": "CHAIR", "quantity": 10}
        assert http.post("/allocation/batches", json=batch).status_code == 201
    product = "/allocation/products/CHAIR"
    plain, small = http.get(product), http.get(product, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert (plain.headers["ETag"], small.headers["ETag"]) == ('"20"', '"20-gzip"')
    assert (small.headers["Content-Encoding"], small.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert json.loads(gzip.decompress(small.data)) == plain.json
    assert len(small.data) < len(plain.data) / 2
    for tag in ('"20"', '"20-gzip"'):
        assert http.get(product, headers={"If-None-Match": tag}).status_code == 304
        line = {"sku": "CHAIR", "quantity": 1}
        refused = http.post(LINE, json=line, headers={"If-Match": tag.replace("20", "19")})
        assert refused.status_code == 412
    assert http.post(LINE, json=line, headers={"If-Match": '"20-gzip"'}).status_code == 201


@pytest.mark.parametrize("encodings", ["", "identity", "gzip;q=0", "br"])
def test_who_does_not_take_gzip_is_not_sent_it(http: FlaskClient, encodings: str) -> None:
    answer = http.get("/openapi.json", headers={"Accept-Encoding": encodings})
    assert "Content-Encoding" not in answer.headers


def test_the_document_says_where_versions_are(http: FlaskClient) -> None:
    paths = http.get("/openapi.json").json["paths"]
    batch = paths["/allocation/batches/{reference}"]
    names = {each["$ref"].rpartition("/")[2] for each in batch["patch"]["parameters"] if "$ref" in each}
    assert "If-Match" in names
    assert "412" in batch["patch"]["responses"]
    assert "ETag" in batch["patch"]["responses"]["200"]["headers"]
    assert {"200", "304", "412"} <= batch["get"]["responses"].keys()
    # A list has no version, so that a condition can only be wrong there.
    listed = paths["/allocation/batches"]["get"]
    assert "ETag" not in listed["responses"]["200"]["headers"]
    assert http.get("/allocation/batches", headers={"If-Match": '"1"'}).status_code == 412
    assert "412" in listed["responses"]
