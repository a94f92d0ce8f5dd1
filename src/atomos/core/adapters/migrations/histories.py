"""Brings a database to the version of this build, with Alembic, in one transaction for all histories."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Inspector, MetaData, Table, inspect

from ...service.diagnostics import Diagnosed
from ..database import Database

_HERE = Path(__file__).parent
_LOCK = 4_170_110_152  # any number that nothing else locks: "atomos" is not a number


class DatabaseVersion(Diagnosed):
    """The database is not at the version of this build."""

    code = "ATM052"


class NoMigration(Diagnosed):
    """Code has a table or a column that no migration makes."""

    code = "ATM079"


class History(NamedTuple):
    """The migrations of one package: its name, the folder of its versions, and its tables.

    `metadata` is what autogenerate compares with; None where migrations are written by hand.
    """

    name: str
    folder: Path
    metadata: MetaData | None = None

    @property
    def version_table(self) -> str:
        """The table that says how far this history is."""
        return f"{self.name}_version"


CORE = History("atomos", _HERE / "versions")
"""The history of the log's tables."""


def upgrade(database: Database, histories: Sequence[History]) -> list[str]:
    """Bring every history to its newest version; name the versions that were applied. Safe when two begin at once."""
    # Whoever finds nothing to do need not wait for those who write, who may take long.
    if not pending(database, histories):
        return []
    applied = []
    with database.transaction() as connection:
        _lock(connection)
        for history in histories:
            missing = _missing(connection, history)
            if missing:
                command.upgrade(_config(history, connection), "head")
            applied += [f"{history.name} {revision}" for revision in missing]
    return applied


def pending(database: Database, histories: Sequence[History]) -> list[str]:
    """Name the versions that the database lacks; none when it is newer than this build, which is still served."""
    with database.look() as connection:
        return [
            f"{history.name} {revision}"
            for history in histories
            for revision in _missing(connection, history)
        ]


def unmade(database: Database, histories: Sequence[History]) -> list[str]:
    """Name the tables and columns in code that the database lacks, though no version is pending.

    None where it is newer than this build: then it may lack what this build still has.
    """
    with database.look() as connection:
        inspector = inspect(connection)
        return [
            lacking
            for history in histories
            if history.metadata is not None and _is_newest(connection, history)
            for table in history.metadata.sorted_tables
            for lacking in _lacking(inspector, table)
        ]


def revise(database: Database, history: History, message: str) -> Path:
    """Write a new migration from the difference between the history's tables and the database; give its file."""
    with database.transaction() as connection:
        number = len(list(history.folder.glob("[0-9]*.py"))) + 1
        config = _config(history, connection)
        made = command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04}")
    assert made is not None  # noqa: S101 - Alembic gives one script for one revision
    return Path(made.path if not isinstance(made, list) else made[0].path)  # type: ignore[union-attr]


def _is_newest(connection: Connection, history: History) -> bool:
    script = ScriptDirectory.from_config(_config(history, connection))
    return set(script.get_heads()) == set(_current(connection, history))


def _lacking(inspector: Inspector, table: Table) -> list[str]:
    if not inspector.has_table(table.name, table.schema):
        return [table.fullname]
    there = {column["name"] for column in inspector.get_columns(table.name, table.schema)}
    return [f"{table.fullname}.{column.name}" for column in table.columns if column.name not in there]


def _current(connection: Connection, history: History) -> tuple[str, ...]:
    context = MigrationContext.configure(connection, opts={"version_table": history.version_table})
    return context.get_current_heads()


def _missing(connection: Connection, history: History) -> list[str]:
    script = ScriptDirectory.from_config(_config(history, connection))
    current = _current(connection, history)
    known = [revision.revision for revision in script.walk_revisions()]
    if set(current) - set(known):
        # A newer build has been here: old and new run together while a deployment goes on.
        return []
    newest_first = known[: known.index(current[0])] if current else known
    return newest_first[::-1]


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("set local statement_timeout = 0")
        connection.exec_driver_sql("set local lock_timeout = 0")
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")


def _config(history: History, connection: Connection) -> Config:
    config = Config(cmd_opts=Namespace(quiet=True))  # who is interested in the file is told its path
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("version_locations", str(history.folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, history=history)
    return config
