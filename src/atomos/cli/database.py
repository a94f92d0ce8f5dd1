"""`atomos db`: the database's migrations."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import click

from .application import UnusableInput, built, log_as, not_found, prepare
from .operating import Instant, opened
from .output import as_json, examples, say_json


@click.group()
def db() -> None:
    """Bring the database up to date, write migrations, remove what is old."""


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
    added. The database must be up to date before; SQLite is brought up to date here, any other by
    `atomos db upgrade`.
    """
    from atomos.core.adapters import revise

    atomos = built(app)
    log_as(atomos.settings)
    own = {history.name: history for history in atomos.histories if history.metadata is not None}
    if context not in own:
        raise not_found("context with tables of its own", context, own)
    try:
        prepare(atomos)
        path = revise(atomos.container.core.database(), own[context], message)
    finally:
        atomos.close()
    shown = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    if as_json:
        say_json({"path": shown})
    else:
        click.echo(shown)


@db.command(
    epilog=examples(
        "atomos db purge",
        "atomos db purge --before 90d --yes",
    )
)
@click.option(
    "--before", type=Instant(), help="In place of delivery.retention; a time, or an age such as 90d."
)
@click.option("--yes", is_flag=True, help="Do it; without, it only says how many there are.")
@as_json
@click.pass_obj
def purge(app: str | None, *, before: datetime | None, yes: bool, as_json: bool) -> None:
    """Remove conversations that are older than the retention.

    Workers do this all the time. A conversation goes as a whole, when all of its messages are older and all of
    their deliveries are done or discarded; dead ones are kept until someone decides. It may be interrupted.
    """
    from atomos.core.adapters.operations import SqlRetention

    with opened(app) as atomos:
        days = atomos.settings.delivery.retention
        if before is None and not days:
            raise UnusableInput("delivery.retention is 0, which keeps everything for ever; give --before.")
        retention = SqlRetention(atomos.container.core.database(), days, before=before)
        count = sum(retention.sweep()) if yes else retention.count()
    if as_json:
        say_json({"dry_run": not yes, "count": count})
    elif yes:
        click.echo(f"{count} messages were removed.")
    else:
        click.echo(f"{count} messages would be removed; nothing was changed. Say --yes to do it.")
