"""`atomos db`: the database's migrations."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from .application import built, log_as, not_found
from .output import as_json, examples, say_json


@click.group()
def db() -> None:
    """Bring the database up to date, and write migrations."""


@db.command(
    epilog=examples(
        "atomos db upgrade",
        "ATOMOS_DATABASE__URL=postgresql://app@db.example/shop atomos db upgrade",
    )
)
@as_json
@click.pass_obj
def upgrade(app: str | None, *, as_json: bool) -> None:
    """Apply every migration that the database lacks.

    The core's and each context's, in one transaction; two that begin at once wait for each other. Nothing to
    do is no error.
    """
    atomos = built(app)
    log_as(atomos.settings)
    try:
        applied = atomos.migrate()
    finally:
        atomos.close()
    if as_json:
        say_json({"applied": applied})
    else:
        click.echo("\n".join(f"applied {each}" for each in applied) or "The database is up to date.")


@db.command(
    epilog=examples(
        'atomos db revision -m "note who packed it" allocation',
    )
)
@click.option("-m", "--message", required=True, help="What it does, in a few words.")
@click.argument("context")
@as_json
@click.pass_obj
def revision(app: str | None, context: str, *, message: str, as_json: bool) -> None:
    """Write a migration of CONTEXT, from its tables in code.

    It has what the database lacks. Read and correct it: a renamed column looks like one dropped and one
    added. The database must be up to date before (`atomos db upgrade`).
    """
    from atomos.core.adapters import DatabaseVersion, pending, revise

    atomos = built(app)
    log_as(atomos.settings)
    own = {history.name: history for history in atomos.histories if history.metadata is not None}
    if context not in own:
        raise not_found("context with tables of its own", context, own)
    try:
        database = atomos.container.core.database()
        if missing := pending(database, atomos.histories):
            raise DatabaseVersion(f"The database lacks {', '.join(missing)}.")
        with redirect_stdout(sys.stderr):  # Alembic says what it does, and the path alone is the output
            path = revise(database, own[context], message)
    finally:
        atomos.close()
    shown = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    if as_json:
        say_json({"path": shown})
    else:
        click.echo(shown)
