"""What real worker processes do with one hot key, and with a million deliveries.

`python benchmarks/workers.py` runs `atomos worker` on PostgreSQL, with the application of `backlog.py`:

- a backlog on 50,000 keys and one on a single key, drained by one worker process and by two, in turns;
- the memory of one worker process that drains a million deliveries (`--memory`), after a fifth of them and at
  the end.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import backlog
import backlog_atomos
from backlog import Contestant, Queue, Settings
from growth import Log, resident
from marks import Marks
from measuring import Bar, Taken, facts, finish, in_turns, medians, parser, ratio, spread
from postgres import database

KEYS = {"50,000 keys": 50_000, "one key": 1}
WORKERS = (1, 2)
THREADS = {"ATOMOS_DELIVERY__THREADS": "2"}
_PATIENCE = 60.0


def main() -> None:
    """Measure, and print."""
    options = parser("Real workers: one hot key, and memory")
    options.add_argument("--messages", type=int, default=20_000, help="a backlog")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--memory", type=int, default=1_000_000, help="deliveries while memory is watched")
    given = options.parse_args()
    with ExitStack() as stack:
        url = stack.enter_context(database())
        atomos = stack.enter_context(backlog_atomos.application(url))
        log = stack.enter_context(closing(Log(url)))
        taken = drained(log, backlog.queue_of(atomos, url), given.messages, given.rounds)
        grown = memory(log, given.memory)
    lines = [
        facts("psycopg"),
        f"a backlog of {given.messages:,}, median of {given.rounds} rounds; fsync on; 2 threads a process",
        f"{'':36} {'a second':>9} {'(middle half)':>18}",
        *(
            f"{name:36} {value:9.0f} {f'({spread(taken[name])})':>18}"
            for name, value in medians(taken).items()
        ),
        f"memory of a worker after a fifth of {given.memory:,} deliveries, and after all: "
        + ", ".join(f"{each:.1f} MB" for each in grown),
    ]
    bars = [
        Bar(
            f"one hot key, of the rate of 50,000 keys: {said(n)}",
            100 * part(taken, n),
            least,
            "%",
            at_least=True,
        )
        for n, least in ((1, 70.0), (2, 40.0))
    ]
    bars.append(Bar("memory that was not given back", grown[1] - grown[0], 5.0, "MB"))
    finish("Real workers on PostgreSQL", lines, bars, given.json)


def drained(log: Log, queue: Queue, messages: int, rounds: int) -> Taken:
    """Drain backlogs in turns."""
    turns = {}
    for workers in WORKERS:
        settings = Settings("", [backlog_atomos.WORKER] * workers, THREADS)
        for name, keys in KEYS.items():
            filled = queue._replace(
                empty=log.empty,
                one_by_one=lambda _: None,
                in_bulk=lambda _, keys=keys: log.fill(messages, keys),
            )
            turns[f"{name}, {said(workers)}"] = Contestant(filled, settings, messages).run
    return in_turns(rounds, turns)


def said(workers: int) -> str:
    """Say how many."""
    return "one worker" if workers == 1 else f"{workers} workers"


def part(taken: Taken, workers: int) -> float:
    """Give which part of the rate of many keys one key has."""
    many, one = (f"{name}, {said(workers)}" for name in KEYS)
    return ratio(taken, one, many)


def memory(log: Log, deliveries: int) -> tuple[float, float]:
    """Give the MB of a worker that drains so many deliveries, after a fifth of them and after all."""
    log.empty()
    log.fill(deliveries, 50_000)
    log.settle()
    with tempfile.TemporaryDirectory() as folder:
        marks = Marks(Path(folder) / "marks", deliveries)
        with backlog.working(Settings("", [backlog_atomos.WORKER], THREADS)) as (worker,):
            early = at(marks, worker, deliveries // 5)
            return early, at(marks, worker, deliveries)


def at(marks: Marks, worker: subprocess.Popen[bytes], handled: int) -> float:
    """Give the worker's MB once so many are handled. Raises `RuntimeError` when it does not go on."""
    seen, since = -1, time.monotonic()
    while (now := marks.handled()) < handled:
        if now > seen:
            seen, since = now, time.monotonic()
        if worker.poll() is not None or time.monotonic() - since > _PATIENCE:
            raise RuntimeError(f"{now} of {handled} were handled")
        time.sleep(0.1)
    return resident(worker.pid)


if __name__ == "__main__":
    main()
