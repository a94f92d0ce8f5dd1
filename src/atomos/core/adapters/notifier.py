"""The notifier: tells the workers of other processes, through PostgreSQL, that something was committed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import psycopg
import structlog

_LOG = structlog.get_logger("atomos.notifier")

CHANNEL = "atomos"
"""The channel of NOTIFY and LISTEN; its payload names the recipients, a line each. An empty one stands for any."""

Connect = Callable[[], psycopg.Connection[Any]]
"""Opens a connection of its own, without transactions."""

_MOST_BYTES = 7999
_REST_SECONDS = 0.005
_AWAY_SECONDS = 1.0
_CLOSE_SECONDS = 2.0


class Notifier:
    """One thread that sends one NOTIFY for all commits that happened since the last.

    Thread and connection begin with the first commit, so that a process that only reads has neither. What cannot
    be sent is not kept: by the time the server is back, the workers have looked by themselves.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._said = threading.Event()
        self._pending: deque[Collection[str]] = deque()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.backend: int | None = None

    def say(self, recipients: Collection[str] = ()) -> None:
        """Have it told that something was committed for these recipients; none given: for any."""
        self._pending.append(recipients)
        self._said.set()
        if self._thread is None or not self._thread.is_alive():  # a fork leaves its threads behind
            self._start()

    def close(self) -> None:
        """Send what is still to be sent, and close the connection."""
        with self._starting:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._closing.set()
            self._said.set()
            thread.join(_CLOSE_SECONDS)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._closing = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._closing,), name="atomos-notifier", daemon=True
                )
                self._thread.start()

    def _run(self, closing: threading.Event) -> None:
        connection: psycopg.Connection[Any] | None = None
        while self._pending or not closing.is_set():
            self._said.wait()
            self._said.clear()
            if self._pending:
                connection, rest = self._send(connection, _payload(self._taken()))
                # Under load, a few milliseconds' commits go together; a single one has not waited.
                closing.wait(rest)
        if connection is not None:
            connection.close()

    def _taken(self) -> list[Collection[str]]:
        return [self._pending.popleft() for _ in range(len(self._pending))]

    def _send(
        self, connection: psycopg.Connection[Any] | None, payload: str
    ) -> tuple[psycopg.Connection[Any] | None, float]:
        """Send one NOTIFY; give the connection for the next, and the seconds to rest before it."""
        for attempt in (connection, None):  # one that was lost while it rested is replaced at once
            try:
                current = attempt or self._connect()
                self.backend = current.info.backend_pid
                current.execute("select pg_notify(%s, %s)", [CHANNEL, payload])
            except psycopg.Error as error:
                if attempt is not None:
                    with suppress(psycopg.Error):
                        attempt.close()
                    continue
                _LOG.warning("notifier.failed", error=str(error).strip())
                return None, _AWAY_SECONDS
            return current, _REST_SECONDS
        return None, _AWAY_SECONDS


def _payload(said: Collection[Collection[str]]) -> str:
    names = "" if not all(said) else "\n".join(sorted({name for each in said for name in each}))
    return names if len(names.encode()) <= _MOST_BYTES else ""


def named(payload: bytes) -> Collection[str]:
    """Read the recipients that a payload names; none: any."""
    return payload.decode().split("\n") if payload else ()
