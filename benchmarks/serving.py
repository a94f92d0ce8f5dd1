"""Services in processes of their own, under gunicorn, and what their processes have used."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

HERE = Path(__file__).parent
PROCESSES, THREADS = 2, 4
_START_SECONDS = _STOP_SECONDS = 30

AS_CONFIGURED = ("-c", "config/gunicorn.conf.py")
"""How the reference service is served: by its own file."""

LIKEWISE = (
    *("--chdir", str(HERE), "--workers", str(PROCESSES), "--threads", str(THREADS)),
    *("--worker-class", "gthread", "--reuse-port", "--no-control-socket", "--log-level", "warning"),
)
"""The same for the services by hand."""


class Serving(NamedTuple):
    """A service that serves: its port, and the process id of gunicorn's master."""

    port: int
    pid: int


@contextmanager
def served(application: str, *options: str) -> Iterator[Serving]:
    """Serve an application until the end."""
    port = free_port()
    own = {
        "ATOMOS_HTTP__HOST": "127.0.0.1",
        "ATOMOS_HTTP__PORT": str(port),
        "ATOMOS_HTTP__PROCESSES": str(PROCESSES),
        "ATOMOS_HTTP__THREADS": str(THREADS),
    }
    command = [sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", *options]
    with subprocess.Popen(
        command, cwd=HERE.parent, env={**os.environ, **own}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            _wait_until_ready(process, port)
            yield Serving(port, process.pid)
        finally:
            _stop(process)


def free_port() -> int:
    """Find a port on the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def family(pid: int) -> list[int]:
    """Name a process and its children, where the system tells."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, file.read_text().split())] if file.exists() else []


def used(pid: int) -> float:
    """Give the processor seconds that a process has used; 0 where the system does not tell."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    given_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < given_up and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the service on port {port} did not become ready")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in family(process.pid):
            os.kill(pid, signal.SIGKILL)
