"""What the tests of Atomos share: each that asks for a database runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from atomos.testing.databases import PostgresTemplate, SqliteTemplate, fresh_url, made_postgres_template

# A busy machine is no mistake of the code. `make test` looks at a few examples of each kind, `make test-all` at many.
settings.register_profile("short", deadline=None, max_examples=30)
settings.register_profile("long", deadline=None, max_examples=300)
settings.load_profile(os.environ.get("ATOMOS_TEST_EXAMPLES", "short"))

# As `logs.configure` has it: the default draws a traceback with all variables, for most of a second.
_PLAIN = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(
    processors=[*structlog.get_config()["processors"][:-1], _PLAIN],
    # Where the service writes it too: what a command prints is for its reader alone.
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Logging is the process's: what a command sets up for itself is not there for the next test."""
    root, config = logging.getLogger(), structlog.get_config()
    level = root.level
    yield
    structlog.configure(**config)
    root.setLevel(level)
    root.handlers[:] = [each for each in root.handlers if each.name != "atomos"]


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
