"""Routes: the tables that map messages to handlers, joined at the root into one flat table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..domain.messages import Command, Event, Message, Query
from .retry import NO_POLICY, Backoff, ErrorRule, Policy
from .schedules import Schedule, declaration, recipient_of

Target = Callable[..., Any]

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the stored fields of one version of a message into those of the next."""

_LISTS = ("triggers", "records", "projections", "reactions")
_SAID_ONCE = ("records", "requires", "ignored", "cycles", "schedules", "upcasts")

# A schedule that gave up would tick no more, also when the next build has mended what was wrong.
_TICK_ON = Policy(rules=(ErrorRule(Exception, Backoff(attempts=1_000_000_000)),))

RECIPIENT_KINDS = ("trigger", "reaction", "command")
"""The kinds of row that deliveries may be addressed to; schedules are recipients too."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A function in a table, with what a route may say about it.

    `name` is the declared name (None: the function's own), `by` the event's field that order is kept by
    (None: the aggregate's identity), `parks` whether a delivery that failed for good holds its key until
    someone decides, `policy` how it is tried again and within which limits.
    """

    function: Target
    name: str | None = None
    by: str | None = None
    parks: bool = False
    policy: Policy = NO_POLICY


def named(name: str, listener: Target | Recipient) -> Recipient:
    """Declare a recipient's name, within its context, so that its function may be renamed."""
    return replace(_recipient(listener), name=name)


def by(field_name: str, listener: Target | Recipient) -> Recipient:
    """Keep the order of a recipient's deliveries by a field of the event."""
    return replace(_recipient(listener), by=field_name)


def parks(listener: Target | Recipient) -> Recipient:
    """Let a delivery that failed for good hold its key until someone decides."""
    return replace(_recipient(listener), parks=True)


def retries(
    backoff: Backoff,
    listener: Target | Recipient,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = Exception,
) -> Recipient:
    """Say how a delivery is tried again after an error of some kind; by default after any, domain errors too.

    Of several, the outermost whose kind fits counts: `retries(Backoff(3), retries(Backoff(50), f), on=Refused)`.
    """
    return _with_rule(ErrorRule(on, backoff), listener)


def gives_up(on: type[Exception] | tuple[type[Exception], ...], listener: Target | Recipient) -> Recipient:
    """Let an error of this kind be final at once, as domain errors are by default."""
    return _with_rule(ErrorRule(on, None), listener)


def quickly(times: int, listener: Target | Recipient) -> Recipient:
    """Try so often in place, within a tenth of a second, what met a `Conflict` or was `Unavailable`; zero: never.

    These count no attempt. The default is what the worker's settings say.
    """
    return _with_policy(listener, quickly=times)


def at_once(most: int, listener: Target | Recipient) -> Recipient:
    """Let at most so many deliveries be in hand at once, in the whole installation."""
    return _with_policy(listener, at_once=most)


def within(seconds: float, listener: Target | Recipient) -> Recipient:
    """Limit the time of one handling, zero for any time: past it the delivery has failed, and others may try.

    What the handler does to our database later than that does not count. The default is `delivery.limit`.
    """
    return _with_policy(listener, limit=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """One table of a context; a context may have several. Every entry is optional.

    `triggers`, `projections`, `reactions`: event to functions (a command class is a trigger from fields of
    the same names). `commands`, `queries`: message to its one handler; what is said about a command's handler
    (`at_once(2, allocate)`) counts where the worker delivers the command. `records`: command to the events that
    its aggregate may record, and that it may send later. `requires`: message to the permission that its sender
    needs. `ignored`: event to one sentence why nobody hears it. `cycles`: an event and the command that it
    triggers, or the event that a reaction to it returns, to one sentence why the circle ends. `schedules`: a
    name, one in the whole application, to what `every` makes. `upcasts`: a message's wire name and an older
    version to the function that turns its stored fields, as JSON has them, into those of the next version.
    Raises `TypeError` where what should be a list is none.
    """

    triggers: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    commands: Mapping[type[Command[Any]], Target | Recipient] = field(default_factory=dict)
    records: Mapping[type[Command[Any]], Sequence[type[Event[Any]]]] = field(default_factory=dict)
    projections: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    reactions: Mapping[type[Event[Any]], Sequence[Any]] = field(default_factory=dict)
    queries: Mapping[type[Query[Any]], Target] = field(default_factory=dict)
    requires: Mapping[type[Message], str] = field(default_factory=dict)
    ignored: Mapping[type[Event[Any]], str] = field(default_factory=dict)
    cycles: Mapping[tuple[type[Event[Any]], type[Message]], str] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    upcasts: Mapping[tuple[str, int], Upcaster] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse one thing in place of a list of one."""
        for entry in _LISTS:
            for message, listed in getattr(self, entry).items():
                if not isinstance(listed, (list, tuple)):
                    one = _title(listed)
                    raise TypeError(
                        f"{entry}: {_title(message)} has {one}, and needs a list of what it has: [{one}]."
                    )


class Route(NamedTuple):
    """One row of the joined table: `kind` is trigger, command, projection, reaction or query; or schedule.

    `name` addresses deliveries: `context.function`, `command:` and the command's wire name, `trigger:` and
    the wire names of the event and of the command that is made from its fields, or `schedule:` and its name. `flaws`
    say what is wrong with what the table says of it.
    """

    kind: str
    context: str
    message: type[Message]
    target: Target
    name: str
    by: str | None = None
    parks: bool = False
    policy: Policy = NO_POLICY
    flaws: tuple[str, ...] = ()


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
    schedules: Mapping[str, Schedule]
    upcasts: Mapping[tuple[str, int], Upcaster]
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
        """Map the name of every recipient of deliveries to its row; that of a schedule maps from what it emits."""
        rows = (row for row in self.rows if row.kind in RECIPIENT_KINDS)
        return {row.name: row for row in (*rows, *self.ticking())}

    def declarations(self) -> tuple[str, ...]:
        """Write in one line each how the schedules are declared."""
        return tuple(declaration(name, schedule) for name, schedule in self.schedules.items())

    def ticking(self) -> tuple[Route, ...]:
        """Give a row for each schedule: its message is what it emits, its target the event's class or function."""
        return tuple(_ticking(name, schedule) for name, schedule in self.schedules.items())


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


def _ticking(name: str, schedule: Schedule) -> Route:
    target = type(schedule.event) if isinstance(schedule.event, Event) else schedule.event
    name = recipient_of(name)
    return Route("schedule", "", schedule.emits or Event, target, name, policy=_TICK_ON)


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
                yield _route(kind, context, event, said, name)
    for command, handler in routes.commands.items():
        yield _route("command", context, command, _recipient(handler), f"command:{_title(command)}")
    for query, handler in routes.queries.items():
        yield Route("query", context, query, handler, f"{context}.{_title(handler)}")


def _route(kind: str, context: str, message: type[Message], said: Recipient, name: str) -> Route:
    flaws = tuple(_flaws(kind, said))
    return Route(kind, context, message, said.function, name, said.by, said.parks, said.policy, flaws)


def _flaws(kind: str, said: Recipient) -> Iterable[str]:
    yield from said.policy.flaws()
    if kind == "command" and (said.name is not None or said.by is not None):
        yield "a command's recipient is named after it, and its order is kept by the event that it came from"
    if kind not in RECIPIENT_KINDS and (said.parks or said.policy != NO_POLICY):
        yield f"a {kind} gets no deliveries, so there is nothing to retry, to park or to limit"


def _name(context: str, event: type[Message], said: Recipient) -> str:
    if said.name is None and isinstance(said.function, type):
        # With the event: the same command may be made from the fields of another one.
        return f"trigger:{_title(event)}:{_title(said.function)}"
    return f"{context}.{said.name or _title(said.function)}"


def _title(said: Any) -> str:
    # An entry may hold anything; what is wrong with it is for the boot check to say.
    return str(getattr(said, "wire_name", "") or getattr(said, "__name__", repr(said)))


def _with_rule(rule: ErrorRule, listener: Target | Recipient) -> Recipient:
    said = _recipient(listener)
    return replace(said, policy=said.policy._replace(rules=(rule, *said.policy.rules)))


def _with_policy(listener: Target | Recipient, **said: Any) -> Recipient:
    recipient = _recipient(listener)
    return replace(recipient, policy=recipient.policy._replace(**said))


def _recipient(listener: Any) -> Recipient:
    return listener if isinstance(listener, Recipient) else Recipient(listener)
