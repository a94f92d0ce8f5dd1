"""Databases with nothing but the log in them, for tests that put an application together by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from atomos.core.adapters import CORE, Database, upgrade
from atomos.testing.databases import PostgresTemplate, SqliteTemplate, need_service
from tests.conftest import DATABASES

from .claim_racer import hasten

ON_SQLITE = pytest.mark.parametrize("log_url", DATABASES[:1], indirect=True)
"""For what only SQLite does."""

ON_POSTGRESQL = pytest.mark.parametrize("log_url", DATABASES[1:], indirect=True)
"""For what only PostgreSQL does."""


def _migrate(url: str) -> None:
    database = Database(url)
    upgrade(database, [CORE])
    database.close()


@pytest.fixture(scope="session")
def log_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    """A SQLite file with the log's tables."""
    return SqliteTemplate(tmp_path_factory.mktemp("log"), _migrate)


@pytest.fixture(scope="session")
def postgres_log_template() -> Iterator[PostgresTemplate]:
    """A PostgreSQL database with the log's tables."""
    try:
        template = PostgresTemplate(_migrate)
    except psycopg.OperationalError as error:
        need_service("PostgreSQL", error)
        raise
    yield template
    template.remove()


@pytest.fixture(params=DATABASES)
def log_url(request: pytest.FixtureRequest, tmp_path: Path, log_template: SqliteTemplate) -> Iterator[str]:
    """The URL of a fresh database of each kind, with the log's tables."""
    if request.param == "sqlite":
        yield log_template.fresh(tmp_path)
        return
    template: PostgresTemplate = request.getfixturevalue("postgres_log_template")
    with template.fresh() as url:
        yield url


@pytest.fixture
def log_database(log_url: str) -> Iterator[Database]:
    """That database, opened; a commit does not wait for the disk, because no test here cuts the power."""
    database = hasten(Database(log_url))
    yield database
    database.close()
