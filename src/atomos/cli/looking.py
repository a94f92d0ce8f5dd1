"""`atomos why`, `audit`, `messages` and `workers`: what is going on, without changing anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from .operating import Conversation, Id, Instant, found, opened
from .output import as_json, examples, say_json, say_table


@click.command(
    epilog=examples(
        "atomos why 0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e",
        "atomos why 0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e --json | jq '.deliveries[].reasons'",
    )
)
@click.argument("message", type=Id())
@as_json
@click.pass_obj
def why(app: str | None, message: str, *, as_json: bool) -> None:
    """Say why each delivery of MESSAGE waits.

    By the same rule by which workers claim: whatever keeps it is named, with who, since when and until when. Where
    nothing does, it says how many are in front of it, and whether a live worker has the recipient at all.
    """
    from .telling import explanation_table, plain

    with opened(app) as atomos:
        explanation = found(atomos, message)
    if as_json:
        name = {"message": message, "name": explanation.message.name}
        say_json({**name, "deliveries": plain(explanation.verdicts)})
    elif explanation.verdicts:
        say_table(explanation_table(explanation))
    else:
        click.echo(f"{explanation.message.name} asked for no deliveries.")


@click.command(
    epilog=examples(
        "atomos audit",
        "atomos audit --json | jq -r '.damages[].rows[]'",
    )
)
@click.option(
    "--rows",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many rows of each kind of damage are named.",
)
@as_json
@click.pass_obj
def audit(app: str | None, *, rows: int, as_json: bool) -> None:
    """Look for damage in the whole log.

    Whether every delivery that was asked for is there, once; whether commands have their effects, events their
    causes and decisions, leases their workers; and how long the oldest delivery of each recipient has been waiting.
    It names the rows that break a rule, and exits with 1 then. It reads all tables, as they are at one instant, and
    holds up nobody.
    """
    from .telling import audit_lines, plain

    with opened(app) as atomos:
        report = atomos.container.core.inspection().audit(atomos.bus.flow.deciding(), rows)
    if as_json:
        say_json(plain(report))
    else:
        click.echo("\n".join(audit_lines(report)))
    if report.damages:
        raise click.exceptions.Exit(1)


@click.command(
    epilog=examples(
        "atomos messages --name allocation.allocated --since 2h",
        "atomos messages --conversation 0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e",
        "atomos messages --principal key:warehouse --json",
    )
)
@click.option("--name", help="The wire name.")
@click.option("--key", help="The ordering key.")
@click.option("--principal", help="Who asked: all that it caused, through all steps, such as key:warehouse.")
@click.option(
    "--conversation",
    type=Conversation(),
    help="The id of the message that began it, or what a sender calls it.",
)
@click.option(
    "--kind", type=click.Choice(("event", "command", "schedule", "received", "raw")), help="What it is."
)
@click.option(
    "--since",
    type=Instant(),
    help="From then on.  [default: a day ago; of a conversation or a principal, the beginning]",
)
@click.option("--until", type=Instant(), help="Before then.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many."
)
@click.option("--after", help="The cursor that the page before ended with.")
@as_json
@click.pass_obj
def messages(app: str | None, /, *, limit: int, after: str | None, as_json: bool, **wanted: Any) -> None:
    """List messages, the newest first.

    Events, commands and schedules are kept; questions change nothing, and are not. Whatever a message leads to,
    however much later, has its principal too. What is marked sensitive in their fields is not shown; nor is
    anything of a message that this build does not have. Times are in UTC; a time may be an age, such as 90m or 7d.
    """
    from atomos.core.service.operations import MessageFilter

    from .telling import message_document, messages_table, shown_of

    if wanted["since"] is None and wanted["conversation"] is None and wanted["principal"] is None:
        wanted["since"] = datetime.now(UTC) - timedelta(days=1)
    with opened(app) as atomos:
        try:
            page = atomos.container.core.inspection().messages(MessageFilter(**wanted), limit, after)
        except ValueError:
            raise click.BadParameter(f"{after!r} is no cursor of a page.", param_hint="--after") from None
        shown = shown_of(atomos)
    if as_json:
        say_json({"items": [message_document(each, shown) for each in page.items], "cursor": page.cursor})
        return
    say_table(messages_table(page.items))
    if page.cursor:
        click.echo(f"There are more: --after {page.cursor}")


@click.command(
    epilog=examples(
        "atomos workers",
        "atomos workers --json | jq '.[] | select(.alive | not)'",
    )
)
@as_json
@click.pass_obj
def workers(app: str | None, *, as_json: bool) -> None:
    """List the workers that are registered.

    Where each runs, since when, when it was last seen, how many deliveries it holds, and which handlers are past
    their time limit in it. One that was not seen for the time of a lease is not alive.
    """
    from .telling import plain, workers_table

    with opened(app) as atomos:
        listed = atomos.container.core.inspection().workers()
    if as_json:
        say_json(plain(listed))
    else:
        say_table(workers_table(listed))


LOOKING = (why, audit, messages, workers)
"""The commands of this module."""
