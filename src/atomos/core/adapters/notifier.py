"""The notifier: tells the workers of other processes, through PostgreSQL, that something was committed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import structlog

_LOG = structlog.get_logger("atomos.notifier")

CHANNEL = "atomos"
"""The channel of NOTIFY and LISTEN; there is no payload."""

Connect = Callable[[], psycopg.Connection[Any]]
"""Opens a connection of its own, without transactions."""

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
        self._pending = False
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.backend: int | None = None

    def say(self) -> None:
        """Have it told that something was committed."""
        self._pending = True
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
            pending, self._pending = self._pending, False
            if pending:
                connection, rest = self._send(connection)
                # Under load, a few milliseconds' commits go together; a single one has not waited.
                closing.wait(rest)
        if connection is not None:
            connection.close()

    def _send(
        self, connection: psycopg.Connection[Any] | None
    ) -> tuple[psycopg.Connection[Any] | None, float]:
        """Send one NOTIFY; give the connection for the next, and the seconds to rest before it."""
        for attempt in (connection, None):  # one that was lost while it rested is replaced at once
            try:
                current = attempt or self._connect()
                self.backend = current.info.backend_pid
                current.execute(f"notify {CHANNEL}".encode())
            except psycopg.Error as error:
                if attempt is not None:
                    with suppress(psycopg.Error):
                        attempt.close()
                    continue
                _LOG.warning("notifier.failed", error=str(error).strip())
                return None, _AWAY_SECONDS
            return current, _REST_SECONDS
        return None, _AWAY_SECONDS
