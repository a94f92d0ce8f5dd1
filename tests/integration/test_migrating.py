"""Two processes that migrate at once: one does it, the other waits, and both are content."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Column, MetaData, String, Table, make_url

from atomos.core.adapters import CORE, Database, History, pending, revise, unmade, upgrade
from atomos.core.service.envelope import new_id
from atomos.testing.databases import POSTGRES_URL, need_service
from tests.conftest import DATABASES

SECONDS = 120
PROCESSES = 4
FILES, OPENERS = 30, 6
UPGRADE = """
import sys
from atomos.core.adapters import CORE, Database, upgrade
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(*upgrade(database, [CORE]), sep=",", flush=True)
database.close()
"""


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = os.environ.get("ATOMOS_TEST_POSTGRES_URL", POSTGRES_URL)
    name = f"atomos_test_{new_id()[-12:]}"
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        need_service("PostgreSQL", error)
        raise
    with connection:
        connection.execute(f"create database {name}".encode())
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.mark.slow
def test_processes_that_migrate_at_once_do_it_once(empty_url: str) -> None:
    command = [sys.executable, "-c", UPGRADE, empty_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(PROCESSES)]  # type: ignore[call-overload]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=SECONDS)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * PROCESSES
    database = Database(empty_url)
    assert pending(database, [CORE]) == []
    database.close()
    versions = sorted(path.name[:4] for path in CORE.folder.glob("[0-9]*.py"))
    assert sorted(said) == [""] * (PROCESSES - 1) + [",".join(f"atomos {each}" for each in versions)]


def test_who_finds_nothing_to_migrate_does_not_wait_for_whoever_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'busy.db'}"
    writing, starting = Database(url), Database(url, lock_timeout=0.2)
    upgrade(writing, [CORE])
    with writing.transaction() as connection:
        connection.exec_driver_sql("update atomos_worker set seen = seen")
        assert upgrade(starting, [CORE]) == []
    writing.close()
    starting.close()


def test_what_no_migration_makes_is_named_unless_a_newer_build_was_here(
    empty_url: str, tmp_path: Path
) -> None:
    doors, painted = MetaData(), MetaData()
    Table("shop_door", doors, Column("name", String(20), primary_key=True))
    Table("shop_door", painted, Column("name", String(20), primary_key=True), Column("colour", String(20)))
    history, later = (History("shop", tmp_path / "migrations", each) for each in (doors, painted))
    database = Database(empty_url)
    upgrade(database, [CORE, history])
    assert unmade(database, [CORE, history]) == ["shop_door"]
    revise(database, history, "doors")
    assert unmade(database, [history]) == []  # one is pending, which may make it
    upgrade(database, [history])
    assert unmade(database, [history]) == []
    assert unmade(database, [later]) == ["shop_door.colour"]
    assert unmade(database, [later._replace(folder=tmp_path / "of an older build")]) == []
    database.close()


def test_of_several_that_open_a_new_file_at_the_same_instant_each_gets_it(tmp_path: Path) -> None:
    for number in range(FILES):
        together = threading.Barrier(OPENERS)
        with ThreadPoolExecutor(OPENERS) as threads:
            url = f"sqlite:///{tmp_path / f'{number}.db'}"
            for opening in [threads.submit(open_at_once, url, together) for _ in range(OPENERS)]:
                opening.result()


def open_at_once(url: str, together: threading.Barrier) -> None:
    database = Database(url)
    together.wait()
    with database.transaction() as connection:
        connection.exec_driver_sql("create table if not exists opened (n integer)")
    database.close()
