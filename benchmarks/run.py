"""Runs the benchmarks in an environment of their own, and prints one table.

`python3 benchmarks/run.py [NAME ...]` makes `.venv-bench` where there is none, installs Atomos' locked
requirements, Atomos itself and the pinned peers, and runs all, or those that are named. It needs nothing
but the standard library. A bar that is missed is said, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
FOLDER = ROOT / ".venv-bench"
PYTHON = FOLDER / ("Scripts" if sys.platform == "win32" else "bin") / "python"
STAMP = FOLDER / ".installed"
REQUIREMENTS = (ROOT / "requirements.lock", HERE / "requirements.txt", ROOT / "pyproject.toml")

PLAIN = ("http_edge",)
"""Those that print their own table, and promise nothing."""

DATABASE = ("commit_path", "latency", "backlog", "growth", "workers", "relay", "handled")
NAMES = ("in_process", *PLAIN, "http_cost", "http_rate", "whole_edge", *DATABASE)


def main() -> None:
    """Install, run, and print what came of it."""
    names = parse().names or NAMES
    install()
    found = [run(name) for name in names]
    bars = [bar for each in found for bar in each["bars"]]
    print("\n".join(["", "=" * 78, *bars] if bars else []), flush=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure Atomos side by side with peers.")
    parser.epilog = f"NAME is one of {', '.join(NAMES)}; without one, all run."
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; {parser.epilog}")
    return given


def install() -> None:
    """Make the environment, or bring it up to date."""
    if STAMP.exists() and all(STAMP.stat().st_mtime >= each.stat().st_mtime for each in REQUIREMENTS):
        return
    if not PYTHON.exists():
        venv.create(FOLDER, with_pip=True)
    lock, peers, _ = REQUIREMENTS
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
    subprocess.run([*pip, "--no-deps", "-e", ROOT], check=True)
    subprocess.run([*pip, "-r", peers], check=True)
    STAMP.touch()


def run(name: str) -> dict[str, Any]:
    """Run one benchmark; give its bars."""
    print(f"\n{'=' * 78}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        options = [] if name in PLAIN else ["--json", file]
        subprocess.run([PYTHON, HERE / f"{name}.py", *options], check=True, cwd=ROOT)
        return json.loads(file.read_text()) if file.exists() else {"bars": []}


if __name__ == "__main__":
    main()
