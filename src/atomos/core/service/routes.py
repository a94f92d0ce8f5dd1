"""Routes: the tables that map messages to handlers, joined at the root into one flat table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..domain.messages import Command, Event, Message, Query
from .messaging import NotRouted, TooLarge
from .retry import NO_POLICY, Backoff, ErrorRule, Policy
from .schedules import Schedule, declaration, recipient_of
from .translating import Translation

Target = Callable[..., Any]

Topic = str
"""What `publishes` maps to, and `subscribes` from: a name such as `allocation.line-allocated`."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the stored fields of one version of a message into those of the next."""

_LISTS = ("triggers", "records", "projections", "reactions")
_SAID_ONCE = ("records", "requires", "ignored", "cycles", "schedules", "upcasts")

# A schedule that gave up would tick no more, also when the next build has mended what was wrong.
_TICK_ON = Policy(rules=(ErrorRule(Exception, Backoff(attempts=1_000_000_000)),))

RECIPIENT_KINDS = ("trigger", "reaction", "command", "topic", "subscription")
"""The kinds of row that deliveries may be addressed to; schedules are recipients too."""

# A message that is too large will not be taken the next time either. One that no queue was there for is tried again
# for some seconds: a server that came back empty has its queues when those who read have noticed.
_OF_TOPICS = (ErrorRule(TooLarge, None), ErrorRule(NotRouted, Backoff(attempts=5, first=1.0, cap=4.0)))
# What could not be read will not read itself: someone retries it when the build, or what it knows, is another.
_READ_ONCE = Policy(rules=(ErrorRule(Exception, None),))


@dataclass(frozen=True, slots=True)
class Recipient:
    """A function, or the name of a topic, in a table, with what a route may say about it.

    `name` is the declared name (None: the function's own), `by` the event's field that order is kept by
    (None: the aggregate's identity), `parks` whether a delivery that failed for good holds its key until
    someone decides (None: a topic's does, others do not), `policy` how it is tried again and within which limits.
    """

    function: Any
    name: str | None = None
    by: str | None = None
    parks: bool | None = None
    policy: Policy = NO_POLICY


def named(name: str, listener: Target | Topic | Recipient) -> Recipient:
    """Declare a recipient's name, within its context, so that its function may be renamed."""
    return replace(_recipient(listener), name=name)


def by(field_name: str, listener: Target | Topic | Recipient) -> Recipient:
    """Keep the order of a recipient's deliveries by a field of the event."""
    return replace(_recipient(listener), by=field_name)


def parks(listener: Target | Topic | Recipient) -> Recipient:
    """Let a delivery that failed for good hold its key until someone decides."""
    return replace(_recipient(listener), parks=True)


def goes_on(listener: Target | Topic | Recipient) -> Recipient:
    """Let the next delivery of a key follow one that failed for good, for a topic too: that one is dead then."""
    return replace(_recipient(listener), parks=False)


def in_step(topic: Topic | Recipient) -> Recipient:
    """Publish of each key one message at a time: the next one when the broker has confirmed the one before.

    So a refusal in the middle of a batch reorders nothing on the wire; it costs a round trip for each message of a
    key that is in the batch.
    """
    return _with_policy(topic, in_step=True)


def optional(topic: Topic | Recipient) -> Recipient:
    """Publish for whoever may subscribe: what comes before anyone ever did is dropped, and is no error."""
    return _with_policy(topic, optional=True)


def retries(
    backoff: Backoff,
    listener: Target | Topic | Recipient,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = Exception,
) -> Recipient:
    """Say how a delivery is tried again after an error of some kind; by default after any, domain errors too.

    Of several, the outermost whose kind fits counts: `retries(Backoff(3), retries(Backoff(50), f), on=Refused)`.
    """
    return _with_rule(ErrorRule(on, backoff), listener)


def gives_up(
    on: type[Exception] | tuple[type[Exception], ...], listener: Target | Topic | Recipient
) -> Recipient:
    """Let an error of this kind be final at once, as domain errors are by default."""
    return _with_rule(ErrorRule(on, None), listener)


def quickly(times: int, listener: Target | Topic | Recipient) -> Recipient:
    """Try so often in place, within a tenth of a second, what met a `Conflict` or was `Unavailable`; zero: never.

    These count no attempt. The default is what the worker's settings say.
    """
    return _with_policy(listener, quickly=times)


def at_once(most: int, listener: Target | Topic | Recipient) -> Recipient:
    """Let at most so many deliveries be in hand at once, in the whole installation."""
    return _with_policy(listener, at_once=most)


def within(seconds: float, listener: Target | Topic | Recipient) -> Recipient:
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
    publishes: Mapping[type[Event[Any]], str | Recipient] = field(default_factory=dict)
    subscribes: Mapping[str, type[Event[Any]] | Translation | Sequence[Any]] = field(default_factory=dict)
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
    """One row of the joined table: `kind` is one of `RECIPIENT_KINDS`, projection, query or schedule.

    `name` addresses deliveries: `context.function`, `command:` and the command's wire name, `trigger:` and
    the wire names of the event and of the command that is made from its fields, `schedule:` and its name, or
    `topic:` and `subscription:` with the topic, which is the `target` then; of a subscription the `target` is the
    event's class, or a `Translation`. `flaws` say what is wrong with what the table says of it.
    """

    kind: str
    context: str
    message: type[Message]
    target: Any
    name: str
    by: str | None = None
    parks: bool = False
    policy: Policy = NO_POLICY
    flaws: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What people call what it maps to: the function, the class, or the topic."""
        return _title(self.target)

    @property
    def written(self) -> Any:
        """What it maps to as code: the function or class; of a topic, which has none, the event."""
        if isinstance(self.target, Translation):
            return self.target.function
        return self.message if isinstance(self.target, str) else self.target


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

    def topics(self) -> tuple[str, ...]:
        """Name the topics that are published to, sorted."""
        return tuple(sorted({str(row.target) for row in self.rows if row.kind == "topic"}))

    def subscriptions(self) -> dict[str, tuple[Route, ...]]:
        """Map each topic that is read to its rows, one for each event that it brings."""
        found: dict[str, tuple[Route, ...]] = {}
        for row in self.rows:
            if row.kind == "subscription":
                topic = topic_of(row.name)
                found[topic] = (*found.get(topic, ()), row)
        return found

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


def topic_recipient(topic: str) -> str:
    """Name the recipient of what is published to a topic."""
    return f"topic:{topic}"


def subscription_recipient(topic: str) -> str:
    """Name the recipient of what was read from a topic and could not be understood."""
    return f"subscription:{topic}"


def topic_of(recipient: str) -> str:
    """Give the topic of such a recipient."""
    return recipient.partition(":")[2]


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
    for event, topic in routes.publishes.items():
        said = _recipient(topic)
        yield _route("topic", context, event, said, topic_recipient(_title(said.function)))
    for name, events in routes.subscribes.items():
        listed: Sequence[Any] = events if isinstance(events, (list, tuple)) else (events,)
        for each in listed:
            brought: Any = each.event if isinstance(each, Translation) else each
            read = Recipient(each, parks=True, policy=_READ_ONCE)
            yield _route("subscription", context, brought, read, subscription_recipient(name))


def _route(kind: str, context: str, message: type[Message], said: Recipient, name: str) -> Route:
    flaws = tuple(_flaws(kind, said))
    parks, policy = said.parks, said.policy
    if kind == "topic":
        parks = parks is not False
        policy = policy._replace(rules=(*policy.rules, *_OF_TOPICS))
    return Route(kind, context, message, said.function, name, said.by, bool(parks), policy, flaws)


def _flaws(kind: str, said: Recipient) -> Iterable[str]:
    yield from said.policy.flaws()
    if kind == "command" and (said.name is not None or said.by is not None):
        yield "a command's recipient is named after it, and its order is kept by the event that it came from"
    if kind == "topic" and said.name is not None:
        yield "a topic is named where it is published to; `named` is for functions"
    if kind != "topic" and (said.policy.in_step or said.policy.optional):
        yield f"a {kind} is not published to; `in_step` and `optional` are for topics"
    if kind not in RECIPIENT_KINDS and (said.parks or said.policy != NO_POLICY):
        yield f"a {kind} gets no deliveries, so there is nothing to retry, to park or to limit"


def _name(context: str, event: type[Message], said: Recipient) -> str:
    if said.name is None and isinstance(said.function, type):
        # With the event: the same command may be made from the fields of another one.
        return f"trigger:{_title(event)}:{_title(said.function)}"
    return f"{context}.{said.name or _title(said.function)}"


def _title(said: Any) -> str:
    # An entry may hold anything; what is wrong with it is for the boot check to say.
    if isinstance(said, str):
        return said
    said = said.function if isinstance(said, Translation) else said
    return str(getattr(said, "wire_name", "") or getattr(said, "__name__", repr(said)))


def _with_rule(rule: ErrorRule, listener: Target | Topic | Recipient) -> Recipient:
    said = _recipient(listener)
    return replace(said, policy=said.policy._replace(rules=(rule, *said.policy.rules)))


def _with_policy(listener: Target | Topic | Recipient, **said: Any) -> Recipient:
    recipient = _recipient(listener)
    return replace(recipient, policy=recipient.policy._replace(**said))


def _recipient(listener: Any) -> Recipient:
    return listener if isinstance(listener, Recipient) else Recipient(listener)
