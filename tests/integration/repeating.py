"""Emits one event under each id that it reads: `python -m tests.integration.repeating URL`; prints what it is told."""

from __future__ import annotations

import sys

from atomos.core.adapters import Database
from atomos.core.service import Origin

from .claim_racer import hasten
from .worker_samples import Bells, Chimed


def main(url: str) -> None:
    """Go on until the end of the input."""
    bells = Bells(hasten(Database(url)))
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            told = repr(bells.bus.emit(Chimed(bell="both"), Origin(id=line.strip())))
        except Exception as error:  # noqa: BLE001 - it is what is told
            told = repr(error)
        print(told, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
