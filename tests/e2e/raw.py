"""Requests byte by byte, and what comes back: for what no HTTP client would send."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """An answer as it came; `seconds` from the last byte of the request to the last one of the answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float = 0.0

    @property
    def problem(self) -> dict[str, Any]:
        """The body, which has to be a problem."""
        assert self.headers["content-type"] == "application/problem+json", self
        return json.loads(self.body)  # type: ignore[no-any-return]


def connect(port: int, seconds: float = 10.0) -> socket.socket:
    """Connect to a port of the loopback; whatever takes longer than `seconds` is an error."""
    return socket.create_connection(("127.0.0.1", port), timeout=seconds)


def ask(port: int, request: bytes, *, ends: bool = False, seconds: float = 10.0) -> Reply:
    """Send bytes, and read one answer; `ends` says that the client ends its side then."""
    with connect(port, seconds) as client:
        # The answer may come, and the connection end, before everything is sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request)
        began = time.monotonic()
        if ends:
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)
        return read(client)._replace(seconds=time.monotonic() - began)


def read(client: socket.socket, method: str = "GET") -> Reply:
    """Read one answer, and not a byte more. Raises `EOFError` when the server ends the connection before."""
    with client.makefile("rb", buffering=0) as stream:
        lines = list(_head(_lines(stream)))
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        status = int(lines[0].split(" ")[1])
        size = 0 if method == "HEAD" or status in (204, 304) else int(headers.get("content-length", 0))
        return Reply(status, headers, _exactly(stream, size))


def _lines(stream: Any) -> Iterable[str]:
    while line := stream.readline():
        yield line.decode("latin-1").rstrip("\r\n")
    raise EOFError("The server ended the connection.")


def _head(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if not line:
            return
        yield line


def _exactly(stream: Any, size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (more := stream.read(size - len(found))):
            raise EOFError("The server ended the connection.")
        found += more
    return found


def is_ended(client: socket.socket) -> bool:
    """Wait until the server ends the connection; anything that it says before makes this False."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
