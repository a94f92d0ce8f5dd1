"""Failpoints: named places at which a test may kill, stop, delay or fail this process; off, they do nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from .diagnostics import Diagnosed

VARIABLE = "ATOMOS_TEST_FAILPOINTS"
"""Names the folder through which a parent arms failpoints. Not set when the process starts: they are off."""

STRUCK = "struck"
"""The file in that folder with a line for each that acted: the point, the action, the process, when (epoch)."""

FAILPOINTS = {
    "log.before": "In a command's transaction: the change is flushed, nothing of the log is written.",
    "commit.before": "In a command's transaction: change and log are written, nothing is committed.",
    "commit.after": "A command is committed; nobody has been told: no worker woken, no sender answered.",
    "append.before": "In a transaction of the log alone: events or decisions are written, not committed.",
    "append.after": "Events or decisions are committed; no worker is woken.",
    "command.before": "A command's delivery is claimed, and its handler not called: between two of one trigger.",
    "trigger.before": "A trigger's delivery is claimed, and the trigger not asked.",
    "publish.before": "A batch for a topic is claimed, and nothing of it is with the broker.",
    "publish.after": "A broker has confirmed what a batch has; nothing of it is completed.",
    "receiving.before": "A broker handed messages over; nothing of them is in the log.",
    "receiving.after": "What a broker handed over is in the log, and not acknowledged.",
    "reaction.before": "A reaction's delivery is claimed, and the reaction has had no effect.",
    "reaction.after": "A reaction has had its effect; nothing of it is stored.",
    "claim.inside": "In the transaction of a claim: the lease is written, not committed.",
    "claim.after": "A batch is claimed, and none of it handed over.",
    "completion.before": "Deliveries are carried out; their completion has not begun.",
    "completion.inside": "In the transaction of a completion: written, not committed.",
    "completion.after": "Deliveries are completed; this process does not know yet.",
    "retrying.inside": "In the transaction that lets a failed delivery back off.",
    "retrying.after": "A failed delivery backs off; this process does not know yet.",
    "burial.inside": "In the transaction that makes a delivery dead or parked.",
    "burial.after": "A delivery is dead or parked; this process does not know yet.",
    "tidying.inside": "In the transaction that ends leases and makes due rows ready.",
    "release.before": "What was not begun is about to leave the lease.",
    "operator.inside": "In the transaction in which an operator retries or discards: changed, not committed.",
    "purge.inside": "In the transaction that removes old conversations: some of their rows are removed.",
    "renewal.before": "Leases are about to be renewed.",
}
"""Every failpoint: its name, and where it is."""


BY_HAND = frozenset({"operator.inside", "purge.inside"})
"""Those that are passed when somebody asks for it; a worker under load passes all others."""

OF_TOPICS = frozenset({"publish.before", "publish.after", "receiving.before", "receiving.after"})
"""Those that only an application passes which publishes to topics, and reads them."""


class FailpointStruck(Diagnosed):
    """A failpoint was told to fail here; only a test does so."""

    code = "ATM057"


class Armoury:
    """Looks in a folder, at each pass, for what a parent wants: a file of the failpoint's name with one line.

    The line is `<nth> <action>`: act at the n-th pass (from 1, counted in each process from when it was armed).
    The action is `kill` or `stop` (this process gets SIGKILL, SIGSTOP), `delay:SECONDS` or `raise`. The file is
    removed by the one pass that acts: of all processes and threads, one acts, once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passes: Counter[tuple[str, int]] = Counter()

    def __call__(self, name: str) -> None:
        """Pass a failpoint. Raises `FailpointStruck` when that is what was wanted."""
        armed = self._folder / name
        try:
            made = armed.stat().st_mtime_ns
            nth, _, action = armed.read_text().partition(" ")
            self._passes[name, made] += 1
            if self._passes[name, made] < int(nth):
                return
            armed.unlink()
        except (FileNotFoundError, ValueError):
            return  # not armed; or another pass was first
        self._act(name, action.strip())

    def _act(self, name: str, action: str) -> None:
        line = f"{name} {action} {os.getpid()} {time.time():.6f}\n"
        file = os.open(self._folder / STRUCK, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
        what, _, seconds = action.partition(":")
        if what == "raise":
            raise FailpointStruck(f"At {name}.")
        if what == "delay":
            time.sleep(float(seconds))
        else:
            hit(signal.SIGKILL if what == "kill" else signal.SIGSTOP)


def hit(number: signal.Signals) -> None:
    """Send this process a signal, and go no further before it acts."""
    # To this thread: of a signal to the process, another thread may take notice, some statements later.
    signal.pthread_kill(threading.get_ident(), number)


def _pass(_name: str) -> None:
    """Do nothing."""


def _armoury(folder: str | None) -> Callable[[str], None]:
    return Armoury(Path(folder)) if folder else _pass


# Bound once, with the module: a process that nobody wants to hurt pays for a call of an empty function.
failpoint: Callable[[str], None] = _armoury(os.environ.get(VARIABLE))
"""Pass a failpoint by name: `failpoint("commit.before")`."""
