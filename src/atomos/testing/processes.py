"""Real processes for tests: a service under gunicorn on a free port, to be asked, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import httpx2

from atomos.serving import gunicorn

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class Service:
    """A service in processes of its own, from a project's folder: entered, it serves; left, it is gone.

    `database_url` is where it stores; `environment` adds variables; `processes` is gunicorn's workers. What it says
    is added to the file `output`; None: it goes where that of this process goes.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        processes: int = 1,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._output = output
        self._environment = {
            **os.environ,
            "ATOMOS_DATABASE__URL": database_url,
            "ATOMOS_HTTP__PORT": str(self.port),
            "ATOMOS_HTTP__PROCESSES": str(processes),
            "ATOMOS_LOG__LEVEL": "warning",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master."""
        assert self._process is not None, "the service was not started"
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [sys.executable, *gunicorn(self._folder)]
        with ExitStack() as files:
            said = None if self._output is None else files.enter_context(self._output.open("ab"))
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
                stdout=said,
                stderr=said,
            )
        wait_until(self._is_ready, _START_SECONDS, f"{self.url} to be ready")

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), wait, and give its exit code."""
        assert self._process is not None, "the service was not started"
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """Kill all its processes at once (SIGKILL)."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_SECONDS)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the service ended with {self._process.returncode} before it was ready")
        try:
            return httpx2.get(f"{self.url}/health/ready", timeout=2).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False


def free_port() -> int:
    """Find a port on the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Look until a condition holds. Raises `TimeoutError` when it does not within so many seconds."""
    given_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > given_up:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)
