"""Serves the pages of a test identity provider in threads, as slowly as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

_NO_HEADERS: Mapping[str, str] = {}


class Answer(NamedTuple):
    """What one path is answered with."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = _NO_HEADERS


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever asked has given up, as tests of slow answers do."""


class Pages:
    """A server on the loopback, on the same port each time that it is opened; the first time `port`, 0 for a free one.

    `delay` is what each answer takes, in seconds. `asked` are the paths so far.
    """

    def __init__(self, answer: Callable[[str], Answer], port: int = 0) -> None:
        self.port = port
        self.delay = 0.0
        self.asked: list[str] = []
        self._answer = answer
        self._server: _Server | None = None
        self._closing = threading.Event()

    def open(self) -> None:
        """Begin to serve."""
        self._closing.clear()
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        self._closing.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pages.asked.append(self.path)
                # The answer is what holds when it was asked.
                answer = pages._answer(self.path)
                if pages.delay:
                    pages._closing.wait(pages.delay)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name for it
                """Say nothing."""

        return Handler
