"""Processes that bring one empty database up to date at the same instant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, make_url

from atomos.testing.databases import POSTGRES_URL, need_service
from atomos.testing.faults import LEDGER, fresh_database
from tests.conftest import DATABASES

PROCESSES = 3


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", DATABASES)
def test_of_processes_that_migrate_at_once_one_does_and_all_are_served(kind: str, tmp_path: Path) -> None:
    server = None if kind == "sqlite" else os.environ.get("ATOMOS_TEST_POSTGRES_URL", POSTGRES_URL)
    try:
        with fresh_database(tmp_path, server) as url:
            assert_one_migrates(url, tmp_path)
    except psycopg.OperationalError as error:
        need_service("PostgreSQL", error)


def assert_one_migrates(url: str, folder: Path) -> None:
    environment = {**os.environ, "ATOMOS_APP": LEDGER, "ATOMOS_DATABASE__URL": url}
    command = [sys.executable, "-m", "atomos", "db", "upgrade"]
    several = [
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    said = [each.communicate(timeout=120)[0] for each in several]
    assert [each.returncode for each in several] == [0] * PROCESSES
    assert sum("applied ledger 0001" in each for each in said) == 1
    assert sum("up to date" in each for each in said) == PROCESSES - 1
    engine = create_engine(make_url(url.replace("postgresql://", "postgresql+psycopg://")))
    assert {"atomos_message", "ledger_entry"} <= set(inspect(engine).get_table_names())
    engine.dispose()
