"""Fresh databases for tests: a copied SQLite file, or a PostgreSQL database made from a template."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from atomos.core.service.envelope import new_id

POSTGRES_URL = "postgresql://postgres@127.0.0.1:5432/postgres"
"""The server of the tests where ATOMOS_TEST_POSTGRES_URL names no other; the role must be allowed to make databases."""

Migrate = Callable[[str], None]
"""Brings the database of a URL to the newest version."""


def services_are_required() -> bool:
    """Whether a service that cannot be reached is a failure, and not a reason to skip."""
    return os.environ.get("ATOMOS_TEST_SERVICES") == "required"


def need_service(name: str, error: Exception) -> None:
    """Skip the test, or fail it where services are required."""
    if services_are_required():
        pytest.fail(f"{name} is required, and cannot be reached: {error}")
    pytest.skip(f"{name} cannot be reached: {error}")


class SqliteTemplate:
    """A migrated file, made once and copied for every test."""

    def __init__(self, folder: Path, migrate: Migrate) -> None:
        self._file = folder / "template.db"
        migrate(f"sqlite:///{self._file}")

    def fresh(self, folder: Path) -> str:
        """Copy it into a folder; give the copy's URL."""
        copied = shutil.copy(self._file, folder / "atomos.db")
        return f"sqlite:///{copied}"


class PostgresTemplate:
    """A migrated database, made once; `fresh` makes a copy of it, and removes that after the test."""

    def __init__(self, migrate: Migrate) -> None:
        self._server = os.environ.get("ATOMOS_TEST_POSTGRES_URL", POSTGRES_URL)
        self._name = f"atomos_template_{new_id()[-12:]}"
        self._administer("create database {}", self._name)
        migrate(self._url(self._name))

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Make a database; give its URL; remove it at the end, whoever is still connected."""
        name = f"atomos_test_{new_id()[-12:]}"
        self._administer("create database {} template {}", name, self._name)
        try:
            yield self._url(name)
        finally:
            self.remove(name)

    def remove(self, name: str | None = None) -> None:
        """Remove a database; None removes the template."""
        self._administer("drop database if exists {} with (force)", name or self._name)

    def _url(self, name: str) -> str:
        return make_url(self._server).set(database=name).render_as_string(hide_password=False)

    def _administer(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self._server, autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def made_postgres_template(migrate: Migrate) -> Iterator[PostgresTemplate]:
    """Make a template for the tests of a session, and remove it; skip them, or fail, where there is no server."""
    try:
        template = PostgresTemplate(migrate)
    except psycopg.OperationalError as error:
        need_service("PostgreSQL", error)
        raise
    yield template
    template.remove()


@contextmanager
def fresh_url(
    request: pytest.FixtureRequest, folder: Path, sqlite: SqliteTemplate, postgresql: str
) -> Iterator[str]:
    """Give a fresh database's URL, of the kind that the fixture's parameter says.

    `postgresql` names the fixture of the template, which is asked for only where it is needed.
    """
    if request.param == "sqlite":
        yield sqlite.fresh(folder)
        return
    template: PostgresTemplate = request.getfixturevalue(postgresql)
    with template.fresh() as url:
        yield url
