"""A database that is moved between versions of a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from alembic import command
from sqlalchemy import text

from atomos.core.adapters import Database
from atomos.core.adapters.migrations.histories import History, _config


class Migrated:
    """A database whose tables of `history` are moved; `0001` is the oldest version of each."""

    history: ClassVar[History]

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def to(self, revision: str) -> None:
        """Bring the tables to a version."""
        move: Callable[..., None] = command.downgrade if revision == "0001" else command.upgrade
        with self.database.transaction() as connection:
            move(_config(self.history, connection), revision)

    def run(self, *statements: str) -> None:
        """Run statements in one transaction."""
        with self.database.transaction() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def rows(self, statement: str) -> list[Any]:
        """What a statement finds."""
        with self.database.look() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]
