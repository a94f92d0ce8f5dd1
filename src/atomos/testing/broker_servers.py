"""Servers of a test's own that carry messages: a Redis and a NATS that may be stopped, killed and frozen."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from .processes import free_port, wait_until

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_MORE_SECONDS = 1.0


class _Server(ABC):
    """A server in one process, on a free port of the loopback, with its files in a folder of its own."""

    name: str

    def __init__(self) -> None:
        self.port = free_port()
        self._root: Path | None = None
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self) -> None:
        """Start it, with what it kept, and wait until it answers."""
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix=f"atomos-{self.name}-"))
        with (self._root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(self._root), stdout=log, stderr=log)  # noqa: S603
        wait_until(self._answers, _START_SECONDS, f"{self.name} on port {self.port} to answer")

    def stop(self) -> None:
        """Stop it in good order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it at once (SIGKILL); harmless where it does not run."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it in good order and start it again, on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP): connections stay open, and nobody answers."""
        assert self._process is not None, "the server was not started"
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None, "the server was not started"
        self._process.send_signal(signal.SIGCONT)

    def lose(self) -> None:
        """Kill it, remove all that it kept, and start it again."""
        self.remove()
        self.start()

    def remove(self) -> None:
        """Kill it, where it still runs, and remove its files."""
        self.kill()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    @abstractmethod
    def _command(self, root: Path) -> Sequence[str]:
        """Give what starts it in the foreground, with its files in a folder."""

    @abstractmethod
    def _greets(self, link: socket.socket) -> bool:
        """Whether it says on a connection that it serves."""

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_STOP_SECONDS)

    def _answers(self) -> bool:
        assert self._process is not None and self._root is not None
        if self._process.poll() is not None:
            said = (self._root / "server.log").read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}: {said}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), _MORE_SECONDS) as link:
            return self._greets(link)
        return False


class RedisServer(_Server):
    """A Redis of a test's own: entered, it serves; left, it is gone. What it has confirmed is on the disk.

    `settings` are added to its configuration, as text.
    """

    name = "redis"

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._settings = {"appendonly": "yes", "appendfsync": "always", "save": "", **(settings or {})}

    def _command(self, root: Path) -> Sequence[str]:
        own = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(root), **self._settings}
        return ["redis-server", *(part for name, value in own.items() for part in (f"--{name}", value))]

    def _greets(self, link: socket.socket) -> bool:
        # While it reads what it kept it answers too, with an error.
        link.sendall(b"PING\r\n")
        return link.recv(16).startswith((b"+PONG", b"-NOAUTH"))


class NatsServer(_Server):
    """A NATS with JetStream of a test's own: entered, it serves; left, it is gone.

    `options` are added to its command line.
    """

    name = "nats"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._options = options

    def _command(self, root: Path) -> Sequence[str]:
        where = ["--addr", "127.0.0.1", "--port", str(self.port)]
        return ["nats-server", *where, "--jetstream", "--store_dir", str(root), *self._options]

    def _greets(self, link: socket.socket) -> bool:
        return link.recv(16).startswith(b"INFO")
