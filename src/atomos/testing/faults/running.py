"""A run: a load, workers, and blow after blow until enough were killed; then, what holds."""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from math import ceil
from os import kill
from statistics import median
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple

from atomos.testing.processes import wait_until

from .blows import Blow, blows
from .databases import can_write
from .load import Drive, Load
from .recovery import Recoveries, Recovery
from .strikes import Strikes, Struck

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos

    from .scenario import Scenario, WorkerProcess

Check = Callable[["Atomos", Sequence[int]], Iterable[str]]
"""Says what is broken after these numbers were driven, one sentence each; nothing is what is wanted."""

Tell = Callable[[str], None]
"""Is told what happens, a line at a time."""

_STRIKE_SECONDS = 1.5
_READY_SECONDS = 120.0
_LOOK_SECONDS = 0.05
_MOST_WAITING = 600
_LOAD_PAUSE = 0.01
_MOST_NAMED = 3


class Report(NamedTuple):
    """What a run did, and what it found: `broken` is empty where everything holds.

    `killed` counts processes by what killed them, `others` counts stops and terminations. `recoveries` has, for
    each killed or stopped worker that had deliveries in hand, the seconds until the last of them was done, without
    those in which a stopped one kept all others from writing (SQLite has one writer): `still` is how many these
    were; `slowest` names the three that took longest. `numbers` is how many numbers of the load were accepted,
    `seconds` what all of it took.
    """

    seed: int
    killed: dict[str, int]
    others: dict[str, int]
    recoveries: tuple[float, ...]
    still: float
    numbers: int
    messages: int
    deliveries: int
    seconds: float
    broken: tuple[str, ...]
    slowest: tuple[Recovery, ...] = ()

    @property
    def median(self) -> float | None:
        """The median recovery in seconds; None when nothing had to be recovered."""
        return median(self.recoveries) if self.recoveries else None

    @property
    def usual(self) -> float | None:
        """What 95 of 100 recoveries were within, in seconds; None when nothing had to be recovered."""
        ranked = sorted(self.recoveries)
        return ranked[ceil(0.95 * (len(ranked) - 1))] if ranked else None

    @property
    def worst(self) -> float | None:
        """The longest recovery in seconds; None when nothing had to be recovered."""
        return max(self.recoveries, default=None)


class _Stop(NamedTuple):
    """Until when a process is stopped, and since when nobody can write because of it, None when others can."""

    until: float
    still_since: float | None


class Run:
    """Runs a scenario that was entered: `workers` processes, until `kills` of them were killed."""

    def __init__(
        self, scenario: Scenario, seed: int, kills: int, workers: int = 3, tell: Tell = print
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._kills = kills
        self._workers = workers
        self._tell = tell
        self._killed: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._stopped: dict[int, _Stop] = {}
        self._still = 0.0
        self._recoveries = Recoveries(scenario.atomos.container.core.database())
        self._strikes = Strikes(scenario.struck)
        self._blow = ""

    def __call__(self, drive: Drive, check: Check, settle_seconds: float = 300.0) -> Report:
        """Run. Deliveries that are not over `settle_seconds` after the last blow are broken, and end it."""
        began = monotonic()
        for _ in range(self._workers):
            self._scenario.start_worker(ready=False)
        load = Load(drive, self._scenario.bus, self._numbers(), _LOAD_PAUSE)
        load.start()
        for blow in blows(self._seed, topics=self._scenario.atomos.uses_broker):
            if self._killed.total() >= self._kills:
                break
            self._strike(blow)
        self._scenario.disarm()
        self._tell(f"{self._killed.total()} killed; what is in hand is let end")
        for process in list(self._stopped):
            self._go_on(process)
        numbers = load.end()
        try:
            wait_until(self._is_over, settle_seconds, "every delivery to be over")
            broken = (*self._scenario.broken(), *check(self._scenario.atomos, numbers))
        except TimeoutError as error:
            broken = (str(error), *self._scenario.broken())
        return Report(
            self._seed,
            dict(self._killed),
            dict(self._others),
            tuple(self._recoveries.seconds.values()),
            self._still,
            len(numbers),
            self._scenario.number("select count(*) from atomos_message"),
            self._scenario.number("select count(*) from atomos_delivery"),
            monotonic() - began,
            broken,
            self._recoveries.slowest(_MOST_NAMED),
        )

    def _numbers(self) -> Iterator[int]:
        # What waits behind a worker that was killed is no reason to send without end.
        for number in itertools.count():
            while number % 10 == 0 and self._scenario.waiting() > _MOST_WAITING:
                sleep(_LOOK_SECONDS)
            yield number

    def _strike(self, blow: Blow) -> None:
        needed = self._workers if blow.kind == "kill all" else max(1, self._workers - 1)
        wait_until(lambda: self._tended() >= needed, _READY_SECONDS, "workers to be ready")
        self._pass(blow.wait)
        self._blow = str(blow)
        ready = [worker for worker in self._scenario.workers if self._is_victim(worker)]
        if not ready:
            return
        victim = ready[blow.victim % len(ready)]
        match blow.kind:
            case "kill all":
                self._hit(*ready)
            case "kill at" | "stop at":
                self._strike_at(blow, victim)
            case "stop":
                self._stop(victim.pid, blow)
            case "terminate":
                self._terminate(victim, blow)
            case _:
                self._hit(victim)
        self._tended()

    def _strike_at(self, blow: Blow, otherwise: WorkerProcess) -> None:
        """Have whoever passes the failpoint hit; when nobody does for a while, someone else."""
        self._scenario.arm(blow.point, blow.action, blow.nth)
        until = monotonic() + _STRIKE_SECONDS
        while (struck := self._struck(blow)) is None and monotonic() < until:
            self._pass(_LOOK_SECONDS)
        self._scenario.disarm()
        struck = struck or self._struck(blow)
        if struck is None:
            self._blow = f"kill, as nobody passed {blow.point}"
            self._hit(otherwise)
        elif blow.action == "stop":
            self._stop(struck.process, blow)
        else:
            wait_until(lambda: bool(self._ended()), _READY_SECONDS, "the killed one to be gone")

    def _struck(self, blow: Blow) -> Struck | None:
        """Find the strike of this blow among those since the last look."""
        found = None
        for struck in self._strikes.new():
            if (struck.point, struck.action) == (blow.point, blow.action):
                found = struck
            else:
                self._note_late(struck)
        return found

    def _note_late(self, struck: Struck) -> None:
        # Its process was held up between the order and the deed, and someone else was hit in its place. One that
        # has stopped must go on some time.
        if struck.action == "stop":
            self._stop(struck.process, Blow("stop at", 0.0, 0, struck.point, 1, leases=1.0))

    def _stop(self, process: int, blow: Blow) -> None:
        self._others[blow.kind] += 1
        self._send(process, signal.SIGSTOP)
        self._recoveries.hurt(process, str(blow))
        seconds = blow.leases * self._scenario.lease
        now = monotonic()
        self._stopped[process] = _Stop(now + seconds, None if can_write(self._scenario.database_url) else now)
        self._tell(f"{blow}: process {process} for {seconds:.1f} s")

    def _terminate(self, victim: WorkerProcess, blow: Blow) -> None:
        self._others["terminate"] += 1
        victim.terminate()
        self._pass(min(blow.leases, 1.0))
        if victim.is_running and blow.leases < 1:
            self._blow = "kill within the drain"
            self._hit(victim)

    def _hit(self, *victims: WorkerProcess) -> None:
        for victim in victims:
            self._send(victim.pid, signal.SIGKILL)
        gone = [victim.pid for victim in victims]
        wait_until(lambda: not set(gone) - {each.pid for each in self._ended()}, _READY_SECONDS, "their end")

    def _ended(self) -> list[WorkerProcess]:
        return [worker for worker in self._scenario.workers if not worker.is_running]

    def _tended(self) -> int:
        """Note who ended, start others for them, let go on whose time has come; say how many can be hit."""
        for worker in self._ended():
            self._end_stop(worker.pid)
            if worker.exit_code == -signal.SIGKILL:
                self._killed[self._blow] += 1
                self._recoveries.hurt(worker.pid, self._blow)
                self._tell(f"{self._killed.total()}: {self._blow}: process {worker.pid}")
        self._scenario.tend()
        for struck in self._strikes.new():
            self._note_late(struck)
        for process, stop in list(self._stopped.items()):
            if monotonic() >= stop.until:
                self._go_on(process)
        self._recoveries.look()
        return sum(self._is_victim(worker) for worker in self._scenario.workers)

    def _is_victim(self, worker: WorkerProcess) -> bool:
        return worker.pid not in self._stopped and worker.is_running and worker.is_ready

    def _is_over(self) -> bool:
        self._tended()
        return self._scenario.is_settled()

    def _pass(self, seconds: float) -> None:
        until = monotonic() + seconds
        while monotonic() < until:
            sleep(min(_LOOK_SECONDS, seconds))
            self._recoveries.look()

    def _go_on(self, process: int) -> None:
        self._send(process, signal.SIGCONT)
        self._end_stop(process)

    def _end_stop(self, process: int) -> None:
        stop = self._stopped.pop(process, None)
        if stop and stop.still_since is not None:
            self._still += monotonic() - stop.still_since
            self._recoveries.stood_still(stop.still_since)

    def _send(self, process: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            kill(process, number)
