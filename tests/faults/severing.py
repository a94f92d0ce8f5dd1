"""A way to a server that a test severs: to its clients, the server has closed their connections."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

_MOST = 65536


class Passage:
    """Forwards what comes to `port` to a port of the loopback, and back; entered, it does; left, all is closed."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="passage", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.sever()

    def sever(self) -> int:
        """Close every connection; say how many there were. New ones are let through."""
        with self._lock:
            found, self._open = self._open, set()
        for each in found:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        return len(found) // 2

    def _accept(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                return
            with self._lock:
                self._open |= {client, server}
            for both in (client, server), (server, client):
                threading.Thread(target=self._forward, args=both, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while said := source.recv(_MOST):
                target.sendall(said)
        for each in source, target:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, target}
