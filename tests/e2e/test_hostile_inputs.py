"""The hostile inputs over the wire, against gunicorn: each is refused, and the service goes on serving."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from atomos.testing.processes import Service
from tests.hostile.inputs import JSON, MARKER, Hostile, everything
from tests.hostile.wire import RAW, Raw

from .conftest import StartService
from .protected import SECRET, processes_of, protected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

QUICK_SECONDS = 5.0
"""From the first byte of a request to its answer, on a machine that does much else."""


class Open(NamedTuple):
    """A service that needs credentials, credentials for it, and what it says."""

    service: Service
    token: str
    output: Path


@pytest.fixture
def exposed(database_url: str, start_service: StartService, tmp_path: Path) -> Open:
    own, token, _ = protected(database_url, level="info")
    output = tmp_path / "service.log"
    return Open(start_service(environment=own, output=output), token, output)


def sent(exposed: Open, hostile: Hostile) -> int:
    """Send one; give its status, 0 where the connection was closed without one."""
    usual = {"Authorization": f"Bearer {exposed.token}"}
    usual |= {} if hostile.body is None else {"Content-Type": JSON}
    connection = http.client.HTTPConnection("127.0.0.1", exposed.service.port, timeout=20)
    try:
        connection.putrequest(hostile.method, hostile.target, skip_accept_encoding=True)
        for name, value in {**usual, **hostile.headers}.items():
            if value is not None:
                connection.putheader(name, value.encode("latin-1", "replace"))
        if hostile.body is not None:
            connection.putheader("Content-Length", str(len(hostile.body)))
        connection.endheaders(hostile.body)
        return connection.getresponse().status
    except (ConnectionError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def raw(exposed: Open, given: Raw) -> int:
    """Send bytes, and nothing more; give the status, 0 where the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", exposed.service.port), timeout=20) as connection:
        try:
            connection.sendall(given.sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except ConnectionError:
            return 0
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


def documented(hostile: Hostile) -> tuple[int, ...]:
    """Give the statuses of a row that are right where a server reads the request first."""
    return hostile.statuses if hostile.wire is None else (hostile.wire,)


def judged(name: str, statuses: tuple[int, ...], send: Callable[[], int]) -> str:
    """Say what is wrong with an answer over the wire; nothing where all is well."""
    begun = time.monotonic()
    status = send()
    seconds = time.monotonic() - begun
    if status not in statuses:
        return f"{name}: {status}"
    return f"{name}: took {seconds:.1f} s" if seconds > QUICK_SECONDS else ""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_over_the_wire_each_is_refused_and_no_process_ends(exposed: Open) -> None:
    before = processes_of(exposed.service)
    answers = [judged(each.name, documented(each), partial(sent, exposed, each)) for each in everything()]
    answers += [judged(each.name, (each.status,), partial(raw, exposed, each)) for each in RAW]
    wrong = [each for each in answers if each]
    assert wrong == [], "\n".join(wrong)
    assert processes_of(exposed.service) == before
    said = exposed.output.read_text("utf-8")
    assert said.count("http.refused") > len(RAW)
    assert [secret for secret in (exposed.token, SECRET, MARKER) if secret in said] == []
    good = Hostile("good", "POST", "/allocation/batches", b'{"reference": "a", "sku": "b", "quantity": 1}')
    assert sent(exposed, good) == 201
