"""The verified flow as plain data: from entrypoints through events and commands to all who hear of it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..domain.messages import Command, Event, Message, Query
from .injection import classes_in, place_of, signature_of
from .plans import commands_of
from .routes import JoinedRoutes, Route, topic_of

Step = tuple["Node", str, "Node"]
"""One node leads to another, by a verb."""

_KINDS = {"event": Event, "command": Command, "query": Query}
_SHAPES = {
    "entrypoint": '>"{}"]',
    "event": '("{}")',
    "trigger": '{{{{"{}"}}}}',
    "command": '["{}"]',
    "query": '["{}"]',
    "projection": '[("{}")]',
    "reaction": '[/"{}"/]',
    "schedule": '(["{}"])',
    "topic": '[\\"{}"\\]',
}
_LISTENERS = ("trigger", "projection", "reaction", "topic")
_IN_MERMAID = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;"}


class Entrypoint(NamedTuple):
    """Where a message comes in: `name` is what people call it (`POST /orders`), `place` is its view."""

    name: str
    message: type[Message]
    place: str


class Node(NamedTuple):
    """One thing in the flow.

    `kind` is entrypoint, schedule, topic, event, trigger, command, query, projection or reaction. `name` is stable:
    the wire name, the recipient's name, or the entrypoint's, schedule's or topic's; `title` is the class or function,
    where there is one. `place` is the file and
    function, without a line, so that two builds can be compared; of a command or query it is the handler's.
    `permission` is what the message requires, None for nothing.
    """

    kind: str
    name: str
    title: str
    place: str
    permission: str | None = None

    @property
    def id(self) -> str:
        """Tell it from every other node: `event:allocation.allocated`."""
        return f"{self.kind}:{self.name}"


class Edge(NamedTuple):
    """One node leads to another.

    `verb` is emits, asks, brings, triggers, decides, records, projects, reacts, publishes or returns.
    """

    source: str
    verb: str
    target: str


class Graph:
    """The flow of a whole application: nodes by id and edges, both in the order of the tables."""

    def __init__(self, nodes: Iterable[Node], steps: Iterable[Step]) -> None:
        self.nodes: dict[str, Node] = {node.id: node for node in nodes}
        edges: dict[Edge, None] = {}
        for source, verb, target in steps:
            self.nodes.setdefault(source.id, source)
            self.nodes.setdefault(target.id, target)
            edges[Edge(source.id, verb, target.id)] = None
        self.edges = tuple(edges)
        self._after: dict[str, list[Edge]] = defaultdict(list)
        self._before: dict[str, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            self._after[edge.source].append(edge)
            self._before[edge.target].append(edge)

    def after(self, node: str) -> tuple[Edge, ...]:
        """Give what a node leads to."""
        return tuple(self._after.get(node, ()))

    def before(self, node: str) -> tuple[Edge, ...]:
        """Give what leads to a node."""
        return tuple(self._before.get(node, ()))

    def entrypoints_to(self, node: str) -> tuple[Node, ...]:
        """Find the entrypoints from which a node can be reached, in the order of the tables."""
        reached, waiting = {node}, [node]
        while waiting:
            found = {edge.source for edge in self.before(waiting.pop())} - reached
            reached |= found
            waiting += found
        return tuple(each for each in self.nodes.values() if each.kind == "entrypoint" and each.id in reached)


def graph_of(routes: JoinedRoutes, entrypoints: Iterable[Entrypoint] = ()) -> Graph:
    """Make the graph of checked routes; `entrypoints` says where their messages come in."""
    said, entries = _Nodes(routes), tuple(entrypoints)
    nodes = [*map(_entry, entries), *map(said.message, routes.messages())]
    rows = (step for row in routes.rows for step in _steps(said, row))
    steps = [*_entries(said, entries), *_ticks(said), *rows]
    return Graph(nodes, steps)


def as_json(graph: Graph) -> str:
    """Write a graph as JSON that only changes when the flow does: sorted, and without line numbers."""
    nodes = [{"id": node.id, **node._asdict()} for node in sorted(graph.nodes.values())]
    edges = [edge._asdict() for edge in sorted(graph.edges)]
    return json.dumps({"nodes": nodes, "edges": edges}, indent=2, sort_keys=True)


def as_mermaid(graph: Graph) -> str:
    """Write a graph as a Mermaid flowchart."""
    short = {id_: f"n{number}" for number, id_ in enumerate(sorted(graph.nodes))}
    nodes = [f"  {short[id_]}{_shape(graph.nodes[id_])}" for id_ in short]
    edges = [f"  {short[e.source]} -->|{e.verb}| {short[e.target]}" for e in sorted(graph.edges)]
    return "\n".join(["flowchart LR", *nodes, *edges])


def as_text(graph: Graph) -> str:
    """Write a graph as trees, one for each entrypoint and for each message that no other node leads to.

    What was written out before is only named, with `...` behind it.
    """
    written: set[str] = set()
    roots = [node for node in graph.nodes.values() if not graph.before(node.id)]
    # A circle that nothing leads to has no first node; it begins where the tables do.
    trees = [_tree(graph, each, "", 0, written) for each in (*roots, *graph.nodes.values())]
    return "\n\n".join("\n".join(lines) for lines in map(list, trees) if lines)


class _Nodes:
    """Makes the nodes of messages and of the functions that hear them, each once: reading source is slow."""

    def __init__(self, routes: JoinedRoutes) -> None:
        self.routes = routes
        self._made: dict[object, Node] = {}

    def message(self, message: type[Message]) -> Node:
        if message not in self._made:
            kind = next(name for name, cls in _KINDS.items() if issubclass(message, cls))
            handlers = self.routes.of(kind, message)
            place = _place(handlers[0].target if handlers else message)
            permission = self.routes.requires.get(message) or None
            self._made[message] = Node(kind, message.wire_name, message.__name__, place, permission)
        return self._made[message]

    def listener(self, row: Route) -> Node:
        if row not in self._made:
            self._made[row] = Node(row.kind, row.name, row.target.__name__, _place(row.target))
        return self._made[row]


def _entries(said: _Nodes, entrypoints: Iterable[Entrypoint]) -> Iterator[Step]:
    for each in entrypoints:
        yield _entry(each), "emits" if issubclass(each.message, Event) else "asks", said.message(each.message)


def _entry(entrypoint: Entrypoint) -> Node:
    return Node("entrypoint", entrypoint.name, entrypoint.name, _without_line(entrypoint.place))


def _topic(name: str) -> Node:
    # What is published to it, and what it brings to somebody else, is one topic in the whole system.
    return Node("topic", name, name, "")


def _ticks(said: _Nodes) -> Iterator[Step]:
    for name, row in zip(said.routes.schedules, said.routes.ticking(), strict=True):
        yield Node("schedule", name, name, _place(row.target)), "emits", said.message(row.message)


def _steps(said: _Nodes, row: Route) -> Iterator[Step]:
    heard = said.message(row.message)
    if row.kind == "trigger" and isinstance(row.target, type):
        yield heard, "triggers", said.message(row.target)
    elif row.kind == "trigger":
        yield heard, "triggers", said.listener(row)
        for command in commands_of(row):
            yield said.listener(row), "decides", said.message(command)
    elif row.kind == "projection":
        yield heard, "projects", said.listener(row)
    elif row.kind == "reaction":
        yield heard, "reacts", said.listener(row)
        for event in classes_in(signature_of(row.target).returns, Event):
            yield said.listener(row), "returns", said.message(event)
    elif row.kind == "topic":
        yield heard, "publishes", _topic(row.title)
    elif row.kind == "subscription":
        yield _topic(topic_of(row.name)), "brings", heard
    elif row.kind == "command":
        for event in said.routes.records.get(row.message, ()):
            yield heard, "records", said.message(event)


def _tree(graph: Graph, node: Node, verb: str, depth: int, written: set[str]) -> Iterator[str]:
    if node.id in written:
        if depth:
            yield _line(node, verb, depth) + (" ..." if graph.after(node.id) else "")
        return
    written.add(node.id)
    yield _line(node, verb, depth)
    for edge in graph.after(node.id):
        yield from _tree(graph, graph.nodes[edge.target], edge.verb, depth + 1, written)


def _line(node: Node, verb: str, depth: int) -> str:
    said = "" if node.kind == "entrypoint" else node.kind if node.kind in _LISTENERS else verb or node.kind
    by = f"-> {node.place.partition(' ')[2]}" if node.kind in ("command", "query") else ""
    requires = f"[{node.permission}]" if node.permission else ""
    return "  " * depth + " ".join(part for part in (said, node.title, by, requires) if part)


def _shape(node: Node) -> str:
    label = "".join(_IN_MERMAID.get(character, character) for character in node.title)
    return _SHAPES[node.kind].format(label)


def _place(target: object) -> str:
    return _without_line(place_of(target))  # type: ignore[arg-type]


def _without_line(place: str) -> str:
    return re.sub(r":[0-9]+ ", " ", place, count=1)
