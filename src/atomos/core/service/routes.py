"""Routes: the tables that map messages to handlers, joined at the root into one flat table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..domain.messages import Command, Event, Message, Query

Target = Callable[..., Any]

RECIPIENT_KINDS = ("trigger", "reaction", "command")
"""The kinds of route that deliveries may be addressed to."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A function in a table, with what a route may say about it.

    `name` is the declared name (None: the function's own), `by` the event's field that order is kept by
    (None: the aggregate's identity), `parks` whether a delivery that failed for good holds its key until
    someone decides.
    """

    function: Target
    name: str | None = None
    by: str | None = None
    parks: bool = False


def named(name: str, listener: Target | Recipient) -> Recipient:
    """Declare a recipient's name, within its context, so that its function may be renamed."""
    return replace(_recipient(listener), name=name)


def by(field_name: str, listener: Target | Recipient) -> Recipient:
    """Keep the order of a recipient's deliveries by a field of the event."""
    return replace(_recipient(listener), by=field_name)


def parks(listener: Target | Recipient) -> Recipient:
    """Let a delivery that failed for good hold its key until someone decides."""
    return replace(_recipient(listener), parks=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """One table of a context; a context may have several. Every entry is optional.

    `triggers`, `projections`, `reactions`: event to functions (a command class is a trigger from fields of the
    same names). `commands`, `queries`: message to its one handler. `records`: command to the events that its
    aggregate may record. `requires`: message to the permission that its sender needs. `ignored`: event to one
    sentence why nobody hears it. `cycles`: (event, command) to one sentence why the circle ends.
    """

    triggers: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    commands: Mapping[type[Command[Any]], Target] = field(default_factory=dict)
    records: Mapping[type[Command[Any]], Sequence[type[Event[Any]]]] = field(default_factory=dict)
    projections: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    reactions: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    queries: Mapping[type[Query[Any]], Target] = field(default_factory=dict)
    requires: Mapping[type[Message], str] = field(default_factory=dict)
    ignored: Mapping[type[Event[Any]], str] = field(default_factory=dict)
    cycles: Mapping[tuple[type[Event[Any]], type[Command[Any]]], str] = field(default_factory=dict)


class Route(NamedTuple):
    """One row of the joined table: `kind` is trigger, command, projection, reaction or query.

    `name` addresses deliveries: `context.function`, or `command:` and the command's wire name.
    """

    kind: str
    context: str
    message: type[Message]
    target: Target
    name: str
    by: str | None = None
    parks: bool = False


@dataclass(frozen=True, slots=True)
class JoinedRoutes:
    """The routes of a whole application: rows, and what is said about messages. Doubles are kept, to be reported."""

    rows: tuple[Route, ...]
    records: Mapping[type[Message], tuple[type[Event[Any]], ...]]
    requires: Mapping[type[Message], str]
    ignored: Mapping[type[Message], str]
    cycles: Mapping[tuple[type[Message], type[Message]], str]

    def of(self, kind: str, message: type[Message]) -> tuple[Route, ...]:
        """Give the rows of one kind for one message, in the order of their tables."""
        return tuple(row for row in self.rows if row.kind == kind and row.message is message)

    def messages(self) -> tuple[type[Message], ...]:
        """Name every message that a table mentions, once, in order of appearance."""
        seen: dict[type[Message], None] = {}
        for row in self.rows:
            seen.setdefault(row.message)
            if isinstance(row.target, type) and issubclass(row.target, Message):
                seen.setdefault(row.target)
        for command, events in self.records.items():
            seen.setdefault(command)
            seen.update(dict.fromkeys(events))
        seen.update(dict.fromkeys([*self.requires, *self.ignored]))
        return tuple(seen)

    def recipients(self) -> dict[str, Route]:
        """Map the name of every recipient of deliveries to its row."""
        return {row.name: row for row in self.rows if row.kind in RECIPIENT_KINDS}


def join(**contexts: Iterable[Routes]) -> JoinedRoutes:
    """Join the tables of all contexts: `join(allocation=[handlers.ROUTES, views.ROUTES])`."""
    tables = [(context, routes) for context, several in contexts.items() for routes in several]
    return JoinedRoutes(
        rows=tuple(row for context, routes in tables for row in _rows(context, routes)),
        records={c: tuple(events) for _, routes in tables for c, events in routes.records.items()},
        requires={message: p for _, routes in tables for message, p in routes.requires.items()},
        ignored={event: why for _, routes in tables for event, why in routes.ignored.items()},
        cycles={pair: why for _, routes in tables for pair, why in routes.cycles.items()},
    )


def _rows(context: str, routes: Routes) -> Iterable[Route]:
    for kind, table in (
        ("trigger", routes.triggers),
        ("projection", routes.projections),
        ("reaction", routes.reactions),
    ):
        for event, listeners in table.items():
            for listener in listeners:
                said = _recipient(listener)
                yield Route(kind, context, event, said.function, _name(context, said), said.by, said.parks)
    for command, handler in routes.commands.items():
        yield Route("command", context, command, handler, f"command:{command.wire_name}")
    for query, handler in routes.queries.items():
        yield Route("query", context, query, handler, f"{context}.{handler.__name__}")


def _name(context: str, said: Recipient) -> str:
    if isinstance(said.function, type) and issubclass(said.function, Message):
        return f"trigger:{said.function.wire_name}"
    return f"{context}.{said.name or said.function.__name__}"


def _recipient(listener: Any) -> Recipient:
    return listener if isinstance(listener, Recipient) else Recipient(listener)
