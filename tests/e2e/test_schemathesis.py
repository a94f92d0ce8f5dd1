"""schemathesis compares the served document with a real service: what is sent, answered, refused and linked."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from atomos.testing.processes import Service

from .conftest import StartService
from .fuzzing.running import Sent, Who, fuzz
from .protected import processes_of, protected

LONG = os.environ.get("ATOMOS_TEST_FUZZ") == "long"
SEED = int(os.environ.get("ATOMOS_TEST_FUZZ_SEED", "20261128"))
REQUESTS = 20_000 if LONG else 2_000
"""So many requests are sent at least."""

EXAMPLES = 100 if LONG else 10
"""For each operation and phase."""

CHAINS = 4 * EXAMPLES
"""Of requests that follow each other by links."""

SINGLE, CHAINED = ("examples", "coverage", "fuzzing"), ("stateful",)
"""The phases: of requests on their own, and of requests that need each other's answers."""

STATUSES = {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 415, 422}
"""What has to come: a kind of answer that never came was not looked at."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500 if LONG else 300)]


class Open(NamedTuple):
    """A service that needs credentials: a token that may do everything, and one that may nothing."""

    service: Service
    mighty: str
    powerless: str


@pytest.fixture
def exposed(database_url: str, start_service: StartService) -> Open:
    own, mighty, powerless = protected(database_url, level="error")
    return Open(start_service(environment=own), mighty, powerless)


def rounds(exposed: Open, folder: Path) -> list[Sent]:
    """Ask without credentials, without permissions, and then with all of them until there were enough requests."""
    url, seed = exposed.service.url, SEED
    sent = fuzz(url, Who("nobody"), seed, EXAMPLES, SINGLE, folder)
    sent += fuzz(url, Who("powerless", exposed.powerless, is_powerless=True), seed, EXAMPLES, SINGLE, folder)
    while seed == SEED or len(sent) < REQUESTS:
        sent += fuzz(url, Who("mighty", exposed.mighty), seed, EXAMPLES, SINGLE, folder)
        sent += fuzz(url, Who("mighty", exposed.mighty), seed, CHAINS, CHAINED, folder)
        seed += 1
    return sent


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_served_is_what_the_document_says(exposed: Open, tmp_path: Path) -> None:
    before, started = processes_of(exposed.service), time.monotonic()
    sent = rounds(exposed, tmp_path)
    tell(sent, time.monotonic() - started)
    assert len(sent) >= REQUESTS
    assert {each.phase for each in sent} >= {*SINGLE, *CHAINED}
    assert sum(each.phase in CHAINED for each in sent) >= REQUESTS // 50
    assert {each.status for each in sent} >= STATUSES
    assert max(each.status for each in sent) < 500
    assert {(each.method, each.path) for each in sent if each.status < 300} >= operations(exposed.service.url)
    assert processes_of(exposed.service) == before


def operations(url: str) -> set[tuple[str, str]]:
    """Give every operation of the document."""
    paths = httpx2.get(f"{url}/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def tell(sent: list[Sent], seconds: float) -> None:
    """Print how many requests were sent, by phase and by status."""
    print(f"\n{len(sent):,} requests in {seconds:.0f} s; the first seed was {SEED}")
    for phase, count in Counter(each.phase for each in sent).items():
        print(f"{count:8,} {phase}")
    for status, count in sorted(Counter(each.status for each in sent).items()):
        print(f"{count:8,} {status}")
