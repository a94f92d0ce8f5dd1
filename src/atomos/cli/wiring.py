"""`atomos verify`, `routes` and `graph`: the flow, without a database or a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from .application import built, entrypoints_of, permissions_of, prepare_known
from .output import as_json, examples, say_json, say_table

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.service import Finding
    from atomos.core.service.routes import Route


class RouteLine(NamedTuple):
    """One line of `atomos routes`; `url` is empty where no entrypoint takes the message."""

    url: str
    kind: str
    message: str
    handler: str
    place: str
    name: str


@click.command(
    epilog=examples(
        "atomos verify",
        "atomos verify --live",
        "atomos --app shop.container:Shop verify --json",
    )
)
@click.option("--live", is_flag=True, help="Compare this build with what waits in the database, too.")
@as_json
@click.pass_obj
def verify(app: str | None, *, live: bool, as_json: bool) -> None:
    """Check the wiring, and report every mistake.

    Looks at settings, containers, routes, handlers and entrypoints. All mistakes are in one report, each with
    its code, place and remedy; it exits with 1 then. Says what a worker would declare with the broker. Needs no
    database and no broker.

    With --live it looks into the database: which deliveries wait for recipients that this build does not have, or
    for one that can read their messages. Run it with a new build before the old one is stopped.
    """
    from atomos.core.service import WiringError

    atomos, findings = _verified(app)
    if live and atomos is not None and not findings:
        findings = _misfitting(atomos)
    if as_json:
        say_json([_told(finding) for finding in findings])
    elif findings:
        click.echo("\n\n".join(map(str, findings)) if _is_live(findings) else str(WiringError(findings)))
    elif atomos is not None:
        stored = ", and all that waits fits this build" if live else ""
        click.echo(f"{_counted(atomos)}: the wiring is whole{stored}")
        if declares := _declares(atomos):
            click.echo("\n".join(["", *declares]))
        if unknown := _unknown_permissions(atomos):
            known = ", ".join(sorted(permissions_of(atomos)))
            click.echo(
                f"\nbroker.permissions names what nothing here requires: {unknown}. There are {known}."
            )
    if findings:
        raise click.exceptions.Exit(1)


@click.command(
    epilog=examples(
        "atomos routes",
        "atomos routes | grep POST",
        "atomos routes --json | jq -r '.[] | select(.kind == \"reaction\") | .name'",
    )
)
@as_json
@click.pass_obj
def routes(app: str | None, *, as_json: bool) -> None:
    """List who handles which message, and where.

    The columns are URL, kind, message, handler, and where that is written. A URL is in front of whoever hears
    what it emits, or answers what it asks. A trigger that is a command's class is filled from the event's
    fields of the same names. A schedule's handler is its name, with its cron text and time zone.
    """
    lines = route_lines(built(app))
    if as_json:
        say_json([line._asdict() for line in lines])
    elif lines:
        say_table([line[:5] for line in lines])


@click.command(
    epilog=examples(
        "atomos graph",
        "atomos graph --format mermaid > docs/flow.mmd",
        "atomos graph --format json | diff docs/flow.json -",
    )
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "mermaid"]),
    default="text",
    show_default=True,
    help="Trees for people, data for programs, a flowchart for documents.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.pass_obj
def graph(app: str | None, *, form: str) -> None:
    """Draw the verified flow, from entrypoints to reactions.

    Entrypoint, event, trigger, command, recorded event, projection and reaction: who leads to whom. The JSON
    is sorted and has no line numbers: it changes when the flow does, and only then. Keep it in the
    repository, and CI shows what a change does to the flow.
    """
    from atomos.core.service.graph import as_json, as_mermaid, as_text, graph_of

    write = {"text": as_text, "json": as_json, "mermaid": as_mermaid}[form]
    atomos = built(app)
    click.echo(write(graph_of(atomos.bus.flow.routes, entrypoints_of(atomos))))


def route_lines(atomos: Atomos) -> list[RouteLine]:
    """List the routes: first those with a URL or a topic that is read, then the others, as in the tables."""
    from atomos.core.service.graph import Entrypoint
    from atomos.core.service.injection import place_of

    routes = atomos.bus.flow.routes
    rows = [row for row in routes.rows if row.kind != "subscription"]
    read = [(topic, row) for topic, several in routes.subscriptions().items() for row in several]
    entries = [
        *entrypoints_of(atomos),
        *(Entrypoint(f"topic {topic}", row.message, "") for topic, row in read),
    ]
    taken = {each.message for each in entries}
    found = [(each.name, row) for each in entries for row in rows if row.message is each.message]
    found += [("", row) for row in rows if row.message not in taken]
    found += [("", row) for row in atomos.bus.flow.routes.ticking()]
    return [
        RouteLine(
            url=url,
            kind=row.kind,
            message=row.message.wire_name,
            handler=_handler(atomos, row),
            place=place_of(row.written).partition(" ")[0],
            name=row.name,
        )
        for url, row in found
    ]


def _handler(atomos: Atomos, row: Route) -> str:
    if row.kind != "schedule":
        return row.title
    name = row.name.partition(":")[2]
    schedule = atomos.bus.flow.routes.schedules[name]
    return f"{name} ({schedule.cron}, {schedule.zone})"


def _verified(app: str | None) -> tuple[Atomos | None, list[Finding]]:
    from atomos.bootstrap import Atomos, find_container, load_settings
    from atomos.core.service import Finding, WiringError
    from atomos.settings import SettingsError

    container = find_container(app)
    try:
        atomos = Atomos(container, load_settings(container))
    except WiringError as error:
        return None, sorted(error.findings)
    except SettingsError as error:
        return None, sorted(Finding("ATM050", each.source, str(each)) for each in error.mistakes)
    return atomos, sorted(_unrouted(atomos))


def _misfitting(atomos: Atomos) -> list[Finding]:
    from atomos.core.service import Finding

    core = atomos.container.core
    recipients = atomos.bus.flow.routes.recipients().keys()
    try:
        prepare_known(atomos)
        misfits = core.inspection().misfits(recipients, core.codec().reads)
    finally:
        atomos.close()
    return [Finding("ATM056", f"{each.kind} {each.name}", each.said) for each in misfits]


def _declares(atomos: Atomos) -> list[str]:
    if not atomos.uses_broker:
        return []
    said = [f"  {line}" for line in atomos.container.core.broker().explain(atomos.topology)]
    if atomos.settings.broker.declare:
        return ["With the broker it declares, where it is not there:", *said]
    return ["With the broker it declares nothing (broker.declare is false). There has to be:", *said]


def _unknown_permissions(atomos: Atomos) -> str:
    # No mistake of this build: the next one may have what requires it.
    known = permissions_of(atomos)
    return ", ".join(each for each in atomos.settings.broker.permissions or () if each not in known)


def _is_live(findings: list[Finding]) -> bool:
    return findings[0].code == "ATM056"


def _unrouted(atomos: Atomos) -> list[Finding]:
    from atomos.core.service import Finding

    routed = frozenset(atomos.bus.flow.routes.messages())
    return [
        Finding(
            "ATM037",
            each.place,
            f"takes {each.message.__name__}, which no table of this application mentions",
        )
        for each in entrypoints_of(atomos)
        if each.message not in routed
    ]


def _counted(atomos: Atomos) -> str:
    joined = atomos.bus.flow.routes
    functions = {row.target for row in joined.rows if not isinstance(row.target, (type, str))}
    counts = {
        "entrypoints": entrypoints_of(atomos),
        "messages": joined.messages(),
        "handlers": functions,
        "recipients": joined.recipients(),
    }
    return ", ".join(f"{len(counted)} {what}" for what, counted in counts.items())


def _told(finding: Finding) -> dict[str, str]:
    from atomos.core.service import REGISTRY

    entry = REGISTRY[finding.code]
    return {**finding._asdict(), "title": entry.title, "remedy": entry.remedy}
