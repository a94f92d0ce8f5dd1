"""Marks: a file that several processes map; who handles message `n` marks its byte, whatever the framework.

It costs the handler about a tenth of a microsecond, needs no lock, and tells at the end which were handled.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

_FILE = "BENCH_MARKS"
TIMES = "BENCH_TIMES"
"""Names a pipe in the environment: whoever handles a message writes its number there, and when, in nanoseconds."""

_LOOK_SECONDS = 0.005


class Marks:
    """The bytes of `count` messages, in a file that is named in the environment of the workers."""

    def __init__(self, file: Path, count: int) -> None:
        self.count = count
        file.write_bytes(bytes(count))
        os.environ[_FILE] = str(file)
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), count)

    def handled(self) -> int:
        """Say how many were handled."""
        return self.count - self._map[:].count(0)

    def drained(
        self, alive: Callable[[], bool], patience: float, at_first: Callable[[], None] = lambda: None
    ) -> float:
        """Wait until all were handled; give the seconds since the first was, as far as a look every 5 ms tells.

        `at_first` is called when the first was. Raises `RuntimeError` when a worker has ended, or when nothing
        was handled for `patience` seconds.
        """
        begun = handled = 0
        first = last = time.perf_counter()
        while handled < self.count:
            time.sleep(_LOOK_SECONDS)
            now, seen = time.perf_counter(), self.handled()
            if not begun and seen:
                # What was handled before the first look does not count: its beginning was not seen.
                at_first()
                first, begun = now, seen
            if seen > handled:
                last, handled = now, seen
            if not alive() or now - last > patience:
                raise RuntimeError(f"{handled} of {self.count} were handled")
        return (last - first) * self.count / max(1, self.count - begun)


def marker() -> Callable[[int], None]:
    """Give what marks a message, in the process of a worker."""
    if TIMES in os.environ:
        return _timer(os.open(os.environ[TIMES], os.O_WRONLY))
    with Path(os.environ[_FILE]).open("r+b") as opened:
        mapped = mmap.mmap(opened.fileno(), 0)

    def mark(number: int) -> None:
        mapped[number] = 1

    return mark


def _timer(pipe: int) -> Callable[[int], None]:
    def mark(number: int) -> None:
        os.write(pipe, f"{number} {time.monotonic_ns()}\n".encode())

    return mark
