"""What the tests of Atomos share: each that asks for a database runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from atomos.testing.databases import PostgresTemplate, SqliteTemplate, fresh_url, made_postgres_template

# A busy machine is no mistake of the code.
settings.register_profile("atomos", deadline=None)
settings.load_profile("atomos")

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.services)]


@pytest.fixture(scope="session")
def postgres_template(migrate: Callable[[str], None]) -> Iterator[PostgresTemplate]:
    """A migrated PostgreSQL database."""
    with made_postgres_template(migrate) as template:
        yield template


@pytest.fixture(params=DATABASES)
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: SqliteTemplate
) -> Iterator[str]:
    """The URL of a fresh, migrated database of each kind."""
    with fresh_url(request, tmp_path, sqlite_template, "postgres_template") as url:
        yield url
