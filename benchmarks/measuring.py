"""What the benchmarks share: turns, medians, bars, and the facts of the machine and the time."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

Taken = Mapping[str, list[float]]
"""What was measured, by contestant, round by round."""


class Bar(NamedTuple):
    """What was promised: `value` has to be at most, or at least, `limit`."""

    name: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the promise was kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        word = "PASS" if self.holds else "MISS"
        return (
            f"{word}  {self.name}: {self.value:.1f} {self.unit}, promised {sign} {self.limit:.1f} {self.unit}"
        )


def facts(*packages: str) -> str:
    """Say when, on which machine, and with which versions."""
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{when}; {_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load average {load}; {versions}"
    )


def in_turns(rounds: int, runs: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run each contestant once a round, so that what disturbs the machine disturbs them all."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            gc.collect()
            taken[name].append(run())
    return taken


def microseconds(call: Callable[[], object], calls: int) -> float:
    """Time one run: this thread's processor time for one call, so that waiting for a core is not counted."""
    started = time.thread_time_ns()
    for _ in range(calls):
        call()
    return (time.thread_time_ns() - started) / calls / 1000


def medians(taken: Taken) -> dict[str, float]:
    """Give the median of each contestant's rounds."""
    return {name: statistics.median(each) for name, each in taken.items()}


def ratio(taken: Taken, name: str, to: str) -> float:
    """Compare two contestants: the median of the ratios, round by round."""
    return statistics.median(one / other for one, other in zip(taken[name], taken[to], strict=True))


def spread(values: list[float]) -> str:
    """Say between which values the middle half of the rounds lies."""
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.3g} to {high:.3g}"


def parser(title: str) -> argparse.ArgumentParser:
    """Make the parser of a benchmark's options; each has `--json FILE`."""
    made = argparse.ArgumentParser(description=title, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--json", type=Path, help="write the result there too, for `run.py`")
    return made


def finish(title: str, lines: list[str], bars: list[Bar], file: Path | None = None) -> None:
    """Print a table and its bars; write them to a file too, which is the one of `--json` if none is given."""
    file = file or parser(title).parse_known_args()[0].json
    said = [*lines, *map(str, bars)]
    print("\n".join([title, "", *said]), flush=True)
    if file is not None:
        file.write_text(json.dumps({"title": title, "lines": lines, "bars": [str(bar) for bar in bars]}))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
