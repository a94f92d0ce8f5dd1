"""Each hostile input gets its documented answer, quickly, and the service goes on serving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import thread_time
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from atomos.bootstrap import Atomos
from atomos.core.service.credentials import mint
from atomos.settings import SecuritySettings

from .inputs import BATCHES, BODY, JSON, MARKER, Hostile, everything

SECRET = "a secret of the tests that nobody else has"
QUICK_SECONDS = 1.0
"""Of processor time."""

INPUTS = everything()


@pytest.fixture
def atomos_of_strangers(atomos: Any, atomos_container: Any) -> Iterator[Atomos]:
    """An application that needs credentials."""
    security = SecuritySettings(authentication=True, secret=SECRET)
    made = Atomos(atomos_container, replace(atomos.settings, security=security))
    yield made
    made.close()


@pytest.fixture
def http(atomos_of_strangers: Atomos) -> FlaskClient:
    return atomos_of_strangers.init_app(Flask("hostile")).test_client()


@pytest.fixture
def credentials(atomos_of_strangers: Atomos) -> str:
    scopes = [scope for scope in atomos_of_strangers.bus.flow.routes.requires.values() if scope]
    made = mint("stranger", scopes, SECRET, datetime.now(UTC))
    atomos_of_strangers.container.core.keys().add(made.key)
    return f"Bearer {made.token}"


def send(http: FlaskClient, credentials: str, hostile: Hostile) -> Any:
    usual = {"Authorization": credentials, **({} if hostile.body is None else {"Content-Type": JSON})}
    headers = {name: value for name, value in {**usual, **hostile.headers}.items() if value is not None}
    path, _, query = hostile.target.partition("?")
    # As servers give it: the client of the tests would make other bytes of some.
    environ = {"REQUEST_METHOD": hostile.method, "PATH_INFO": unquote_to_bytes(path).decode("latin-1")}
    return http.open(path, query_string=query, data=hostile.body, headers=headers, environ_overrides=environ)


def test_there_are_hundreds_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len(INPUTS) >= 200
    assert len({each.name for each in INPUTS}) == len(INPUTS)


def test_each_gets_its_documented_answer_quickly_and_the_service_goes_on(
    http: FlaskClient, credentials: str, atomos_of_strangers: Atomos
) -> None:
    wrong = []
    with capture_logs() as logged:
        for hostile in INPUTS:
            begun = thread_time()
            answer = send(http, credentials, hostile)
            seconds = thread_time() - begun
            if answer.status_code not in hostile.statuses:
                wrong.append(f"{hostile.name}: {answer.status_code} {answer.text[:200]}")
            elif (
                answer.content_type != "application/problem+json"
                or answer.json["status"] != answer.status_code
            ):
                wrong.append(f"{hostile.name}: {answer.content_type}")
            elif seconds > QUICK_SECONDS:
                wrong.append(f"{hostile.name}: took {seconds:.1f} s")
    assert wrong == [], "\n".join(wrong)
    assert {line["event"] for line in logged} <= {
        "http.refused",
        "authentication.accepted",
        "authentication.rejected",
    }
    assert MARKER not in repr(logged)
    assert credentials.removeprefix("Bearer ") not in repr(logged)
    with atomos_of_strangers.container.core.database().look() as connection:
        assert connection.exec_driver_sql("select count(*) from atomos_message").scalar_one() == 0
    good = Hostile("a good one", "POST", BATCHES, BODY, statuses=(201,))
    assert send(http, credentials, good).status_code == 201
