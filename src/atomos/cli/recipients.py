"""`atomos recipients`: who gets deliveries, pauses, and events that one has missed."""

from __future__ import annotations

from datetime import datetime

import click

from .application import not_found
from .operating import Instant, Reason, by, opened
from .output import as_json, examples, say_json, say_table


@click.group()
def recipients() -> None:
    """Look at those who get deliveries, and pause them."""


@recipients.command("list", epilog=examples("atomos recipients list", "atomos recipients list --json"))
@as_json
@click.pass_obj
def list_(app: str | None, *, as_json: bool) -> None:
    """List the recipients that are registered.

    How many deliveries of each are in which state, when the oldest was recorded that waits, how many live workers
    have it, and whether it is paused, probing or limited.
    """
    from .telling import plain, recipients_table

    with opened(app) as atomos:
        loads = atomos.container.core.inspection().recipients()
        known = atomos.bus.flow.routes.recipients()
    if as_json:
        say_json([{**plain(load), "known": load.registered.name in known} for load in loads])
    else:
        say_table(recipients_table(loads, known))


@recipients.command(
    epilog=examples("atomos recipients pause allocation.warn_buyers --why 'stock import'"),
)
@click.argument("name")
@click.option("--why", type=Reason(), required=True, help="The reason; `atomos why` repeats it.")
@by
@as_json
@click.pass_obj
def pause(app: str | None, name: str, *, why: str, by: str, as_json: bool) -> None:
    """Let no more deliveries of NAME begin, in the whole installation.

    What a worker holds already goes on to its end. What waits keeps its order.
    """
    with opened(app) as atomos:
        atomos.container.core.control().pause(name, by, why)
    _say({"recipient": name, "paused_by": by, "paused_why": why}, f"{name} is paused.", as_json=as_json)


@recipients.command(epilog=examples("atomos recipients resume allocation.warn_buyers"))
@click.argument("name")
@by
@as_json
@click.pass_obj
def resume(app: str | None, name: str, *, by: str, as_json: bool) -> None:
    """Take the pause of NAME back."""
    with opened(app) as atomos:
        atomos.container.core.control().resume(name, by)
    _say({"recipient": name, "paused_by": None, "paused_why": None}, f"{name} goes on.", as_json=as_json)


@recipients.command(epilog=examples("atomos recipients forget shop.retired"))
@click.argument("name")
@by
@as_json
@click.pass_obj
def forget(app: str | None, name: str, *, by: str, as_json: bool) -> None:
    """Take NAME out of the register, once nothing waits for it.

    For a recipient that no build has any more: a live worker that has it would enrol it again, and so this is
    refused.
    """
    with opened(app) as atomos:
        atomos.container.core.control().forget(name, by)
    _say({"recipient": name, "forgotten": True}, f"{name} is not registered any more.", as_json=as_json)


@recipients.command(
    epilog=examples(
        "atomos recipients backfill allocation.warn_buyers --since 2026-11-22T12:00",
        "atomos recipients backfill allocation.warn_buyers --since 2h --yes",
    )
)
@click.argument("name")
@click.option("--since", type=Instant(), required=True, help="Events that were recorded from then on.")
@click.option("--yes", is_flag=True, help="Do it; without, it only says how many there are.")
@by
@as_json
@click.pass_obj
def backfill(app: str | None, name: str, *, since: datetime, yes: bool, by: str, as_json: bool) -> None:
    """Give NAME the events that were recorded before it existed.

    Old processes that still ran while it was deployed did not know it. What it has already is not given again.
    These deliveries keep their order among themselves, and come after those that are there.
    """
    with opened(app) as atomos:
        known = atomos.bus.flow.routes.recipients()
        if name not in known:
            raise not_found("recipient", name, known)
        count = atomos.container.core.control().backfill(known[name], since, by, dry_run=not yes)
    if as_json:
        say_json({"dry_run": not yes, "count": count})
    elif yes:
        click.echo(f"{name} gets {count} more deliveries.")
    else:
        click.echo(f"{name} would get {count} more deliveries; nothing was changed. Say --yes to do it.")


def _say(what: dict[str, object], sentence: str, *, as_json: bool) -> None:
    if as_json:
        say_json(what)
    else:
        click.echo(sentence)
