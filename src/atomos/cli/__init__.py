"""The command line: `atomos`, its own commands, and the groups that contexts add."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atomos.core.domain import AtomosError

from .database import db
from .deliveries import deliveries
from .documents import asyncapi, openapi
from .explaining import explain
from .faults import faults
from .keys import keys
from .looking import LOOKING
from .messages import emit
from .recipients import recipients
from .serving import run, worker
from .settings import config
from .shell import shell
from .wiring import graph, routes, verify

if TYPE_CHECKING:
    from atomos.core.container import Context

__all__ = ["CommandLine", "cli", "main"]


_LEARN = """\b
Begin with:
  atomos verify           is the wiring whole? (needs no database)
  atomos graph            what leads to what
  atomos run              serve on http://127.0.0.1:8000
  atomos COMMAND --help   what a command does, with examples

\b
Exit codes:
  0  done
  1  something is wrong, or has failed
  2  the command was used wrongly
"""


class CommandLine(click.Group):
    """The group `atomos`. What contexts add is looked up only when it is asked for.

    An `AtomosError` is printed without a traceback, and ends the process with 1.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, and the groups of the contexts; an application that cannot be loaded is said."""
        try:
            found = _groups(ctx)
        except Exception as error:  # noqa: BLE001 - the help must be there whatever is wrong with the application
            click.echo(
                f"The groups of its contexts are missing, as the application cannot be loaded: {error}\n",
                err=True,
            )
            found = {}
        return [*super().list_commands(ctx), *sorted(found.keys() - self.commands.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command, or the group of a context."""
        return super().get_command(ctx, cmd_name) or _groups(ctx).get(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and tell errors in words."""
        try:
            return super().invoke(ctx)
        except AtomosError as error:
            _fail(error, _hint(error))
        except Exception as error:
            from atomos.core.adapters.database_errors import explain as explained

            said = explained(error, f"atomos {ctx.invoked_subcommand}")
            if said is None:
                raise
            _fail(said, _hint(said))


@click.group(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_LEARN,
)
@click.option(
    "--app",
    metavar="MODULE:CONTAINER",
    is_eager=True,
    help="The application.  [default: ATOMOS_APP, or [tool.atomos] app in pyproject.toml]",
)
@click.version_option(package_name="atomos-framework", prog_name="atomos")
@click.pass_context
def cli(ctx: click.Context, app: str | None) -> None:
    """Run an event-driven service, and look into it.

    An entrypoint emits an event. An event triggers commands. A command changes state, in one transaction, and
    everyone who must hear of it is written down in that same transaction. A query changes nothing.
    """
    ctx.obj = app


for _command in (
    *(run, worker, verify, routes, graph, explain, openapi, asyncapi, config, db, emit, shell),
    *(*LOOKING, deliveries, recipients, keys, faults),
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; the current folder's modules can be imported."""
    sys.path.append(str(Path.cwd()))
    cli(prog_name="atomos")


def _groups(ctx: click.Context) -> dict[str, click.Command]:
    from atomos.bootstrap import find_container

    contexts: tuple[Context, ...] = getattr(find_container(ctx.params.get("app")), "contexts", ())
    return {each.commands.name or each.name: each.commands for each in contexts if each.commands is not None}


def _hint(error: AtomosError) -> str:
    from atomos.core.service import Unavailable

    return " `atomos config` shows database.url." if isinstance(error, Unavailable) else ""


def _fail(error: AtomosError, hint: str) -> None:
    click.echo(f"{error}{hint}", err=True)
    raise click.exceptions.Exit(1)
