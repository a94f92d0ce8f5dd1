"""Message brokers of a test's own: a RabbitMQ that may be stopped, killed and frozen."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from .processes import free_port, wait_until

_START_SECONDS = 90.0
_STOP_SECONDS = 60.0
_RIPE_SECONDS = 6.0

# Small, and deaf to all but the loopback.
_SETTINGS = {
    "listeners.tcp.local": "127.0.0.1:{port}",
    "disk_free_limit.absolute": "1MB",
    "vm_memory_high_watermark.absolute": "512MB",
    "raft.wal_max_size_bytes": "16000000",
    "log.console": "true",
    "log.console.level": "warning",
    "log.file": "false",
}
_USER = "rabbitmq"
_PLACES = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq/sbin")
_GREETING = b"AMQP\x00\x00\x09\x01"


class RabbitServer:
    """A RabbitMQ of a test's own, on free ports of the loopback: entered, it serves; left, it is gone.

    `settings` are added to its configuration (rabbitmq.conf), as text. Its program is looked for in the folder that
    ATOMOS_TEST_RABBITMQ_BIN names, where packages put it, and on the path; `FileNotFoundError` when there is none.
    Under root it runs as the user `rabbitmq`. It has its own epmd, so that it neither needs nor knows another node.
    """

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        self.port, self._node_port, self._names_port = free_port(), free_port(), free_port()
        self._program = _program()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._root: Path | None = None
        self._names: subprocess.Popen[Any] | None = None
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
    def url(self) -> str:
        """The URL of its virtual host `/`, for its only user."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it, with nothing in it the first time, and wait until it answers."""
        if self._root is None:
            self._root = _folder()
            self._configure(self._root)
        if self._names is None:
            self._names = self._run("epmd", "-port", str(self._names_port), "-address", "127.0.0.1")
        self._process = self._run(str(self._program))
        wait_until(self._answers, _START_SECONDS, f"the server on port {self.port} to answer")

    def stop(self) -> None:
        """Stop it in good order (SIGTERM)."""
        assert self._process is not None, "the server was not started"
        processes = self._processes()
        self._process.terminate()
        self._process.wait(_STOP_SECONDS)
        psutil.wait_procs(processes, _STOP_SECONDS)

    def kill(self) -> None:
        """Kill all its processes at once (SIGKILL), as soon as no quorum queue is younger than six seconds.

        Such a one has not yet written down who leads it, and on RabbitMQ 3.10 would wait for that for ever.
        """
        wait_until(
            lambda: self._youngest_queue() > _RIPE_SECONDS, _START_SECONDS, "the queues to be on the disk"
        )
        self._kill()

    def restart(self) -> None:
        """Stop it in good order and start it again, on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop all its processes where they are (SIGSTOP): connections stay open, and nobody answers."""
        _signal(self._processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its processes go on."""
        _signal(self._processes(), signal.SIGCONT)

    def remove(self) -> None:
        """Kill it, where it still runs, and remove its files."""
        self._kill()
        if self._names is not None:
            self._names.kill()
            self._names.wait(_STOP_SECONDS)
            self._names = None
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def _kill(self) -> None:
        processes = self._processes()
        _signal(processes, signal.SIGKILL)
        psutil.wait_procs(processes, _STOP_SECONDS)
        if self._process is not None:
            self._process.wait(_STOP_SECONDS)

    def _youngest_queue(self) -> float:
        assert self._root is not None, "the server was not started"
        made = [each.stat().st_mtime for each in (self._root / "data").glob("*/quorum/*/*/config")]
        return time.time() - max(made, default=0.0)

    def _configure(self, root: Path) -> None:
        said = "".join(f"{name} = {value.format(port=self.port)}\n" for name, value in self._settings.items())
        (root / "rabbitmq.conf").write_text(said, "utf-8")
        (root / "enabled_plugins").write_text("[].\n", "utf-8")

    def _environment(self, root: Path) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            # The cookie is made there.
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names_port),
            "RABBITMQ_NODENAME": f"atomos-{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_CONF_ENV_FILE": str(root / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(root / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(root / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(root / "data"),
            "RABBITMQ_LOG_BASE": str(root / "log"),
            "RABBITMQ_PID_FILE": str(root / "pid"),
        }

    def _run(self, *command: str) -> subprocess.Popen[Any]:
        assert self._root is not None
        with ExitStack() as files:
            log = files.enter_context((self._root / "server.log").open("ab"))
            return subprocess.Popen(  # noqa: S603 - RabbitMQ's own programs
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                env=self._environment(self._root),
                **_its_user(),
            )

    def _answers(self) -> bool:
        assert self._process is not None and self._root is not None
        if self._process.poll() is not None:
            said = (self._root / "server.log").read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"the server ended with {self._process.returncode}: {said}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as link:
            link.sendall(_GREETING)
            # It begins with its half of the handshake, on channel 0.
            return link.recv(3) == b"\x01\x00\x00"
        return False

    def _processes(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            script = psutil.Process(self._process.pid)
            return [script, *script.children(recursive=True)]
        return []


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.send_signal(number)


def _program() -> Path:
    """Not the one on the path first: Debian's there writes to the system's own log."""
    named = os.environ.get("ATOMOS_TEST_RABBITMQ_BIN")
    for place in (named,) if named else _PLACES:
        if (found := Path(place) / "rabbitmq-server").exists():
            return found
    if not named and (found_on_path := shutil.which("rabbitmq-server")) is not None:
        return Path(found_on_path)
    raise FileNotFoundError("no rabbitmq-server; ATOMOS_TEST_RABBITMQ_BIN names the folder that it is in")


def _folder() -> Path:
    """Make a folder that the server's user can reach: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="atomos-rabbitmq-"))
    if user := _its_user():
        os.chown(folder, user["user"], user["group"])
    return folder


def _its_user() -> dict[str, Any]:
    """Its files are its own, also under root."""
    if os.geteuid() != 0:
        return {}
    with suppress(KeyError):
        user = pwd.getpwnam(_USER)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {}
