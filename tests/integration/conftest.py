"""Databases with nothing but the log in them, for tests that put an application together by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atomos.core.adapters import CORE, Database, upgrade
from atomos.core.adapters.messaging.database import TOPICS
from atomos.core.service import Worker, WorkerSettings
from atomos.testing.databases import PostgresTemplate, SqliteTemplate, fresh_url, made_postgres_template
from tests.conftest import DATABASES

from .claim_racer import hasten
from .worker_samples import FAST, Bells

ON_SQLITE = pytest.mark.parametrize("log_url", DATABASES[:1], indirect=True)
"""For what only SQLite does."""

ON_POSTGRESQL = pytest.mark.parametrize("log_url", DATABASES[1:], indirect=True)
"""For what only PostgreSQL does."""


def _migrate(url: str) -> None:
    database = Database(url)
    upgrade(database, [CORE, TOPICS])
    database.close()


@pytest.fixture(scope="session")
def log_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    """A SQLite file with the log's tables."""
    return SqliteTemplate(tmp_path_factory.mktemp("log"), _migrate)


@pytest.fixture(scope="session")
def postgres_log_template() -> Iterator[PostgresTemplate]:
    """A PostgreSQL database with the log's tables."""
    with made_postgres_template(_migrate) as template:
        yield template


@pytest.fixture(params=DATABASES)
def log_url(request: pytest.FixtureRequest, tmp_path: Path, log_template: SqliteTemplate) -> Iterator[str]:
    """The URL of a fresh database of each kind, with the log's tables."""
    with fresh_url(request, tmp_path, log_template, "postgres_log_template") as url:
        yield url


@pytest.fixture
def log_database(log_url: str) -> Iterator[Database]:
    """That database, opened; a commit does not wait for the disk, because no test here cuts the power."""
    database = hasten(Database(log_url))
    yield database
    database.close()


Start = Callable[..., Worker]
"""Starts a worker of some bells, with settings and what else it takes."""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a worker; all are stopped after the test."""
    workers = []

    def start(bells: Bells, settings: WorkerSettings = FAST, **more: Any) -> Worker:
        workers.append(worker := Worker(bells.bus, bells.deliveries, bells.wake, settings, **more))
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What handlers wait for; it opens after the test at the latest."""
    opened = threading.Event()
    yield opened
    opened.set()
