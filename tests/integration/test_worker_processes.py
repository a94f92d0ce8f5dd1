"""Workers in real processes: killed, stopped for longer than their leases, and at the end of their process."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atomos.core.adapters import Database
from atomos.testing.processes import wait_until

from .worker_process import POISON, SETTINGS
from .worker_samples import Bells, Chimed, Rung

pytestmark = pytest.mark.slow

SECONDS = 40.0
BLOWS, ROWS, BELLS = 4, 80, 20
MOST_ROWS = 20 * ROWS
COUNT = "trigger:bells.chimed:bells.count"
PROJECT = Path(__file__).parents[2]

Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def bells(log_database: Database) -> Bells:
    return Bells(log_database, lease=0.6)


@pytest.fixture
def start(bells: Bells) -> Iterator[Start]:
    """Start a worker in a process; all are gone after the test."""
    url = bells.database.url.render_as_string(hide_password=False)
    processes = []

    def start(deed: str = "moment", until: str = "term") -> Process:
        command = [sys.executable, "-m", "tests.integration.worker_process", url, deed, until]
        processes.append(process := subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True))
        return process

    yield start
    for process in processes:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def is_ready(process: Process) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "ready\n"


def test_a_process_may_end_without_stopping_its_worker_which_frees_what_it_has(
    bells: Bells, start: Start
) -> None:
    for number in range(50):
        bells.bus.emit(Rung(bell=f"bell-{number}", number=number))
    process = start(until="first")
    assert process.wait(SECONDS) == 0
    assert not bells.leases()
    statuses = Counter(bells.statuses("bells.ring"))
    assert statuses["ready"] > 0 and statuses["done"] > 0, "it ended in the middle"
    assert {row.losses for row in bells.rows()} == {0}


def test_a_handler_that_never_ends_does_not_keep_the_process_from_ending(bells: Bells, start: Start) -> None:
    bells.bus.emit(Rung())
    process = start("never", "first")
    assert process.wait(SECONDS) == 0
    assert len(bells.leases()) == 1, "what it was doing runs out with its lease"


def test_a_row_that_kills_its_worker_is_dead_in_the_end_and_the_others_are_done(
    bells: Bells, start: Start
) -> None:
    numbers = [*range(5), POISON, *range(20, 25)]
    for number in numbers:
        bells.bus.emit(Rung(bell=f"bell-{number % 7}", number=number))
    killed = 0
    process = start("poison")

    def is_over() -> bool:
        nonlocal process, killed
        if process.poll() is not None:
            killed += 1
            assert process.returncode == -signal.SIGKILL
            process = start("poison")
        return set(bells.statuses("bells.ring")) == {"done", "dead"}

    wait_until(is_over, SECONDS, "the end of it")
    dead = [
        (row, n) for row, n in zip(bells.rows("bells.ring"), numbers, strict=True) if row.status == "dead"
    ]
    [(row, number)] = dead
    assert number == POISON
    assert (row.attempts, row.losses) == (2, 4)
    assert row.errors[0].startswith("WorkerLost: ")
    assert killed == 4, "once in its batch, once in a group, then twice alone"


def test_workers_stopped_and_killed_at_random_apply_each_command_once_and_in_order(
    bells: Bells, start: Start
) -> None:
    seed = int(os.environ.get("ATOMOS_TEST_SEED") or time.time_ns() % 1_000_000_000)
    print(f"ATOMOS_TEST_SEED={seed}")
    chance = random.Random(seed)
    workers = [start() for _ in range(3)]
    assert all(is_ready(process) for process in workers)
    sent = 0
    # A blow may fall between two batches; it goes on until some have shown what they are meant to show.
    while sent < BLOWS * ROWS or (not any(row.losses for row in bells.rows(COUNT)) and sent < MOST_ROWS):
        for number in range(sent, sent + ROWS):
            bells.bus.send_later(Chimed(bell=f"bell-{number % BELLS}", number=number))
        sent += ROWS
        n = chance.randrange(3)
        if chance.random() < 0.5:
            stop_past_its_lease(workers[n])
        else:
            workers[n].kill()
            workers[n] = start()
            assert is_ready(workers[n])
    wait_until(lambda: set(bells.statuses(COUNT)) == {"done"}, SECONDS, "all commands")
    wait_until(lambda: not bells.leases(), SECONDS, "all leases to end")
    for bell in range(BELLS):
        assert bells.counts(f"bell-{bell}") == [*range(bell, sent, BELLS)]
    assert any(row.losses for row in bells.rows(COUNT)), "no lease was lost: nothing was shown"


def stop_past_its_lease(process: Process) -> None:
    """Let a process not go on for longer than its leases last."""
    process.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 1.5 * SETTINGS.lease
    wait_until(lambda: time.monotonic() > until, SECONDS, "time to pass")
    process.send_signal(signal.SIGCONT)
