"""A worker in a process of its own: `python -m tests.integration.worker_process URL DEED`, until SIGTERM or its end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

from atomos.core.adapters import Database
from atomos.core.service import Backoff, WorkerSettings

from .claim_racer import hasten
from .worker_samples import Bells

POISON = 13
SETTINGS = WorkerSettings(threads=3, lease=0.6, poll=0.02, backoff=Backoff(first=0.02, cap=0.05))


def kill_at_the_poison(message: Any) -> None:
    """Die of one number, as a handler does that takes all memory."""
    if message.number == POISON:
        os.kill(os.getpid(), signal.SIGKILL)


def take_a_moment(_: Any) -> None:
    """Work for a few milliseconds."""
    time.sleep(0.005)


def never_end(_: Any) -> None:
    """Work for ever."""
    threading.Event().wait()


def main(url: str, deed: str, until: str) -> None:
    """Work until SIGTERM, or only until something was heard."""
    bells = Bells(hasten(Database(url)), lease=SETTINGS.lease)
    for listener in ("ring", "count"):
        bells.script.deeds[listener] = {
            "poison": kill_at_the_poison,
            "moment": take_a_moment,
            "never": never_end,
        }[deed]
    # A row must not die of what its test does to workers, except where it is the row that does it.
    attempts = 2 if deed == "poison" else 100
    worker = bells.worker(SETTINGS._replace(backoff=SETTINGS.backoff._replace(attempts=attempts)))
    worker.start()
    print("ready", flush=True)
    if until == "term":
        ended = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        ended.wait()
        worker.stop(patience=0.3 if deed == "never" else 10)
    else:
        while not bells.script.heard["ring"]:
            time.sleep(0.01)
        if deed == "never":
            worker.stop(patience=0.3)


if __name__ == "__main__":
    main(*sys.argv[1:])
