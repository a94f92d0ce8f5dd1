"""Real orders through a real service: nothing missing, nothing over-allocated, nothing applied twice."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import create_engine, text

from atomos.testing.processes import Service, wait_until

from .conftest import StartService
from .datasets import Files, northwind, online_retail

# Thousands of requests, each of which waits for the disk.
pytestmark = pytest.mark.timeout(900)

ONLY_POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.services)], indirect=True
)


def by_hand(files: Files) -> dict[tuple[str, str], str]:
    """Allocate without Atomos: which batch each line gets, one line after the other."""
    stock: dict[str, list[list[Any]]] = defaultdict(list)
    with files.batches.open(newline="") as rows:
        for row in csv.DictReader(rows):
            stock[row["sku"]].append([row["eta"], row["reference"], int(row["quantity"])])
    for batches in stock.values():
        batches.sort()  # an empty ETA is the warehouse, and sorts first
    promised: dict[tuple[str, str], str] = {}
    with files.lines.open(newline="") as rows:
        for row in csv.DictReader(rows):
            quantity = int(row["quantity"])
            for batch in stock[row["sku"]]:
                if batch[2] >= quantity:
                    batch[2] -= quantity
                    promised[row["order_id"], row["sku"]] = batch[1]
                    break
    return promised


class Load:
    """A run of `atomos allocation load` in a process of its own."""

    def __init__(self, files: Files, service: Service, concurrency: int, rejects: Path) -> None:
        command = [sys.executable, "-m", "atomos", "allocation", "load", "--json"]
        command += ["--batches", str(files.batches), "--lines", str(files.lines), "--url", service.url]
        command += ["--concurrency", str(concurrency), "--rejects", str(rejects)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def summary(self) -> dict[str, Any]:
        """Wait for the end, and give what it says."""
        said, _ = self._process.communicate(timeout=600)
        assert self._process.returncode == 0, said
        return json.loads(said)


class Database:
    """What is in the database of a service."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

    def rows(self, statement: str) -> list[Any]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def promised(self) -> dict[tuple[str, str], str]:
        found = self.rows("select order_id, sku, batch from allocation_line")
        return {(order_id, sku): batch for order_id, sku, batch in found}

    def shown(self) -> dict[tuple[str, str], str]:
        found = self.rows("select order_id, sku, batch from allocation_view")
        return {(order_id, sku): batch for order_id, sku, batch in found}

    def over_allocated(self) -> list[Any]:
        return self.rows(
            "select b.reference from allocation_batch b join allocation_line l on l.batch = b.reference "
            "group by b.reference, b.quantity having sum(l.quantity) > b.quantity"
        )

    def messages(self) -> int:
        return int(self.rows("select count(*) from atomos_message")[0][0])


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def nothing_is_missing(summary: dict[str, Any], files: Files) -> None:
    for kind, rows in (("lines", files.line_rows), ("batches", files.batch_rows)):
        outcomes = {name: count for name, count in summary[kind].items() if name != "rows"}
        assert sum(outcomes.values()) == rows == summary[kind]["rows"], outcomes


@pytest.mark.slow
def test_with_one_connection_every_line_gets_the_batch_that_it_gets_by_hand(
    start_service: StartService, database: Database, tmp_path: Path
) -> None:
    files, service = northwind(tmp_path), start_service()
    summary = Load(files, service, 1, tmp_path / "rejects.csv").summary()
    nothing_is_missing(summary, files)
    assert database.promised() == database.shown() == by_hand(files)
    messages = database.messages()
    again = Load(files, service, 1, tmp_path / "rejects.csv").summary()
    assert again["lines"] == summary["lines"]
    assert database.promised() == by_hand(files)
    assert database.messages() == messages


@pytest.mark.slow
def test_with_eight_connections_no_batch_is_over_allocated_and_no_line_is_missing(
    start_service: StartService, database: Database, tmp_path: Path
) -> None:
    files, service = northwind(tmp_path), start_service(processes=2)
    summary = Load(files, service, 8, tmp_path / "rejects.csv").summary()
    nothing_is_missing(summary, files)
    promised, messages = database.promised(), database.messages()
    assert database.over_allocated() == []
    assert len(promised) == summary["lines"]["allocated"]
    assert database.shown() == promised
    nothing_is_missing(Load(files, service, 8, tmp_path / "rejects.csv").summary(), files)
    assert (database.promised(), database.messages()) == (promised, messages)


@pytest.mark.slow
def test_killed_in_the_middle_of_the_load_the_result_is_the_same(
    start_service: StartService, database: Database, tmp_path: Path
) -> None:
    files, service = northwind(tmp_path), start_service()
    load = Load(files, service, 1, tmp_path / "rejects.csv")
    for part in (1, 2, 3):
        wait_until(lambda part=part: database.messages() > part * 1_500, 120, "some lines to be sent")
        service.kill()
        service.start()
    load.summary()
    assert database.promised() == database.shown() == by_hand(files)
    summary = Load(files, service, 1, tmp_path / "rejects.csv").summary()
    nothing_is_missing(summary, files)
    assert database.promised() == by_hand(files)


@ONLY_POSTGRESQL
def test_a_week_of_online_retail_goes_through_with_its_dirt(
    start_service: StartService, database: Database, tmp_path: Path
) -> None:
    files, service = online_retail(tmp_path), start_service(processes=2)
    rejects = tmp_path / "rejects.csv"
    summary = Load(files, service, 8, rejects).summary()
    nothing_is_missing(summary, files)
    assert database.over_allocated() == []
    assert database.shown() == database.promised()
    with rejects.open(newline="") as rows:
        rejected = list(csv.DictReader(rows))
    assert len(rejected) == summary["lines"]["rejected"] + summary["batches"]["rejected"] > 0
    assert all(row["reason"] for row in rejected)


def test_the_service_stops_gracefully_under_load(start_service: StartService) -> None:
    service = start_service()
    httpx2.post(f"{service.url}/allocation/batches", json={"reference": "b", "sku": "S", "quantity": 10_000})
    answers: list[int] = []
    stopping = threading.Event()

    def order() -> None:
        with httpx2.Client(base_url=service.url, timeout=30) as http:
            number = 0
            while not stopping.is_set():
                number += 1
                try:
                    line = {"sku": "S", "quantity": 1}
                    answers.append(http.post(f"/allocation/orders/o{number}/lines", json=line).status_code)
                except httpx2.TransportError:
                    return  # it does not listen any more

    client = threading.Thread(target=order)
    client.start()
    wait_until(lambda: len(answers) > 50, 30, "some answers")
    assert service.stop() == 0
    stopping.set()
    client.join(30)
    assert set(answers) == {201}
