"""Every error is a problem, and none says what is inside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, abort, got_request_exception
from structlog.testing import capture_logs
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Gone, Unauthorized

from atomos.core.domain import AtomosError, DomainError, InvalidMessage, NotFound, Problem

from .api_samples import BOOK, Library

MEMBERS = {"type", "title", "status", "detail", "instance", "correlation_id"}


def told(response: Any) -> dict[str, Any]:
    """What a problem says, after a look at what all of them have."""
    body: dict[str, Any] = response.json
    assert response.content_type == "application/problem+json"
    assert body.keys() >= MEMBERS
    assert body["status"] == response.status_code
    assert body["type"].startswith("urn:atomos:problem:")
    assert body["correlation_id"] == response.headers["X-Correlation-ID"]
    return body


@pytest.mark.parametrize(
    ("how", "status", "kind", "detail"),
    [
        ("contradiction", 409, "contradiction", "It was said before."),
        ("rule", 422, "rule-broken", "Two are too many."),
        (
            "permission",
            403,
            "not-permitted",
            "Ana lacks books:write. Grant the scope, or do not send the message.",
        ),
        ("conflict", 409, "conflict", "Others changed the same thing each time. Send the request again."),
        ("flight", 409, "in-flight", "A request with this Idempotency-Key is still in progress. "),
        (
            "often",
            429,
            "too-many-requests",
            "There were more than 600 requests from this address within 60 s. ",
        ),
        ("away", 503, "unavailable", "Something that is needed is not there just now. "),
        ("inside", 500, "internal", "Something went wrong inside. The log has it under the correlation id."),
    ],
)
def test_each_kind_of_error_has_its_status_and_type(how: str, status: int, kind: str, detail: str) -> None:
    with capture_logs():
        response = Library().http.get(f"/library/failures/{how}")
    body = told(response)
    assert (response.status_code, body["type"]) == (status, f"urn:atomos:problem:{kind}")
    assert body["detail"].startswith(detail)
    assert body["instance"] == f"/library/failures/{how}"


@pytest.mark.parametrize(
    ("how", "seconds"), [("conflict", "1"), ("flight", "1"), ("away", "8"), ("often", "12"), ("rule", None)]
)
def test_who_may_try_again_is_told_when(how: str, seconds: str | None) -> None:
    with capture_logs():
        assert Library().http.get(f"/library/failures/{how}").headers.get("Retry-After") == seconds


@pytest.mark.parametrize(("how", "code"), [("permission", "ATM042"), ("conflict", "ATM043"), ("rule", None)])
def test_the_code_of_a_diagnostic_is_told_where_there_is_one(how: str, code: str | None) -> None:
    assert told(Library().http.get(f"/library/failures/{how}")).get("code") == code


def test_what_is_missing_is_404_in_the_words_of_the_domain() -> None:
    body = told(Library().http.get("/library/books/9"))
    assert (body["type"], body["detail"]) == ("urn:atomos:problem:not-found", "There is no book 9.")


@pytest.mark.parametrize("how", ["inside", "away", "conflict"])
def test_what_is_inside_stays_inside(how: str) -> None:
    with capture_logs():
        response = Library().http.get(f"/library/failures/{how}")
    for secret in ("secret", "select", "ledger-7", "ZeroDivision", "Traceback"):
        assert secret not in response.text


def test_a_failure_is_logged_under_the_id_that_is_told() -> None:
    with capture_logs() as logs:
        body = told(Library().http.get("/library/failures/inside"))
    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == ("http.failed", "error")
    assert entry["correlation_id"] == body["correlation_id"]
    assert (entry["method"], entry["route"]) == ("GET", "/library/failures/<how>")
    assert isinstance(entry["exc_info"], ZeroDivisionError)


def test_what_is_away_is_an_error_in_the_log_and_a_refusal_is_none() -> None:
    with capture_logs() as logs:
        Library().http.get("/library/failures/away")
        Library().http.get("/library/failures/rule")
    told = [(entry["event"], entry["log_level"]) for entry in logs]
    assert told == [("http.unavailable", "error"), ("http.refused", "info")]


def test_error_trackers_hear_of_a_failure() -> None:
    library, heard = Library(), []
    with (
        capture_logs(),
        got_request_exception.connected_to(lambda _, exception: heard.append(exception), library.app),
    ):
        library.http.get("/library/failures/inside")
        library.http.get("/library/failures/rule")
    assert [type(each) for each in heard] == [ZeroDivisionError]


def test_a_debugger_gets_the_failure_itself() -> None:
    library = Library()
    library.app.debug = True
    with pytest.raises(ZeroDivisionError):
        library.http.get("/library/failures/inside")


def test_a_field_that_is_sensitive_is_never_shown() -> None:
    for pin in ("no-such-pin", 98765432109, None):
        response = Library().http.post("/library/cards", json={"pin": pin})
        assert response.status_code == 422
        assert str(pin) not in response.text or pin is None


def test_a_long_value_is_shown_cut_short() -> None:
    response = Library().http.post("/library/books/1", json={**BOOK, "copies": "9" * 10_000})
    assert len(response.data) < 1_000


# Flask's own errors


def test_a_path_that_leads_nowhere_is_404() -> None:
    body = told(Library().http.get("/nowhere/é"))
    assert (body["type"], body["instance"]) == ("urn:atomos:problem:not-found", "/nowhere/%C3%A9")


def test_a_wrong_method_is_405_and_says_which_are_right() -> None:
    response = Library().http.put("/library/books/1")
    assert told(response)["type"] == "urn:atomos:problem:method-not-allowed"
    assert set(response.allow) == {"DELETE", "GET", "HEAD", "OPTIONS", "POST"}


def test_a_body_that_is_too_large_is_413() -> None:
    library = Library()
    library.app.config["MAX_CONTENT_LENGTH"] = 10
    assert told(library.http.post("/library/books/1", json=BOOK))["status"] == 413


def test_a_problem_on_a_head_has_no_body() -> None:
    response = Library().http.head("/nowhere")
    assert (response.status_code, response.data) == (404, b"")
    assert response.content_type == "application/problem+json"


def test_a_redirection_is_no_problem() -> None:
    library = Library()

    @library.app.get("/folder/")
    def folder() -> str:
        return "here"

    assert library.http.get("/folder").status_code == 308


# An application that has views of its own


def site() -> Flask:
    app = Flask("site")

    @app.get("/page")
    def page() -> str:
        return "<p>page</p>"

    @app.get("/fails/<how>")
    def fails(how: str) -> str:
        if how.isdigit():
            abort(int(how), "what the author says")
        raise {"domain": NotFound("There is none."), "inside": KeyError("secret")}[how]

    return app


def test_other_views_are_left_alone() -> None:
    response = Library(site()).http.get("/page")
    assert (response.text, response.content_type) == ("<p>page</p>", "text/html; charset=utf-8")


def test_errors_of_other_views_become_problems_in_place_of_the_plain_page() -> None:
    http = Library(site()).http
    with capture_logs():
        assert told(http.get("/fails/domain"))["detail"] == "There is none."
        assert told(http.get("/fails/410"))["detail"] == "what the author says"
        for status in (500, 502):
            body = told(http.get(f"/fails/{status}"))
            assert body["status"] == status
            assert "author" not in body["detail"]
        assert told(http.get("/fails/inside"))["type"] == "urn:atomos:problem:internal"


def test_headers_of_an_error_are_kept() -> None:
    app = site()

    @app.get("/closed")
    def closed() -> str:
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "here"}))

    response = Library(app).http.get("/closed")
    assert told(response)["status"] == 401
    assert response.www_authenticate.realm == "here"


def test_an_error_handler_that_the_application_has_of_its_own_comes_first() -> None:
    app = site()
    app.register_error_handler(404, lambda error: ("<p>lost</p>", 404))
    app.register_error_handler(500, lambda error: ("<p>sorry</p>", 500))
    library = Library(app)
    assert library.http.get("/nowhere").text == "<p>lost</p>"
    assert library.http.get("/fails/inside").text == "<p>sorry</p>"
    with capture_logs():
        told(library.http.get("/library/failures/inside"))


def test_a_response_that_was_aborted_with_is_sent_as_it_is() -> None:
    app = site()

    @app.get("/aborts")
    def aborts() -> str:
        abort(app.response_class("as it is", 418))

    @app.get("/raises")
    def raises() -> str:
        raise Gone(response=app.response_class("as it is", 410))

    http = Library(app).http
    assert http.get("/aborts").text == http.get("/raises").text == "as it is"


# The table


class Special(NotFound):
    """Something special does not exist."""


class Unforeseen(AtomosError):
    """Nobody put this into the table."""


def test_an_error_is_told_as_the_nearest_of_its_classes() -> None:
    app = site()
    for name, error in {
        "special": Special(),
        "refused": DomainError("No."),
        "unforeseen": Unforeseen(),
        "invalid": InvalidMessage("Thing", (Problem("/a/0", "must be b"),)),
    }.items():

        def view(error: Exception = error) -> str:
            raise error

        app.add_url_rule(f"/{name}", name, view)
    http = Library(app).http
    with capture_logs():
        assert told(http.get("/special"))["detail"] == "Something special does not exist."
        assert told(http.get("/refused"))["type"] == "urn:atomos:problem:refused"
        assert told(http.get("/unforeseen"))["status"] == 500
    assert told(http.get("/invalid"))["errors"] == [{"pointer": "/a/0", "detail": "must be b"}]


def test_a_problem_is_ascii_whatever_it_says() -> None:
    response = Library().http.post("/library/books/1", json={**BOOK, "é\U0001f600": 1})
    assert response.data.isascii()
    assert "/é\U0001f600" in {each["pointer"] for each in json.loads(response.data)["errors"]}


@pytest.mark.parametrize(
    ("path", "status", "kind", "level"),
    [
        ("/library/failures/permission", 403, "not-permitted", "warning"),
        ("/library/failures/rule", 422, "rule-broken", "info"),
        ("/library/books/9", 404, "not-found", "info"),
        ("/nowhere/secret-name", 404, "not-found", "info"),
    ],
)
def test_what_is_refused_is_logged_with_who_asked_from_where_and_nothing_that_was_sent(
    path: str, status: int, kind: str, level: str
) -> None:
    with capture_logs() as logged:
        response = Library().http.get(path, environ_overrides={"REMOTE_ADDR": "127.0.0.9"})
    [line] = logged
    assert (line["event"], line["log_level"], line["kind"], line["status"]) == (
        "http.refused",
        level,
        kind,
        status,
    )
    assert (line["address"], line["method"]) == ("127.0.0.9", "GET")
    assert line["correlation_id"] == response.headers["X-Correlation-ID"]
    assert "secret-name" not in str(line)


def test_what_is_answered_is_not_logged_as_refused() -> None:
    with capture_logs() as logged:
        assert Library().http.get("/library/shelves/A/titles").status_code == 200
    assert logged == []
