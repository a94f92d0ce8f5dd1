"""The page about the AsyncAPI document does what it says, and a client finds the service by the document alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from atomos.testing.databases import SqliteTemplate
from atomos.testing.processes import Service, wait_until

from .brokers import broker_environment
from .conftest import PROJECT
from .tutorial import blocks, commands, write

pytestmark = pytest.mark.slow

PAGE = PROJECT / "docs/how-to/asyncapi.md"
READS = (("allocation", "stock.batch-received"), ("allocation", "stock.batch-quantity-reported"))
APP = {"ATOMOS_APP": "atomos.container:Application", "ATOMOS_BROKER__SERVICE": "allocation"}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def ran(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder,
        env={**os.environ, "PATH": PATH, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.services
@pytest.mark.timeout(120)
def test_what_is_printed_is_kept_compared_and_enough_for_a_client(
    tmp_path: Path, sqlite_template: SqliteTemplate
) -> None:
    first, report, last = blocks(PAGE)
    [keep, compare], [run] = ([each.command for each in commands(block)] for block in (first, last))
    (tmp_path / "docs").mkdir()
    write(report, tmp_path)
    with broker_environment("rabbitmq", tmp_path, READS) as broker:
        own = {**APP, **broker}
        assert ran(keep, tmp_path, own).returncode == 0
        assert (ran(compare, tmp_path, own).returncode, ran(compare, tmp_path, own).stdout) == (0, "")
        with Service(PROJECT, sqlite_template.fresh(tmp_path), environment=own) as allocation:
            # Until somebody reads the topic, the client is told that nobody does.
            wait_until(
                lambda: ran(run, tmp_path, own).returncode == 0, 30, "the service to read what is reported"
            )
            wait_until(lambda: _has(allocation, "b-1"), 30, "the batch to be in stock")
            served = httpx2.get(f"{allocation.url}/asyncapi.json").json()
    printed = json.loads((tmp_path / "docs/asyncapi.json").read_text())
    assert "servers" in printed and "servers" not in served
    assert served["operations"] == printed["operations"]


@pytest.mark.parametrize(
    ("url", "row"),
    [
        ("amqp://127.0.0.1:1", "RabbitMQ"),
        ("redis://127.0.0.1:1", "Redis"),
        ("nats://127.0.0.1:1", "NATS"),
        ("sqlite:///b.db", "a database"),
    ],
)
def test_the_address_on_each_broker_is_the_one_in_the_table(url: str, row: str, tmp_path: Path) -> None:
    (told,) = (line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {row} |"))
    printed = ran("atomos asyncapi", tmp_path, {**APP, "ATOMOS_BROKER__URL": url})
    assert printed.returncode == 0, printed.stderr
    document = json.loads(printed.stdout)
    channel = document["channels"]["stock.batch-received"]
    received = document["operations"]["receive.stock.batch-received"]
    assert f"| `{channel['address']}`" in told
    beside = {name for name in (*channel, *received) if name.startswith("x-")} - {"x-stream"}
    assert [name for name in beside if name not in told] == []
    assert [
        received[name] for name in beside if isinstance(received[name], str) and received[name] not in told
    ] == []


def _has(allocation: Service, batch: str) -> bool:
    return httpx2.get(f"{allocation.url}/allocation/batches/{batch}").status_code == httpx2.codes.OK
