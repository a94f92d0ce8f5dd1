"""Runs schemathesis in a process of its own, and reads what it sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from . import COUNTED, POWERLESS, TOKEN

PROJECT = Path(__file__).parents[3]
CONFIG = Path(__file__).with_name("schemathesis.toml")


class Sent(NamedTuple):
    """A request that was answered: the phase that it was sent in, its operation, and the status."""

    phase: str
    method: str
    path: str
    status: int


class Who(NamedTuple):
    """Who asks: with a token or without."""

    name: str
    token: str | None = None
    is_powerless: bool = False


def fuzz(url: str, who: Who, seed: int, examples: int, phases: Sequence[str], folder: Path) -> list[Sent]:
    """Let schemathesis loose on a service. Raises `AssertionError` with all that it found."""
    counted = folder / f"{who.name}-{seed}-{phases[-1]}.ndjson"
    told = {COUNTED: str(counted), "SCHEMATHESIS_HOOKS": "tests.e2e.fuzzing.hooks"}
    told |= {TOKEN: who.token} if who.token else {}
    told |= {POWERLESS: "yes"} if who.is_powerless else {}
    ran = subprocess.run(
        [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("--config-file", str(CONFIG), "run", f"{url}/openapi.json", "--no-color"),
            *("--seed", str(seed), "--max-examples", str(examples), "--phases", ",".join(phases)),
        ],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **told},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"as {who.name}, seed {seed}: {' '.join(ran.stdout.splitlines()[-1:])}")
    assert ran.returncode == 0, f"as {who.name}, seed {seed}:\n{ran.stdout}\n{ran.stderr}"
    return [Sent(*json.loads(line)) for line in counted.read_text("utf-8").splitlines()]
