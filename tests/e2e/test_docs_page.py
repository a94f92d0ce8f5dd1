"""The page to read and try the document, in a real browser that can reach nothing but the service."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
from flask import Flask
from playwright.sync_api import Page, Route, expect, sync_playwright
from werkzeug.serving import make_server

from atomos.allocation.service.queries import BatchOf
from atomos.bootstrap import Atomos, find_container
from atomos.core.service.credentials import mint
from atomos.settings import SecuritySettings
from atomos.testing.databases import SqliteTemplate, need_service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECRET = "a secret of the page's tests that nobody else has"
PATIENCE_MS = 60_000


class Seen(NamedTuple):
    """A page of a browser, and what happened in it."""

    page: Page
    elsewhere: list[str]
    wrong: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        need_service("A browser (`.ci/browser` installs chromium)", FileNotFoundError(", ".join(BROWSERS)))
    with sync_playwright() as playwright:
        # Whatever a page asks of another host fails before it leaves this machine.
        nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        launched = playwright.chromium.launch(executable_path=found, args=[nowhere, "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def security() -> SecuritySettings:
    return SecuritySettings()


@pytest.fixture
def atomos(
    make_atomos: Any, sqlite_template: SqliteTemplate, tmp_path: Path, security: SecuritySettings
) -> Iterator[Atomos]:
    settings = make_atomos(sqlite_template.fresh(tmp_path)).settings
    made = Atomos(find_container(), replace(settings, security=security))
    yield made
    made.close()


@pytest.fixture
def url(atomos: Atomos) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, atomos.init_app(Flask("page")), threaded=True)
    serving = Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()


@pytest.fixture
def seen(browser: Any, url: str) -> Iterator[Seen]:
    elsewhere: list[str] = []
    wrong: list[str] = []

    def route(route: Route) -> None:
        if route.request.url.startswith(f"{url}/"):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context = browser.new_context()
    context.route("**/*", route)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield Seen(page, elsewhere, wrong)
    context.close()


def try_out(page: Page, kind: str, path: str) -> Any:
    """Open an operation, send it as the page fills it in, and give where its status is shown."""
    operation = page.locator(f".opblock-{kind}").filter(has=page.get_by_text(path, exact=True)).first
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table tbody .response-col_status").first


def test_the_page_shows_the_document_and_sends_its_examples_without_another_host(
    seen: Seen, url: str, atomos: Atomos
) -> None:
    seen.page.goto(f"{url}/docs")
    expect(seen.page.get_by_role("heading", level=1)).to_contain_text("atomos-framework", timeout=PATIENCE_MS)
    expect(seen.page.locator(".opblock")).to_have_count(11)
    status = try_out(seen.page, "post", "/allocation/batches")
    expect(status).to_have_text("201", timeout=PATIENCE_MS)
    assert atomos.bus.ask(BatchOf(reference="batch-1")).sku == "CHAIR"
    assert (seen.elsewhere, seen.wrong) == ([], [])


@pytest.mark.parametrize("security", [SecuritySettings(authentication=True, secret=SECRET)])
def test_who_has_an_api_key_shows_it_on_the_page(seen: Seen, url: str, atomos: Atomos) -> None:
    key = mint("reader", ["stock:read"], SECRET, now := datetime.now(UTC), now + timedelta(days=1))
    atomos.container.core.keys().add(key.key)
    seen.page.goto(f"{url}/docs")
    seen.page.get_by_role("button", name="Authorize").click()
    seen.page.get_by_label("auth-bearer-value").fill(key.token)
    seen.page.get_by_role("button", name="Apply credentials").click()
    seen.page.get_by_role("button", name="Close", exact=True).first.click()
    status = try_out(seen.page, "get", "/allocation/batches")
    expect(status).to_have_text("200", timeout=PATIENCE_MS)
    assert (seen.elsewhere, seen.wrong) == ([], [])


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 900)])
def test_the_page_of_topics_is_read_on_a_phone_and_on_a_desk_without_scripts_or_another_host(
    seen: Seen, url: str, width: int, height: int
) -> None:
    page = seen.page
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{url}/docs/topics")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    main = page.get_by_role("main")
    expect(main.get_by_role("rowheader", name="reference").first).to_be_visible()
    attributes = main.get_by_role("table", name="Attributes").first
    expect(attributes.get_by_role("rowheader", name="partitionkey")).to_be_visible()
    expect(main.get_by_text("allocation.went-out-of-stock", exact=True).first).to_be_visible()
    main.get_by_text("An example").first.click()
    expect(main.get_by_text('"specversion": "1.0"').first).to_be_visible()
    # What is wider scrolls in its own place, and the page does not.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("script").count() == 0
    assert (seen.elsewhere, seen.wrong) == ([], [])
