"""The listener: hears, on a connection of its own, that another process has committed something."""

from __future__ import annotations

import random
import selectors
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any

import psycopg
import structlog

from .notifier import CHANNEL, Connect, named

_LOG = structlog.get_logger("atomos.listener")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_STOP_SECONDS = 2.0


class Listener:
    """One thread that listens until it is stopped, and connects again whenever its connection was lost.

    `hear` is called for each notification, and after each connect: something may have been said meanwhile. It
    gets the process id of the server's backend that has notified, zero after a connect, and the recipients that were
    named, none for any.
    """

    def __init__(self, connect: Connect, hear: Callable[[int, Collection[str]], None]) -> None:
        self._connect = connect
        self._hear = hear
        self._stopped = threading.Event()
        self._told, self._teller = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="atomos-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and close the connection."""
        # In this order: the thread closes both sockets as soon as it is stopped.
        self._teller.send(b"\0")
        self._stopped.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        with self._told, self._teller:
            while not self._stopped.is_set():
                try:
                    with self._connect() as connection:
                        connection.execute(f"listen {CHANNEL}".encode())
                        pause = _FIRST_PAUSE
                        self._hear(0, ())
                        self._listen(connection)
                except psycopg.Error as error:
                    _LOG.warning("listener.failed", error=str(error).strip(), pause=pause)
                    self._stopped.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311
                    pause = min(_LONGEST_PAUSE, 2 * pause)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        link = connection.pgconn
        with selectors.DefaultSelector() as selector:
            selector.register(link.socket, selectors.EVENT_READ)
            selector.register(self._told, selectors.EVENT_READ)
            while not self._stopped.is_set():
                selector.select()
                link.consume_input()
                while (heard := link.notifies()) is not None:
                    self._hear(heard.be_pid, named(heard.extra))
