"""Installing: into any application, whole or not at all, and without touching another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from structlog.testing import capture_logs

from atomos.core import api
from atomos.core.api import Entrypoints, emit, install
from atomos.core.domain import Event
from atomos.core.service.diagnostics import WiringError

from .api_samples import BOOK, BookLost, Library, library


class Unheard(Event, name="app.unheard"):
    pass


def test_public_names_are_sorted_and_exist() -> None:
    assert api.__all__ == sorted(api.__all__)
    assert all(hasattr(api, name) for name in api.__all__)


def test_the_bus_is_found_in_the_application() -> None:
    books = Library()
    assert books.app.extensions["atomos"].bus is books.bus


def test_two_applications_in_one_process_do_not_know_each_other() -> None:
    shared = library()
    first, second = Library(blueprints=[shared]), Library(blueprints=[shared])
    assert first.http.post("/library/books/1", json=BOOK).status_code == 201
    assert second.http.get("/library/books/1").status_code == 404
    assert second.log.records == []
    assert first.http.get("/library/books/1").status_code == 200


def test_an_application_is_installed_once() -> None:
    books = Library()
    with pytest.raises(ValueError, match="was installed before"):
        install(books.app, bus=books.bus)


def test_every_mistake_of_every_blueprint_is_told_and_nothing_is_added() -> None:
    one, two, app = Entrypoints("one", __name__), Entrypoints("two", __name__), Flask("odd")

    @one.get("/one")
    def lose(event: BookLost) -> None:
        return emit(event)

    @two.post("/two")
    def say(event: Unheard) -> None:
        return emit(event)

    with pytest.raises(WiringError) as raised:
        install(app, bus=Library().bus, blueprints=[one, two])
    assert [finding.code for finding in raised.value.findings] == ["ATM024", "ATM037"]
    assert "takes Unheard, which no table of this application mentions" in str(raised.value)
    assert "atomos" not in app.extensions
    assert list(app.blueprints) == []


def healthy() -> None:
    return None


def tired() -> str:
    return "the oldest message is waiting for 90 s"


def broken() -> str | None:
    raise ConnectionError("password=secret")


def ready(**checks: Callable[[], str | None]) -> Any:
    return Library(checks=checks).http.get("/health/ready")


def test_who_answers_is_alive_whatever_the_checks_say() -> None:
    response = Library(checks={"database": broken}).http.get("/health/live")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_ready_is_whose_checks_all_pass() -> None:
    assert ready().json == {"status": "ok"}
    assert ready(database=healthy, broker=healthy).status_code == 200


def test_a_check_that_fails_is_named_with_what_it_says() -> None:
    response = ready(database=healthy, age=tired)
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert response.json["type"] == "urn:atomos:problem:not-ready"
    assert response.json["checks"] == {"age": "the oldest message is waiting for 90 s"}
    assert response.json["detail"] == "age: the oldest message is waiting for 90 s"


def test_a_check_that_raises_fails_by_name_and_keeps_its_secrets() -> None:
    with capture_logs() as logs:
        response = ready(database=broken, age=tired)
    assert set(response.json["checks"]) == {"database", "age"}
    assert "ConnectionError" in response.json["checks"]["database"]
    assert "secret" not in response.text
    assert [(entry["event"], entry["check"]) for entry in logs] == [("health.check_failed", "database")]


def test_checks_are_run_each_time() -> None:
    said: list[str | None] = ["not yet", None]
    http = Library(checks={"warm": lambda: said.pop(0)}).http
    assert [http.get("/health/ready").status_code for _ in range(2)] == [503, 200]


def test_a_warning_is_told_and_decides_nothing() -> None:
    http = Library(checks={"database": healthy}, warnings={"age": tired, "worker": healthy}).http
    response = http.get("/health/ready")
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.json == {
        "status": "ok",
        "warnings": {"age": "the oldest message is waiting for 90 s"},
    }


def test_a_warning_that_raises_is_told_by_name_and_keeps_its_secrets() -> None:
    response = Library(warnings={"age": broken}).http.get("/health/ready")
    assert response.status_code == 200
    assert "ConnectionError" in response.json["warnings"]["age"]
    assert "secret" not in response.text


def test_who_is_not_ready_is_not_asked_for_warnings() -> None:
    asked: list[str] = []
    http = Library(checks={"age": tired}, warnings={"worker": lambda: asked.append("worker")}).http
    assert http.get("/health/ready").status_code == 503
    assert asked == []
