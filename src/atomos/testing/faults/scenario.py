"""A scenario: one application on one database, in processes that a parent starts, arms, stops and kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import text

from atomos.core.service.failpoints import FAILPOINTS, STRUCK, VARIABLE
from atomos.testing.processes import Service, wait_until

from .invariants import broken_invariants
from .nursery import Birth, nursery
from .strikes import Struck

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.service import MessageBus

LEDGER = "atomos.testing.faults.ledger.container:Application"
"""The kit's own application."""

_WORKER = ("atomos", "worker")
_START_SECONDS = 60.0
_GONE_SECONDS = 30.0
# Each part by an index of its own: it is asked up to twenty times a second, and what is done grows.
_UNFINISHED = """
select (select count(*) from atomos_delivery where status = 'ready')
     + (select count(*) from atomos_delivery where status in ('scheduled', 'retrying'))
"""
# Who reads a topic has a lease without rows, for as long as it reads.
_LEASES = "select count(*) from atomos_lease where cast(seqs as text) not in ('[]', '{}')"

# A row must not die of what is done to workers, and nobody has minutes to wait.
_SETTINGS = {
    "ATOMOS_DELIVERY__LEASE": "1.5",
    "ATOMOS_DELIVERY__POLL": "0.05",
    "ATOMOS_DELIVERY__ATTEMPTS": "100",
    "ATOMOS_DELIVERY__BACKOFF": "0.1",
    "ATOMOS_DELIVERY__BACKOFF_CAP": "0.5",
    "ATOMOS_LOG__LEVEL": "warning",
}


class WorkerProcess:
    """`atomos worker`, or another module, in a process of its own; what it says is in the file `output`."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], output: Path, what: Sequence[str] = _WORKER
    ) -> None:
        self.output = output
        output.touch()
        self.pid = nursery().start(Birth(what, str(folder), environment, str(output)))

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return nursery().ended(self.pid)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended; one that is stopped is running."""
        return self.exit_code is None

    @property
    def is_ready(self) -> bool:
        """Whether it delivers. Raises `RuntimeError` when it ended before."""
        if " delivers; " in self.output.read_text("utf-8", "replace"):
            return True
        if self.exit_code not in (None, -signal.SIGKILL):
            raise RuntimeError(f"the worker ended before it was ready: {self.output.read_text('utf-8')}")
        return not self.is_running

    def kill(self) -> None:
        """Kill it (SIGKILL), and wait until it is gone."""
        self._send(signal.SIGKILL)
        self.wait(_GONE_SECONDS)

    def stop(self) -> None:
        """Stop it where it is (SIGSTOP); it keeps its connections and its locks."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on (SIGCONT)."""
        self._send(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._send(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Wait for its end; give its exit code. Raises `TimeoutError` when it goes on for so many seconds."""
        wait_until(lambda: not self.is_running, seconds, f"process {self.pid} to end")
        code = self.exit_code
        assert code is not None
        return code

    def _send(self, number: signal.Signals) -> None:
        if self.is_running:  # afterwards its id may be another's
            os.kill(self.pid, number)


class Scenario:
    """An application in real processes. Entered, its database is migrated; left, every process is gone.

    `folder` is for what it writes, `database_url` is a database for it alone. `app` is
    `package.module:Container`; None is the kit's ledger. `settings` are environment variables for all its
    processes. `home` is where they run: the project's folder, None for `folder`.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        app: str | None = None,
        settings: Mapping[str, str] | None = None,
        home: Path | None = None,
    ) -> None:
        self.folder = folder
        self.app = app or LEDGER
        self.home = home or folder
        self.workers: list[WorkerProcess] = []
        self._others: list[WorkerProcess] = []
        self._services: list[Service] = []
        self._failpoints = folder / "failpoints"
        self._started = 0
        own = {"ATOMOS_LEDGER__BOOK": str(folder / "book")} if self.app == LEDGER else {}
        self.settings = {
            **_SETTINGS,
            **own,
            "ATOMOS_APP": self.app,
            "ATOMOS_DATABASE__URL": database_url,
            **(settings or {}),
        }
        self.database_url = database_url

    def __enter__(self) -> Self:
        self._failpoints.mkdir(parents=True, exist_ok=True)
        with environment(self.settings):
            from atomos.bootstrap import build

            self.atomos: Atomos = build(self.app)
        self.atomos.migrate()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, *self._others):
            process.kill()
        for service in self._services:
            service.kill()
        self.atomos.close()

    @property
    def bus(self) -> MessageBus:
        """The application's bus in this process, which nobody kills: what it sends is known."""
        return self.atomos.bus

    @property
    def lease(self) -> float:
        """How long a claim lasts, in seconds."""
        return float(self.settings["ATOMOS_DELIVERY__LEASE"])

    def start_worker(self, *, settings: Mapping[str, str] | None = None, ready: bool = True) -> WorkerProcess:
        """Start a worker; wait until it delivers, unless it is not to be `ready`."""
        self._started += 1
        output = self.folder / f"worker-{self._started}.log"
        worker = WorkerProcess(self.home, {**self._for_processes, **(settings or {})}, output)
        self.workers.append(worker)
        if ready:
            wait_until(lambda: worker.is_ready, _START_SECONDS, f"{output} to say that it delivers")
        return worker

    def start(self, *what: str) -> WorkerProcess:
        """Start a module with arguments, as `python -m` does, in the same environment; it is not a worker."""
        self._started += 1
        output = self.folder / f"process-{self._started}.log"
        process = WorkerProcess(self.home, self._for_processes, output, what)
        self._others.append(process)
        return process

    def start_service(self, project: Path, processes: int = 1) -> Service:
        """Serve over HTTP from a project's folder, as `atomos run` does; workers deliver."""
        settings = {**self._for_processes, "ATOMOS_DELIVERY__EMBEDDED": "false"}
        service = Service(project, self.database_url, processes=processes, environment=settings)
        service.start()
        self._services.append(service)
        return service

    def tend(self) -> int:
        """Start a worker for each that ended; say how many."""
        ended = [worker for worker in self.workers if not worker.is_running]
        for worker in ended:
            self.workers.remove(worker)
            self.start_worker(ready=False)
        return len(ended)

    def arm(self, point: str, action: str = "kill", nth: int = 1) -> None:
        """Have the process that is the first to pass a failpoint for the n-th time act, once.

        The action is `kill`, `stop`, `delay:SECONDS` or `raise`. Raises `KeyError` for an unknown failpoint.
        """
        FAILPOINTS[point]
        written = self._failpoints / f".{point}"
        written.write_text(f"{nth} {action}\n")
        written.rename(self._failpoints / point)

    def disarm(self) -> None:
        """Take back what was armed and has not acted."""
        for point in FAILPOINTS:
            (self._failpoints / point).unlink(missing_ok=True)

    def struck(self) -> list[Struck]:
        """Give the failpoints that acted, in order."""
        file = self._failpoints / STRUCK
        if not file.exists():
            return []
        whole, _, _being_written = file.read_text().rpartition("\n")
        rows = (line.split() for line in whole.splitlines())
        return [Struck(point, action, int(process), float(at)) for point, action, process, at in rows]

    def wait_until_struck(self, point: str, seconds: float = 30.0) -> Struck:
        """Wait until a failpoint acted; give the last time that it did."""
        wait_until(lambda: any(each.point == point for each in self.struck()), seconds, f"{point} to act")
        return next(each for each in reversed(self.struck()) if each.point == point)

    def is_settled(self) -> bool:
        """Whether nothing waits and no delivery is claimed."""
        return self.waiting() == 0 and self.number(_LEASES) == 0

    def waiting(self) -> int:
        """How many deliveries are not over."""
        return self.number(_UNFINISHED)

    def broken(self) -> list[str]:
        """Say what is broken in the log, once everything is over."""
        return broken_invariants(self.atomos)

    def settle(self, seconds: float = 60.0, *, tended: bool = True) -> None:
        """Wait until nothing waits, and start workers for those that ended, unless they are not `tended`."""
        wait_until(lambda: self._is_over(tended=tended), seconds, "every delivery to be over")

    def look(self, statement: str) -> list[Any]:
        """Give the rows that a statement finds."""
        with self.atomos.container.core.database().look() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def number(self, statement: str) -> int:
        """Give the one number that a statement finds."""
        return int(self.look(statement)[0][0])

    def _is_over(self, *, tended: bool) -> bool:
        if tended:
            self.tend()
        return self.is_settled()

    @property
    def _for_processes(self) -> dict[str, str]:
        return {**os.environ, **self.settings, VARIABLE: str(self._failpoints)}


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have environment variables in this process, for the time of a `with` block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
