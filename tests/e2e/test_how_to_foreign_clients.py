"""Clients that know nothing of Atomos publish to the service and read from it, as the page says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import httpx2
import pytest

from atomos.testing.databases import SqliteTemplate
from atomos.testing.processes import Service, wait_until

from .brokers import broker_environment
from .conftest import PROJECT
from .tutorial import blocks, write

PAGE = PROJECT / "docs/how-to/foreign-clients.md"
READS = (("allocation", "stock.batch-received"), ("allocation", "stock.batch-quantity-reported"))


class Client(NamedTuple):
    """Two scripts of the page, for a broker; `says` is what the reading one prints of the event, in parts."""

    broker: str
    publish: str
    read: str
    says: tuple[str, ...] = ("application/cloudevents+json", "allocation.went-out-of-stock", "CHAIR")


CLIENTS = {
    "pika": Client("rabbitmq", "rabbitmq_publish.py", "rabbitmq_read.py"),
    "redis-cli": Client("redis", "redis_publish.sh", "redis_read.sh"),
    "nats": Client("nats", "nats_publish.py", "nats_read.py"),
    "sdk": Client("rabbitmq", "sdk_publish.py", "sdk_read.py"),
    "sdk-binary": Client(
        "rabbitmq",
        "sdk_publish.py",
        "sdk_read.py",
        ("application/json", "allocation.went-out-of-stock", "CHAIR"),
    ),
}


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CLIENTS)
def test_a_foreign_client_publishes_and_reads_by_the_page_alone(
    name: str, tmp_path: Path, sqlite_template: SqliteTemplate
) -> None:
    client, sqlite_url = CLIENTS[name], sqlite_template.fresh(tmp_path)
    mode = "binary" if name == "sdk-binary" else "structured"
    with broker_environment(client.broker, tmp_path, READS) as broker:
        for block in blocks(PAGE):
            write(block._replace(text=_here(block.text, broker["ATOMOS_BROKER__PREFIX"])), tmp_path)
        url = broker["ATOMOS_BROKER__URL"]
        own = {**broker, "ATOMOS_BROKER__SERVICE": "allocation", "ATOMOS_BROKER__MODE": mode}
        with Service(PROJECT, sqlite_url, environment=own) as allocation:
            wait_until(lambda: _published(tmp_path / client.publish, url, "b-1"), 30, "allocation to read")
            wait_until(lambda: _has(allocation, "b-1"), 30, "the batch to be in stock")
            _published(tmp_path / client.publish, url, "b-1")  # a repeat
            with _reading(tmp_path / client.read, url) as said:
                line = {"sku": "CHAIR", "quantity": 1000}
                httpx2.post(f"{allocation.url}/allocation/orders/o1/lines", json=line).raise_for_status()
                wait_until(
                    lambda: all(each in said() for each in client.says), 30, "the client to hear of it"
                )
        count = _count(sqlite_url, "received")
    assert count == 1


def _here(text: str, prefix: str) -> str:
    for mark in ('"atomos"', "atomos:", '"atomos.', '"atomos_'):
        text = text.replace(mark, mark.replace("atomos", prefix))
    return text.replace('"warehouse.', f'"{prefix}.')


def _command(script: Path, *arguments: str) -> list[str]:
    program = [sys.executable] if script.suffix == ".py" else [shutil.which("sh") or "sh"]
    return [*program, str(script), *arguments]


def _published(script: Path, url: str, reference: str) -> bool:
    """Publish; False: nobody reads the topic yet, which the client is told."""
    ended = subprocess.run(
        _command(script, url, reference), capture_output=True, text=True, timeout=30, check=False
    )
    return ended.returncode == 0 and bool(ended.stdout.strip() or script.suffix == ".py")


@contextmanager
def _reading(script: Path, url: str) -> Iterator[Callable[[], str]]:
    said = script.with_suffix(".said")
    with said.open("wb") as log:
        reader = _started(_command(script, url), log)
    try:
        wait_until(lambda: bool(said.read_text().strip()), 30, "the client to read")
        yield said.read_text
    finally:
        reader.kill()
        reader.wait(30)


def _started(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def _has(allocation: Service, batch: str) -> bool:
    return httpx2.get(f"{allocation.url}/allocation/batches/{batch}").status_code == httpx2.codes.OK


def _count(url: str, kind: str) -> int:
    from atomos.core.adapters import Database

    database = Database(url)
    try:
        with database.look() as connection:
            statement = f"select count(*) from atomos_message where kind = '{kind}'"  # noqa: S608
            return int(connection.exec_driver_sql(statement).scalar_one())
    finally:
        database.close()
