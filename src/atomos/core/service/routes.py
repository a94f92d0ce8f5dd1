"""Routes: the tables that map messages to handlers, joined at the root into one flat table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..domain.messages import Command, Event, Message, Query

Target = Callable[..., Any]

_SAID_ONCE = ("records", "requires", "ignored", "cycles")

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

    `triggers`, `projections`, `reactions`: event to functions (a command class is a trigger from fields of
    the same names). `commands`, `queries`: message to its one handler. `records`: command to the events that
    its aggregate may record. `requires`: message to the permission that its sender needs. `ignored`: event to
    one sentence why nobody hears it. `cycles`: an event and the command that it triggers, or the event that a
    reaction to it returns, to one sentence why the circle ends.
    """

    triggers: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    commands: Mapping[type[Command[Any]], Target] = field(default_factory=dict)
    records: Mapping[type[Command[Any]], Sequence[type[Event[Any]]]] = field(default_factory=dict)
    projections: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    reactions: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    queries: Mapping[type[Query[Any]], Target] = field(default_factory=dict)
    requires: Mapping[type[Message], str] = field(default_factory=dict)
    ignored: Mapping[type[Event[Any]], str] = field(default_factory=dict)
    cycles: Mapping[tuple[type[Event[Any]], type[Message]], str] = field(default_factory=dict)


class Route(NamedTuple):
    """One row of the joined table: `kind` is trigger, command, projection, reaction or query.

    `name` addresses deliveries: `context.function`, `command:` and the command's wire name, or `trigger:` and
    the wire names of the event and of the command that is made from its fields.
    """

    kind: str
    context: str
    message: type[Message]
    target: Target
    name: str
    by: str | None = None
    parks: bool = False


class Double(NamedTuple):
    """What two tables said of one message: the entry's name (`records`), its key, and both contexts."""

    entry: str
    key: Any
    contexts: tuple[str, str]


@dataclass(frozen=True, slots=True)
class JoinedRoutes:
    """The routes of a whole application: rows, and what is said about messages.

    Two handlers of one message are two rows; `doubles` are other entries that two tables have. The boot check
    reports both.
    """

    rows: tuple[Route, ...]
    records: Mapping[type[Message], tuple[type[Event[Any]], ...]]
    requires: Mapping[type[Message], str]
    ignored: Mapping[type[Message], str]
    cycles: Mapping[tuple[type[Message], type[Message]], str]
    doubles: tuple[Double, ...] = ()

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
    joined: dict[str, dict[Any, Any]] = {entry: {} for entry in _SAID_ONCE}
    first: dict[tuple[str, Any], str] = {}
    doubles = []
    for context, routes in tables:
        for entry, known in joined.items():
            for key, said in getattr(routes, entry).items():
                if key in known:
                    doubles.append(Double(entry, key, (first[entry, key], context)))
                first.setdefault((entry, key), context)
                known.setdefault(key, said)
    joined["records"] = {command: tuple(events) for command, events in joined["records"].items()}
    rows = tuple(row for context, routes in tables for row in _rows(context, routes))
    return JoinedRoutes(rows, **joined, doubles=tuple(doubles))


def _rows(context: str, routes: Routes) -> Iterable[Route]:
    for kind, table in (
        ("trigger", routes.triggers),
        ("projection", routes.projections),
        ("reaction", routes.reactions),
    ):
        for event, listeners in table.items():
            for listener in listeners:
                said = _recipient(listener)
                name = _name(context, event, said)
                yield Route(kind, context, event, said.function, name, said.by, said.parks)
    for command, handler in routes.commands.items():
        yield Route("command", context, command, handler, f"command:{_title(command)}")
    for query, handler in routes.queries.items():
        yield Route("query", context, query, handler, f"{context}.{_title(handler)}")


def _name(context: str, event: type[Message], said: Recipient) -> str:
    if said.name is None and isinstance(said.function, type):
        # With the event: the same command may be made from the fields of another one.
        return f"trigger:{_title(event)}:{_title(said.function)}"
    return f"{context}.{said.name or _title(said.function)}"


def _title(said: Any) -> str:
    # An entry may hold anything; what is wrong with it is for the boot check to say.
    return str(getattr(said, "wire_name", "") or getattr(said, "__name__", repr(said)))


def _recipient(listener: Any) -> Recipient:
    return listener if isinstance(listener, Recipient) else Recipient(listener)
