"""What a request's headers say about its sender: keys, conversations and traces."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest

from atomos.core.api import Entrypoints, emit, principal
from atomos.core.api.emitting import read_key
from atomos.core.domain import Created
from atomos.core.service.envelope import Principal, hashed_id

from .api_samples import BOOK, Book, BookArrived, BookLost, Library

CONVERSATION = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=",")


def post(library: Library, isbn: str = "1", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return library.http.post(f"/library/books/{isbn}", json=BOOK, headers=named)


def envelope(library: Library) -> Any:
    return library.log.records[0].envelope


# Idempotency-Key


def test_a_repeat_with_its_key_gets_the_first_answer_and_status() -> None:
    library = Library()
    first, second = post(library, Idempotency_Key="k-1"), post(library, Idempotency_Key="k-1")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert first.headers["Location"] == second.headers["Location"]
    assert len([record for record in library.log.records if record.kind == "event"]) == 1


def test_a_repeat_without_a_key_is_another_event() -> None:
    library = Library()
    assert [post(library).status_code, post(library).status_code] == [201, 200]


def test_a_key_names_the_principal_the_method_and_the_route_but_not_the_path() -> None:
    library = Library()
    post(library, isbn="7", Idempotency_Key="k-1")
    assert envelope(library).id == hashed_id("http", "anonymous", "POST /library/books/<>", "k-1")


@pytest.mark.parametrize("variable", ["<isbn>", "<string(maxlength=20):isbn>", "<number>"])
def test_a_repeat_is_one_also_where_another_build_writes_the_variables_of_the_path_otherwise(
    variable: str,
) -> None:
    blueprint = Entrypoints("moved", __name__, url_prefix="/library")
    arrived = BookArrived(isbn="7", title="Emma", copies=1)

    @blueprint.post(f"/books/{variable}", reads=lambda _: arrived)
    def arrives(event: BookArrived) -> Created[Book] | Book:
        return emit(event)

    library = Library(blueprints=[blueprint])
    post(library, isbn="7", Idempotency_Key="k-1")
    assert envelope(library).id == hashed_id("http", "anonymous", "POST /library/books/<>", "k-1")


def test_a_key_used_for_another_body_or_another_path_is_422() -> None:
    library = Library()
    post(library, Idempotency_Key="k-1")
    other_path = post(library, isbn="2", Idempotency_Key="k-1")
    other_body = library.http.post(
        "/library/books/1", json={**BOOK, "copies": 3}, headers={"Idempotency-Key": "k-1"}
    )
    for response in (other_path, other_body):
        assert response.status_code == 422
        assert response.json["type"] == "urn:atomos:problem:reused"
        assert response.json["code"] == "ATM038"


def test_one_key_for_two_methods_is_two_keys() -> None:
    library = Library()
    assert post(library, Idempotency_Key="k-1").status_code == 201
    assert library.http.delete("/library/books/1", headers={"Idempotency-Key": "k-1"}).status_code == 204


def test_a_request_that_failed_may_try_again_with_its_key() -> None:
    library = Library()
    key = {"Idempotency-Key": "k-1"}
    assert library.http.delete("/library/books/1", headers=key).status_code == 404
    post(library)
    assert library.http.delete("/library/books/1", headers=key).status_code == 204


def test_a_key_on_a_get_is_not_looked_at() -> None:
    response = Library().http.get("/library/shelves/a/titles", headers={"Idempotency-Key": "not good"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "key",
    ["", " ", "a b", "a,b", '"a", "b"', '"a', '""', '"a b"', "é", "x" * 256, '"' + "x" * 256 + '"', '"\\x"'],
)
def test_a_key_that_cannot_be_used_is_400_and_nothing_happens(key: str) -> None:
    library = Library()
    environ = {"HTTP_IDEMPOTENCY_KEY": key}
    response = library.http.post("/library/books/1", json=BOOK, environ_overrides=environ)
    assert response.status_code == 400
    assert "1 to 255 visible ASCII characters" in response.json["detail"]
    assert library.log.records == []


def test_a_key_that_came_twice_is_400() -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    assert Library().http.post("/library/books/1", json=BOOK, headers=headers).status_code == 400


@given(st.text(VISIBLE, min_size=1, max_size=255).filter(lambda key: not key.startswith('"')))
def test_a_bare_key_is_itself(key: str) -> None:
    assert read_key(key) == key


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_a_quoted_key_is_what_is_quoted(key: str) -> None:
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert read_key(f'"{quoted}"') == key


@given(st.text(max_size=300))
def test_a_key_is_read_or_refused(key: str) -> None:
    with suppress(BadRequest):
        assert 1 <= len(read_key(key)) <= 255


# X-Correlation-ID


def test_a_conversation_is_continued_under_the_id_that_was_given() -> None:
    library = Library()
    response = post(library, X_Correlation_ID=CONVERSATION)
    assert response.headers["X-Correlation-ID"] == CONVERSATION
    assert {record.envelope.correlation_id for record in library.log.records} == {CONVERSATION}


def test_a_conversation_id_is_written_small() -> None:
    library = Library()
    response = post(library, X_Correlation_ID=CONVERSATION.upper())
    assert response.headers["X-Correlation-ID"] == envelope(library).correlation_id == CONVERSATION


def test_a_conversation_that_begins_has_the_id_that_the_response_tells() -> None:
    library = Library()
    told = post(library).headers["X-Correlation-ID"]
    assert UUID(told).version == 7
    assert envelope(library).correlation_id == told


def test_a_keyed_conversation_begins_under_the_id_of_its_event_and_its_repeats_are_in_it() -> None:
    library = Library()
    first, second = post(library, Idempotency_Key="k"), post(library, Idempotency_Key="k")
    assert first.headers["X-Correlation-ID"] == second.headers["X-Correlation-ID"] == envelope(library).id
    assert envelope(library).correlation_id == envelope(library).id


@pytest.mark.parametrize(
    "given_id", ["", "x", CONVERSATION + "0", CONVERSATION.replace("-", ""), f"{{{CONVERSATION}}}"]
)
def test_a_conversation_id_that_is_no_uuid_is_400_and_is_not_echoed(given_id: str) -> None:
    response = post(Library(), X_Correlation_ID=given_id)
    assert response.status_code == 400
    assert "one UUID" in response.json["detail"]
    assert response.json["correlation_id"] == response.headers["X-Correlation-ID"] != given_id


@pytest.mark.parametrize("path", ["/nowhere", "/library/books/1", "/health/live", "/openapi.json"])
def test_every_response_tells_its_conversation_errors_too(path: str) -> None:
    response = Library().http.get(path, headers={"X-Correlation-ID": CONVERSATION})
    assert response.headers["X-Correlation-ID"] == CONVERSATION
    assert response.status_code == 200 or response.json["correlation_id"] == CONVERSATION


def test_two_requests_are_two_conversations() -> None:
    library = Library()
    assert post(library).headers["X-Correlation-ID"] != post(library).headers["X-Correlation-ID"]


# traceparent


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (TRACE, TRACE),
        (f"cc{TRACE[2:]}-what-the-future-will-be-like", TRACE),
        (f"{TRACE}-more", None),
        (TRACE.upper(), None),
        (f"ff{TRACE[2:]}", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", None),
        (f"{TRACE},{TRACE}", None),
        ("", None),
    ],
)
def test_a_trace_is_passed_on_when_it_is_well_formed_and_ignored_otherwise(
    header: str, kept: str | None
) -> None:
    library = Library()
    assert post(library, traceparent=header).status_code == 201
    assert envelope(library).traceparent == kept


@pytest.fixture(scope="module")
def shared() -> Library:
    """One for all examples of a test: it takes longer to make than to ask."""
    return Library()


@given(st.text(st.characters(codec="latin-1"), max_size=70))
def test_no_trace_is_ever_an_error(shared: Library, header: str) -> None:
    shared.books.clear()
    environ = {"HTTP_TRACEPARENT": header}
    response = shared.http.post("/library/books/1", json=BOOK, environ_overrides=environ)
    assert response.status_code == 201


# Who


def test_whoever_asks_is_anonymous_and_may_all_where_nobody_needs_credentials() -> None:
    library = Library()
    post(library)
    with library.app.test_request_context("/"):
        assert principal() == Principal("anonymous", None)
    assert envelope(library).principal == "anonymous"


def test_emitting_in_an_application_without_a_bus_says_what_to_do() -> None:
    app = Flask("bare")
    with app.test_request_context(), pytest.raises(RuntimeError, match=r"install\(app, bus=\.\.\.\)"):
        emit(BookLost(isbn="1"))


def test_two_events_of_one_request_are_in_one_conversation() -> None:
    library = Library()
    post(library)
    library.log.records.clear()
    with library.app.test_request_context(method="POST"):
        emit(BookLost(isbn="1"))
        library.books["1"] = None  # type: ignore[assignment]
        emit(BookLost(isbn="1"))
    assert len({record.envelope.correlation_id for record in library.log.records}) == 1
