"""Slow clients cost a connection each, and no thread: whoever is quick is served at once, beside fifty of them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path

import psutil
import pytest

from atomos.testing.databases import SqliteTemplate
from atomos.testing.processes import Service, wait_until

from .conftest import PROJECT
from .raw import ask, connect, is_ended, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CLIENTS = 50
AT_ONCE_SECONDS = 2.0
"""Within so long an honest client has its answer; it takes some milliseconds on a machine that has time."""

POST = b"POST /allocation/batches HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: here\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, sqlite_template: SqliteTemplate) -> Iterator[Service]:
    url = sqlite_template.fresh(tmp_path_factory.mktemp("slow"))
    short = {
        "ATOMOS_HTTP__ANSWER_TIMEOUT": "3",
        "ATOMOS_HTTP__HEAD_TIMEOUT": "3",
        "ATOMOS_HTTP__BODY_TIMEOUT": "5",
    }
    with Service(PROJECT, url, environment=short) as running:
        yield running


def worker_of(service: Service) -> psutil.Process:
    [worker] = psutil.Process(service.pid).children()
    return worker


KINDS: dict[str, tuple[bytes, bytes]] = {
    # what each of them sends first, and what again and again
    "that only connect": (b"", b""),
    "in the first line": (b"GET /health/li", b"v"),
    "in the head": (POST, b"X"),
    "in the body": (POST + b"Content-Length: 9999\r\n\r\n{", b" "),
    "in a chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n270F\r\n{", b" "),
    "between chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{", b"\r"),
    "that wait to be told to go on": (POST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", b""),
    "that were refused": (b"NO REQUEST\r\n\r\n", b" "),
    "that were answered, and stay": (GET + b"Connection: close\r\n\r\n", b""),
    "that do not read": ((b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n") * 40, b""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_slow_clients_keep_nobody_from_being_served(service: Service, kind: str) -> None:
    first, again = KINDS[kind]
    worker = worker_of(service)
    with ExitStack() as opened:
        clients = [opened.enter_context(slow_client(service.port)) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(first)
        longest, until, turns = 0.0, time.monotonic() + 1.5, cycle(clients)
        while time.monotonic() < until:
            with suppress(OSError):
                next(turns).sendall(again)
            reply = ask(service.port, GET + b"\r\n")
            assert reply.status == 200
            longest = max(longest, reply.seconds)
    assert longest < AT_ONCE_SECONDS
    assert worker_of(service) == worker, "gunicorn has started another worker"


def slow_client(port: int) -> socket.socket:
    """Connect with the smallest buffer for answers, so that nobody reads on its behalf."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    return client


@pytest.mark.parametrize(
    "sent",
    [GET, POST + b"Content-Length: 9\r\n\r\n{", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"],
    ids=["a head", "a body", "chunks"],
)
def test_a_request_that_takes_too_long_is_408(service: Service, sent: bytes) -> None:
    began = time.monotonic()
    reply = ask(service.port, sent)
    assert (reply.status, reply.problem["type"]) == (408, "urn:atomos:problem:request-timeout")
    assert reply.headers["connection"] == "close"
    assert 3 <= time.monotonic() - began < 8


def test_a_byte_now_and_then_makes_no_request_last_longer(service: Service) -> None:
    began = time.monotonic()
    with connect(service.port) as client:
        client.sendall(GET + b"X: ")
        client.settimeout(0.2)
        while time.monotonic() < began + 8:
            client.sendall(b"a")
            with suppress(TimeoutError):
                assert client.recv(100).startswith(b"HTTP/1.1 408 ")
                break
    assert time.monotonic() - began < 6


def test_who_connects_and_says_nothing_is_left_without_a_word(service: Service) -> None:
    with connect(service.port) as client:
        assert is_ended(client)


def test_who_does_not_take_an_answer_is_left(service: Service) -> None:
    with slow_client(service.port) as client:
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 40)
        mine = client.getsockname()[1]
        wait_until(lambda: mine in remote_ports(service), 8, "the connection to be taken")
        wait_until(lambda: mine not in remote_ports(service), 8, "the connection to be closed")


def remote_ports(service: Service) -> set[int]:
    return {each.raddr.port for each in worker_of(service).net_connections() if each.raddr}


def test_requests_that_come_together_are_answered_in_their_order(service: Service) -> None:
    ready = b"GET /health/ready HTTP/1.1\r\nHost: here\r\n\r\n"
    wrong = POST + b"Content-Length: 2\r\n\r\n{}"
    with connect(service.port) as client:
        client.sendall(
            ready + wrong + POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n" + ready
        )
        assert [read(client).status for _ in range(4)] == [200, 422, 422, 200]


def test_who_asks_whether_to_send_a_body_is_told_once(service: Service) -> None:
    body = b'{"reference": "asked", "sku": "chair", "quantity": 1}'
    with connect(service.port) as client:
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert read(client).status == 100
        client.sendall(body)
        assert read(client).status == 201


def test_who_asks_whether_to_send_too_large_a_body_is_told_not_to(service: Service) -> None:
    reply = ask(service.port, POST + b"Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n")
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_too_large_a_body_is_refused_and_the_answer_arrives_while_it_is_sent(service: Service) -> None:
    reply = ask(service.port, POST + b"Content-Length: 9999999\r\n\r\n" + b"a" * 500_000)
    assert reply.status == 413


@pytest.mark.parametrize("target", [b"/health/live", b"/allocation/batches", b"/nowhere"])
def test_too_large_a_body_is_refused_wherever_it_goes(service: Service, target: bytes) -> None:
    reply = ask(
        service.port, b"GET " + target + b" HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999\r\n\r\n"
    )
    assert (reply.status, reply.problem["status"]) == (413, 413)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /health/live HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"HEAD /health/live HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", 400),
        (b"HEAD /health/live HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (b"HEAD /health/live HTTP/1.1\r\n\r\n", 400),
        (b"HEAD /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414),
        (b"HEAD / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    ],
)
def test_what_a_head_is_refused_with_has_no_body(service: Service, request_: bytes, status: int) -> None:
    with connect(service.port) as client:
        client.sendall(request_)
        reply = read(client, "HEAD")
        assert (reply.status, int(reply.headers["content-length"]) > 0) == (status, True)
        assert is_ended(client)


def test_bodies_on_their_way_take_64_mebibytes_and_no_more(service: Service) -> None:
    worker = worker_of(service)
    before = worker.memory_info().rss
    piece = b" " * 1_000_000
    with ExitStack() as opened:
        clients = []
        for _ in range(80):
            client = opened.enter_context(connect(service.port))
            client.sendall(POST + b"Content-Length: 1000001\r\n\r\n" + piece)
            clients.append(client)
        assert ask(service.port, GET + b"\r\n").status == 200
        assert worker.memory_info().rss - before < 120_000_000
        told = [reply for client in clients if (reply := said(client)) is not None]
    assert {reply.status for reply in told} == {503, 408}
    assert all(reply.headers["retry-after"] == "1" for reply in told if reply.status == 503)


def said(client: socket.socket) -> object:
    with suppress(EOFError, ConnectionResetError):
        return read(client)
    return None


def test_a_service_without_a_free_connection_leaves_who_has_waited_longest(
    tmp_path: Path, sqlite_template: SqliteTemplate
) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200));"
    with (
        LimitedService(PROJECT, sqlite_template.fresh(tmp_path), prelude=limited) as service,
        ExitStack() as opened,
    ):
        worker = worker_of(service)
        for _ in range(300):
            opened.enter_context(connect(service.port))
        assert ask(service.port, GET + b"\r\n").seconds < AT_ONCE_SECONDS
        assert worker_of(service) == worker


class LimitedService(Service):
    """A service whose processes have fewer resources."""

    def __init__(self, folder: Path, url: str, *, prelude: str) -> None:
        super().__init__(folder, url)
        self._prelude = prelude

    def start(self) -> None:
        run = f"{self._prelude} from gunicorn.app.wsgiapp import run; run()"
        command = [sys.executable, "-c", run, "wsgi:app", "-c", "config/gunicorn.conf.py"]
        self._process = subprocess.Popen(
            command, cwd=self._folder, env=self._environment, start_new_session=True
        )
        wait_until(self._is_ready, 60, f"{self.url} to be ready")


def test_a_service_that_is_told_to_stop_waits_for_no_slow_client(
    tmp_path: Path, sqlite_template: SqliteTemplate
) -> None:
    with Service(PROJECT, sqlite_template.fresh(tmp_path)) as service, ExitStack() as opened:
        for first, _ in KINDS.values():
            opened.enter_context(connect(service.port)).sendall(first)
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 15


def test_a_worker_refuses_to_speak_tls(tmp_path: Path, sqlite_template: SqliteTemplate) -> None:
    url = sqlite_template.fresh(tmp_path)
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "wsgi:app",
        "-c",
        "config/gunicorn.conf.py",
        "--certfile",
        __file__,
    ]
    made = Service(PROJECT, url)
    ended = subprocess.run(
        command, cwd=PROJECT, env=made._environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert ended.returncode != 0
    assert "Worker speaks no TLS; let a proxy in front of it do that." in ended.stderr
