"""Workers killed, stopped and terminated by a seed, under load; `atomos faults --kills 1000` is the long form."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from atomos.cli import cli
from atomos.core.service.failpoints import FAILPOINTS, STRUCK
from atomos.testing.faults import Run, Scenario, blows
from atomos.testing.faults.ledger.driving import check, drive
from atomos.testing.processes import wait_until

pytestmark = pytest.mark.timeout(600)

KILLS = 10
"""On each database."""


def test_workers_killed_and_stopped_by_a_seed_lose_nothing_double_nothing_and_keep_the_order(
    scenario: Scenario,
) -> None:
    seed = int(os.environ.get("ATOMOS_TEST_SEED") or time.time_ns() % 1_000_000_000)
    print(f"ATOMOS_TEST_SEED={seed}")
    report = Run(scenario, seed, KILLS, workers=2)(drive, check)
    print(report)
    assert report.broken == ()
    assert sum(report.killed.values()) >= KILLS
    assert report.numbers > 0
    assert report.recoveries, "nobody who was killed had anything in hand: nothing was shown"


def test_one_that_stopped_late_is_noted_and_goes_on(scenario: Scenario) -> None:
    late = scenario.start_worker()
    late.stop()
    strike = f"commit.before stop {late.pid} {time.time():.6f}\n"
    (scenario.folder / "failpoints" / STRUCK).write_text(strike)

    report = Run(scenario, 7, 1, workers=1)(drive, check)

    assert report.broken == ()
    assert report.others["stop at"] == 1
    assert late.exit_code is not None or psutil.Process(late.pid).status() != psutil.STATUS_STOPPED


def test_a_seed_gives_the_same_blows_and_every_kind_of_them() -> None:
    def first(seed: int) -> list[str]:
        return [str(blow) for blow, _ in zip(blows(seed), range(2_000), strict=False)]

    assert first(7) == first(7) != first(8)
    kinds = {name.partition(" at ")[0] for name in first(7)}
    assert kinds == {"kill", "kill all", "stop", "terminate"}


def test_a_broken_invariant_is_said_with_the_seed_and_ends_the_command_with_one() -> None:
    options = ["--seed", "7", "--kills", "1", "--workers", "1", "--lease", "1.5", "--json"]
    own = ["--drive", "tests.faults.drives:drive", "--check", "tests.faults.drives:find_fault"]
    app = ["--app", "atomos.testing.faults.ledger.container:Application"]
    result = CliRunner().invoke(cli, [*app, "faults", *options, *own])
    report = json.loads(result.stdout)
    assert result.exit_code == 1, result.output
    assert report["broken"] == ["the check saw numbers, and did not like them"]
    assert report["seed"] == 7
    assert sum(report["killed"].values()) == 1
    assert [each["seconds"] for each in report["slowest"]] == sorted(report["recoveries"])[::-1][:3]
    assert "seed 7" in result.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_a_run_that_is_ended_in_whatever_way(
    tmp_path: Path, ending: signal.Signals
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "atomos", "faults", "--kills", "1000"]
    with (tmp_path / "said").open("wb") as said:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=said, stderr=said)

    def workers() -> list[int]:
        said = "".join(each.read_text() for each in tmp_path.glob("atomos-faults-*/worker-*.log"))
        return [int(process) for process in re.findall(r"Worker \S+:(\d+):\w+ delivers", said)]

    try:
        wait_until(lambda: len(workers()) > 3, 60, "workers to be killed and started")
        run.send_signal(ending)
        assert run.wait(30) == (-ending if ending == signal.SIGKILL else 128 + ending)
    finally:
        run.kill()
    wait_until(lambda: not any(map(is_running, workers())), 30, "every worker to be gone")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_function_that_is_not_there_is_an_error_in_words() -> None:
    result = CliRunner().invoke(cli, ["faults", "--drive", "tests.faults.drives:nobody"])
    assert result.exit_code == 1
    assert "ATM053" in result.output


def test_every_failpoint_may_be_told_to_act() -> None:
    points = {blow.point for blow, _ in zip(blows(1), range(2_000), strict=False)}
    assert points < set(FAILPOINTS)
    assert len(points) > 15
