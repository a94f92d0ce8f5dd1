"""The page about identity providers does what it says: its commands run against real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .conftest import PROJECT, StartService

pytestmark = pytest.mark.slow

PAGE = PROJECT / "docs/how-to/identity-provider.md"
COMMANDS = re.findall(r"(?m)^\$ (.+)$", PAGE.read_text("utf-8"))
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def commands(word: str) -> list[str]:
    found = [each for each in COMMANDS if each.startswith(word)]
    assert found, f"the page has no command that begins with {word}"
    return found


@pytest.fixture
def told() -> Iterator[dict[str, str]]:
    """What the provider of the page prints, as variables; it listens on a free port."""
    [command] = commands("python -m atomos.testing.identity")
    provider = subprocess.Popen(
        ["bash", "-c", f"exec {command} --port 0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": PATH},
    )
    assert provider.stdout is not None
    lines = [provider.stdout.readline() for _ in range(3)]
    yield dict(line.removeprefix("export ").rstrip().split("=", 1) for line in lines)
    provider.kill()
    provider.wait(10)
    provider.stdout.close()


def said(command: str, environment: Mapping[str, str]) -> str:
    ran = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": PATH, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_what_the_page_says_happens(
    told: dict[str, str], start_service: StartService, database_url: str
) -> None:
    [export] = commands("export ATOMOS_SECURITY")
    needs = dict([export.removeprefix("export ").split("=", 1)])
    needs |= {name: value for name, value in told.items() if name.startswith("ATOMOS_")}
    service = start_service(environment=needs)
    asked = [each.replace("http://127.0.0.1:8000", service.url) for each in commands("curl")]
    statuses = [said(each, told).split()[1] for each in asked]
    assert f"They are answered with {', '.join(statuses[:-1])} and {statuses[-1]};" in PAGE.read_text("utf-8")
    [look] = commands("atomos messages")
    listed = said(look, {**told, "ATOMOS_DATABASE__URL": database_url})
    assert "allocation.batch-received" in listed


def test_the_page_shows_what_the_provider_prints(told: dict[str, str]) -> None:
    shown = re.findall(r"(?m)^export (\w+)=", PAGE.read_text("utf-8"))
    assert list(told) == shown
    assert told["TOKEN"].startswith("eyJ")
