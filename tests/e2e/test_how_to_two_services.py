"""Two services in processes of their own, with a database each, talk through every broker, as the page says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from atomos.testing.processes import Service, wait_until

from .brokers import BROKERS, broker_environment
from .conftest import PROJECT
from .tutorial import blocks, write

PAGE = PROJECT / "docs/how-to/two-services.md"
READS = (
    ("purchasing", "allocation.went-out-of-stock"),
    ("allocation", "stock.batch-received"),
    ("allocation", "stock.batch-quantity-reported"),
)
KINDS = [BROKERS[0], *(pytest.param(kind, marks=pytest.mark.services) for kind in BROKERS[1:])]


class Purchasing:
    """The service of the page, in a folder of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        for block in blocks(PAGE):
            write(block, folder)
        for package in ("purchasing", *(f"purchasing/{name}" for name in ("domain", "service", "adapters"))):
            (folder / package / "__init__.py").touch()
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "ATOMOS_APP": "purchasing.container:Purchasing",
            "ATOMOS_DATABASE__URL": f"sqlite:///{folder / 'purchasing.db'}",
            "ATOMOS_PURCHASING__DAYS": "0.000005",
            "ATOMOS_BROKER__SERVICE": "purchasing",
            **environment,
        }

    def run(self, *command: str) -> str:
        """Run a command of Atomos, and give what it prints."""
        ended = subprocess.run(
            [sys.executable, "-m", "atomos", *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have a worker in a process of its own, which reads: what is published before that has no reader yet."""
        command, said = [sys.executable, "-m", "atomos", "worker"], self.folder / "worker.log"
        with said.open("wb") as log:
            worker = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, start_new_session=True, stdout=log, stderr=log
            )
        try:
            wait_until(lambda: "reader.began" in said.read_text(), 30, "purchasing to read")
            yield
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0, said.read_text()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
def test_what_ran_out_is_ordered_by_one_service_and_taken_into_stock_by_the_other(
    kind: str, tmp_path: Path, database_url: str
) -> None:
    (folder := tmp_path / "purchasing").mkdir()
    with broker_environment(kind, tmp_path, READS) as broker:
        purchasing = Purchasing(folder, broker)
        assert "the wiring is whole" in purchasing.run("verify")
        purchasing.run("db", "upgrade")
        own = {**broker, "ATOMOS_BROKER__SERVICE": "allocation", "ATOMOS_DELIVERY__EMBEDDED": "true"}
        with purchasing.working(), Service(PROJECT, database_url, environment=own) as allocation:
            conversation = _run_out_of_stock(allocation)
            wait_until(
                lambda: _pieces_of(allocation, "po-chair-1") == 50, 30, "what was ordered to be in stock"
            )
            here = _conversation(allocation, database_url, conversation)
        there = json.loads(purchasing.run("messages", "--conversation", conversation, "--json"))["items"]
        assert json.loads(purchasing.run("audit", "--json"))["damages"] == []

    assert {"allocation.order-line-received", "allocation.went-out-of-stock"} <= set(here)
    assert here["allocation.batch-received"] == "received"
    named = {each["name"]: each["kind"] for each in there}
    assert named == {
        "allocation.went-out-of-stock": "received",
        "purchasing.order-goods": "command",
        "purchasing.goods-arrived": "event",
        "purchasing.take-goods": "command",
        "allocation.batch-received": "event",
    }


def _run_out_of_stock(allocation: Service) -> str:
    first = httpx2.post(
        f"{allocation.url}/allocation/batches", json={"reference": "b1", "sku": "CHAIR", "quantity": 1}
    )
    assert first.status_code == 201, first.text
    said = httpx2.post(f"{allocation.url}/allocation/orders/o1/lines", json={"sku": "CHAIR", "quantity": 3})
    assert said.json()["batch"] is None
    return str(said.headers["X-Correlation-ID"])


def _pieces_of(allocation: Service, batch: str) -> int | None:
    said = httpx2.get(f"{allocation.url}/allocation/batches/{batch}")
    return said.json()["quantity"] if said.status_code == httpx2.codes.OK else None


def _conversation(allocation: Service, database_url: str, id_: str) -> dict[str, str]:
    shown = subprocess.run(
        [sys.executable, "-m", "atomos", "messages", "--conversation", id_, "--json"],
        cwd=PROJECT,
        env={**os.environ, "ATOMOS_DATABASE__URL": database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {each["name"]: each["kind"] for each in json.loads(shown.stdout)["items"]}
