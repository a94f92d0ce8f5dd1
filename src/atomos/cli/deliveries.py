"""`atomos deliveries`: list, show, retry and discard them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .operating import Id, Instant, Reason, by, found, opened
from .output import as_json, examples, say_json, say_table

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.service.operations import DeliveryFilter

F = TypeVar("F", bound=Callable[..., Any])

_RETRIABLE = ("dead", "parked")
_LIVE = ("scheduled", "ready", "retrying")
_STATES = (*_LIVE, *_RETRIABLE, "done", "discarded")
_SHOWN_FIRST = 10


def _filters(*states: str) -> Callable[[F], F]:
    options = (
        click.option("--since", type=Instant(), help="Of messages that were recorded from then on."),
        click.option("--error", metavar="TEXT", help="A part of one of the last errors."),
        click.option("--message", type=Id(), help="The message's id."),
        click.option("--key", help="The ordering key."),
        click.option(
            "--status", type=click.Choice(states), multiple=True, help="The state; several may be given."
        ),
        click.option("--recipient", help="To whom."),
    )
    return lambda command: _given(command, options)


def _decision(*states: str) -> Callable[[F], F]:
    options = (
        click.option("--dry-run", is_flag=True, help="Only say what would be changed."),
        click.option("--yes", is_flag=True, help="Do it; one that --message names needs no --yes."),
        by,
        _filters(*states),
    )
    return lambda command: _given(command, options)


def _given(command: F, options: Iterable[Callable[[F], F]]) -> F:
    for option in options:
        command = option(command)
    return command


@click.group()
def deliveries() -> None:
    """Look at deliveries, and decide what becomes of those that failed."""


@deliveries.command(
    "list",
    epilog=examples(
        "atomos deliveries list --status dead --status parked",
        "atomos deliveries list --recipient allocation.warn_buyers --error Timeout --since 2h",
    ),
)
@_filters(*_STATES)
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many."
)
@click.option("--after", help="The cursor that the page before ended with.")
@as_json
@click.pass_obj
def list_(app: str | None, /, *, limit: int, after: str | None, as_json: bool, **wanted: Any) -> None:
    """List deliveries, the newest first.

    Without --status, those that are not done and not discarded.
    """
    from .telling import deliveries_table, plain

    with opened(app) as atomos:
        asked = _filter(wanted, (*_LIVE, *_RETRIABLE))
        try:
            page = atomos.container.core.inspection().deliveries(asked, limit, after)
        except ValueError:
            raise click.BadParameter(f"{after!r} is no cursor of a page.", param_hint="--after") from None
    if as_json:
        say_json({"items": plain(page.items), "cursor": page.cursor})
        return
    say_table(deliveries_table(page.items))
    if page.cursor:
        click.echo(f"There are more: --after {page.cursor}")


@deliveries.command(
    epilog=examples("atomos deliveries show 0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"),
)
@click.argument("message", type=Id())
@as_json
@click.pass_obj
def show(app: str | None, message: str, *, as_json: bool) -> None:
    """Show MESSAGE with all its deliveries and their last errors.

    What is marked sensitive in its fields is not shown.
    """
    from .telling import delivery_lines, message_document, messages_table, plain, shown_of

    with opened(app) as atomos:
        stored = found(atomos, message).message
        asked = _filter({"message": message}, _STATES)
        page = atomos.container.core.inspection().deliveries(asked, 10_000)
        document = message_document(stored, shown_of(atomos))
    items = page.items[::-1]
    if as_json:
        say_json({"message": document, "deliveries": plain(items)})
        return
    say_table(messages_table([stored]))
    click.echo("\n".join(line for each in items for line in delivery_lines(each)))


@deliveries.command(
    epilog=examples(
        "atomos deliveries retry --message 0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e --recipient shop.notify",
        "atomos deliveries retry --recipient allocation.warn_buyers --error Timeout",
        "atomos deliveries retry --recipient allocation.warn_buyers --error Timeout --yes",
    )
)
@_decision(*_RETRIABLE)
@as_json
@click.pass_obj
def retry(app: str | None, /, *, as_json: bool, **given: Any) -> None:
    """Take dead and parked deliveries back to ready.

    In the order in which they were recorded, as if they had never been tried. Without --yes, more than one is a dry
    run: it says how many there are. Doing it twice at once does no harm.
    """
    with opened(app) as atomos:
        control = atomos.container.core.control()
        _change(atomos, "retried", given, as_json, lambda asked: control.retry(asked, given["by"]))


@deliveries.command(
    epilog=examples(
        "atomos deliveries discard --message 0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e --why 'told by phone'",
        "atomos deliveries discard --recipient shop.old --status ready --why 'retired' --yes",
    )
)
@click.option("--why", type=Reason(), required=True, help="The reason; it is noted.")
@_decision(*_LIVE, *_RETRIABLE)
@as_json
@click.pass_obj
def discard(app: str | None, /, *, why: str, as_json: bool, **given: Any) -> None:
    """Give deliveries up.

    Without --status, dead and parked ones. What a worker holds is left alone. Without --yes, more than one is a dry
    run: it says how many there are.
    """
    with opened(app) as atomos:
        control = atomos.container.core.control()
        _change(atomos, "discarded", given, as_json, lambda asked: control.discard(asked, given["by"], why))


def _change(
    atomos: Atomos,
    said: str,
    given: dict[str, Any],
    as_json: bool,
    change: Callable[[DeliveryFilter], int],
) -> None:
    """Count, and change them if they are one that was named, or if it was said twice."""
    from .telling import deliveries_table, plain

    asked = _filter(given, _RETRIABLE)
    core = atomos.container.core
    count = core.control().count(asked)
    one = count == 1 and asked.message is not None
    if not count and asked.message is not None:
        _refuse(atomos, asked.message, asked.recipient, said)
    if given["dry_run"] or not (one or given["yes"]):
        first = core.inspection().deliveries(asked, _SHOWN_FIRST).items
        if as_json:
            say_json({"dry_run": True, "count": count, "first": plain(first)})
            return
        if count:
            say_table(deliveries_table(first))
        hint = " Say --yes to do it." if count and not given["dry_run"] else ""
        click.echo(f"{count} would be {said}; nothing was changed.{hint}")
        return
    changed = change(asked)
    if as_json:
        say_json({"dry_run": False, "count": changed})
    else:
        click.echo(f"{changed} {said}.")


def _refuse(atomos: Atomos, message: str, recipient: str | None, said: str) -> None:
    from atomos.core.service.operations import Declined

    verdicts = [each for each in found(atomos, message).verdicts if recipient in (None, each.recipient)]
    states = "; ".join(f"{each.recipient}: {each.status}, {each.reasons[0].said}" for each in verdicts)
    raise Declined(f"Nothing of message {message} can be {said}: {states or 'it has no such delivery'}.")


def _filter(given: dict[str, Any], usual: tuple[str, ...]) -> DeliveryFilter:
    from atomos.core.service.operations import DeliveryFilter

    names = ("recipient", "key", "error", "message", "since")
    statuses = tuple(given.get("status") or usual)
    return DeliveryFilter(statuses, **{name: given.get(name) for name in names})
