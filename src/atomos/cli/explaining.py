"""`atomos explain`: all that is known of one handler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .application import built, entrypoints_of, not_found
from .output import as_json, examples, say_json

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.domain import Message
    from atomos.core.service.graph import Graph
    from atomos.core.service.routes import JoinedRoutes, Route

Story = dict[str, Any]
"""What is known of one handler: titles, each with a text, or a list of texts or of parameters."""

_HEADING = ("handler", "kind")


@click.command(
    epilog=examples(
        "atomos explain warn_buyers",
        "atomos explain allocation.allocate",
        "atomos explain command:allocation.allocate --json",
    )
)
@click.argument("handler")
@as_json
@click.pass_obj
def explain(app: str | None, handler: str, *, as_json: bool) -> None:
    """Say all that is known of a handler.

    What it hears, what it is given and from where, what it records, who hears that, and which entrypoints
    lead to it. HANDLER is a function (`warn_buyers`), a recipient (`allocation.warn_buyers`), or a message,
    by wire name or class (`allocation.allocate`, `Allocate`); a message tells of everyone who hears it.
    """
    atomos = built(app)
    stories = [story_of(atomos, rows) for rows in _matching(atomos.bus.flow.routes, handler)]
    if as_json:
        say_json(stories)
    else:
        click.echo("\n\n".join("\n".join(_lines(story)) for story in stories))


def story_of(atomos: Atomos, rows: list[Route]) -> Story:
    """Tell of one handler, whose rows differ in the message alone."""
    from atomos.core.service.graph import graph_of
    from atomos.core.service.injection import place_of
    from atomos.core.service.routes import RECIPIENT_KINDS

    row, routes = rows[0], atomos.bus.flow.routes
    flow = graph_of(routes, entrypoints_of(atomos))
    story = {
        "handler": row.title,
        "kind": row.kind,
        "says": (row.written.__doc__ or "").strip().partition("\n")[0],
        "place": place_of(row.written).partition(" ")[0],
        "hears": [_message(each.message) for each in rows],
        "requires": [routes.requires[each.message] for each in rows if routes.requires.get(each.message)],
        "answers": _answer(row),
        "given": list(_given(atomos, row)),
        "leads to": [line for each in rows for line in _consequences(flow, routes, each)],
        "comes from": list(dict.fromkeys(line for each in rows for line in _origins(flow, each))),
        "recipient": row.name if row.kind in RECIPIENT_KINDS else None,
        "delivered": _delivered(row),
    }
    return {title: said for title, said in story.items() if said}


def _matching(routes: JoinedRoutes, name: str) -> list[list[Route]]:
    found: dict[Any, list[Route]] = {}
    known: set[str] = set()
    for row in routes.rows:
        names = {row.name, row.title, row.message.wire_name, row.message.__name__}
        known |= names
        if name in names:
            found.setdefault((row.kind, row.target), []).append(row)
    if not found:
        raise not_found("handler, recipient or message", name, known)
    return list(found.values())


def _given(atomos: Atomos, row: Route) -> Iterator[dict[str, str]]:
    from atomos.core.container import offers_of
    from atomos.core.service.injection import signature_of
    from atomos.core.service.plans import shared_fields

    if row.kind in ("topic", "subscription"):
        return
    if isinstance(row.target, type):
        for field in shared_fields(row.message, row.target):
            yield {"name": field, "from": f"the field of {row.message.__name__}"}
        return
    offers = offers_of(getattr(atomos.container, row.context)())
    for name, annotation in signature_of(row.target).collaborators.items():
        makes = offers[name].makes
        made = {"makes": makes.__name__} if makes else {}
        yield {"name": name, "wants": _shown(annotation), "from": f"{row.context}.{name}", **made}


def _consequences(flow: Graph, routes: JoinedRoutes, row: Route) -> Iterator[str]:
    from atomos.core.service.graph import Edge

    ignored = {event.wire_name: why for event, why in routes.ignored.items()}
    edges = flow.after(_node(row))
    if isinstance(row.target, type) and row.kind == "trigger":
        edges = (Edge("", "triggers", _node(row)),)
    for edge in edges:
        target = flow.nodes[edge.target]
        hearing = (
            [flow.nodes[each.target] for each in flow.after(edge.target)] if target.kind == "event" else []
        )
        heard = ", ".join(f"{each.kind} {each.title}" for each in hearing)
        by = (
            f", heard by {heard}"
            if heard
            else f", ignored: {ignored[target.name]}"
            if target.name in ignored
            else ""
        )
        yield f"{edge.verb} {target.title}{by}"


def _origins(flow: Graph, row: Route) -> Iterator[str]:
    for entry in flow.entrypoints_to(_node(row)):
        for edge in flow.after(entry.id):
            message = flow.nodes[edge.target]
            requires = f", which requires {message.permission}" if message.permission else ""
            yield f"{entry.title} {edge.verb} {message.title}{requires}"


def _node(row: Route) -> str:
    from atomos.core.service.routes import topic_of

    if row.kind in ("command", "query"):
        return f"{row.kind}:{row.message.wire_name}"
    if row.kind in ("topic", "subscription"):
        return f"topic:{topic_of(row.name)}"
    command: Any = row.target
    return f"command:{command.wire_name}" if isinstance(row.target, type) else f"{row.kind}:{row.name}"


def _delivered(row: Route) -> str | None:
    if row.kind not in ("trigger", "reaction", "topic"):
        return None
    order = f"in the order of {row.by}" if row.by else "in the order of its aggregate"
    return f"{order}; after the last try it {'holds up its key' if row.parks else 'goes on with the next'}"


def _answer(row: Route) -> str | None:
    from atomos.core.domain.messages import answer_of

    return _shown(answer_of(row.message)) if row.kind in ("command", "query") else None


def _message(message: type[Message]) -> str:
    return f"{message.__name__} ({message.wire_name}, version {message.wire_version})"


def _shown(annotation: Any) -> str:
    from atomos.core.service.injection import members

    # Modules are left out: `atomos.core.domain.messages.Page[...]` is a Page to whoever reads this.
    texts = (each.__name__ if type(each) is type else str(each) for each in members(annotation))
    return " | ".join(sorted(re.sub(r"\b\w+\.|^<class '|'>$", "", text) for text in texts)).replace(
        "NoneType", "None"
    )


def _lines(story: Story) -> Iterator[str]:
    yield " ".join((story["handler"], f"({story['kind']})"))
    for title, said in story.items():
        if title not in _HEADING:
            for number, each in enumerate([said] if isinstance(said, str) else said):
                line = each if isinstance(each, str) else _parameter(**each)
                yield f"  {'' if number else title:<12}{line}"


def _parameter(*, name: str, wants: str = "", makes: str = "", **more: str) -> str:
    wanted = f": {wants}" if wants else ""
    made = f", which makes {makes}" if makes else ""
    return f"{name}{wanted} from {more['from']}{made}"
