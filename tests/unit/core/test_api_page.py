"""The page to read and try the document: what it loads, and what its policy lets it do."""

from __future__ import annotations

import re

import pytest

from atomos.core.api.page import policy_for

from .api_samples import Library


def test_the_page_loads_only_files_that_are_beside_it() -> None:
    http = Library().http
    page = http.get("/docs")
    assert page.content_type == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 5
    for each in loaded:
        assert not re.match(r"\w+:|/", each), (
            "relative, so that it is found wherever the application is mounted"
        )
        assert http.get(f"/{each}").status_code == 200
    assert "<script>" not in page.text
    assert "style" not in page.text.replace('rel="stylesheet"', "")


def test_the_policy_of_the_page_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    policy = Library().http.get("/docs").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("server", "allowed"),
    [
        ("/", "connect-src 'self';"),
        ("/shop", "connect-src 'self';"),
        ("https://api.example.org/shop", "connect-src 'self' https://api.example.org;"),
    ],
)
def test_the_page_may_ask_the_server_of_the_document(server: str, allowed: str) -> None:
    assert allowed in policy_for(server)


def test_what_is_not_part_of_the_page_is_not_found() -> None:
    http = Library().http
    for path in (
        "/docs/",
        "/docs/docs.html",
        "/docs/index.html",
        "/docs/..%2fflask_swagger_ui.py",
        "/docs/%00",
    ):
        answer = http.get(path)
        assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_the_page_can_be_left_out() -> None:
    http = Library(page=False).http
    assert http.get("/docs").status_code == http.get("/docs/docs.js").status_code == 404
    assert http.get("/openapi.json").status_code == 200
