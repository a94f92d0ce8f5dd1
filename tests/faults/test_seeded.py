"""Workers killed, stopped and terminated by a seed, under load; `atomos faults --kills 1000` is the long form."""

from __future__ import annotations

import json
import os
import time

import pytest
from click.testing import CliRunner

from atomos.cli import cli
from atomos.core.service.failpoints import FAILPOINTS
from atomos.testing.faults import Run, Scenario, blows
from atomos.testing.faults.ledger.driving import check, drive

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
    assert "seed 7" in result.stderr


def test_a_function_that_is_not_there_is_an_error_in_words() -> None:
    result = CliRunner().invoke(cli, ["faults", "--drive", "tests.faults.drives:nobody"])
    assert result.exit_code == 1
    assert "ATM053" in result.output


def test_every_failpoint_may_be_told_to_act() -> None:
    points = {blow.point for blow, _ in zip(blows(1), range(2_000), strict=False)}
    assert points < set(FAILPOINTS)
    assert len(points) > 15
