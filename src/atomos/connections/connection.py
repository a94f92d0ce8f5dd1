"""One client's connection: what is waited for on it, until when, and what is still to be sent."""

from __future__ import annotations

import errno
import socket
import time
from enum import Enum
from typing import Any

from .arriving import Allowed, Arriving


class Stage(Enum):
    """What is waited for on a connection."""

    RESTING = "the next request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    HANDLED = "the application"
    ANSWER = "the client, to take its answer"
    CLOSING = "the client, to close"
    CLOSED = "nothing"


WAITING = frozenset((Stage.RESTING, Stage.HEAD, Stage.BODY))
"""Where a connection waits for a request: it is being read."""


class Answer:
    """Takes what gunicorn writes, as a socket would; `unsent` is what the client has not been sent yet."""

    def __init__(self) -> None:
        self.unsent = bytearray()

    def sendall(self, data: bytes) -> None:
        """Keep what is to be sent."""
        self.unsent += data

    def shutdown(self, _how: int) -> None:
        """Say that there is nothing to shut down: gunicorn does so with an answer that broke off."""
        raise OSError(errno.ENOTCONN, "an answer is no connection")

    def close(self) -> None:
        """Do nothing: the connection is the worker's to close."""


class Connection:
    """One client's connection, whose socket never blocks. `keeps` says that it stays open after its answer.

    `since` and `until` are instants of the monotonic clock. What gunicorn reads: `sock`, `client` and `server`.
    """

    def __init__(self, link: socket.socket, client: Any, server: Any, allowed: Allowed) -> None:
        link.setblocking(False)
        self.link, self.client, self.server = link, client, server
        self.sock = Answer()
        self.arriving = Arriving(allowed, client)
        self.stage = Stage.RESTING
        self.since = self.until = 0.0
        self.keeps = True
        self.held = 0
        self.drained = 0

    def enter(self, stage: Stage, seconds: float) -> None:
        """Wait for something else now, for so long."""
        self.stage, self.since = stage, time.monotonic()
        self.until = self.since + seconds

    def push(self) -> bool:
        """Send what the client takes at once, and say whether that was all. Raises `OSError` when it is gone."""
        unsent = self.sock.unsent
        while unsent:
            try:
                del unsent[: self.link.send(unsent)]
            except (BlockingIOError, InterruptedError):
                return False
        return True
