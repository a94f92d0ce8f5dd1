"""Plans: all that the bus has to know of each message, worked out once from the routes and the offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from ..domain.messages import Command, Event, Message, Query, answer_of
from .checks import check
from .delivery import Delivery
from .diagnostics import WiringError
from .errors import NoRecipient, NoRoute
from .injection import Bound, Offers, classes_in, members, place_of, signature_of
from .ports import HandlingMeter, Meter
from .routes import JoinedRoutes, Route
from .unit_of_work import UnitOfWork

P = TypeVar("P")


class HandlerPlan(NamedTuple):
    """A handler, bound to its collaborators; `records` are the events that its command may cause.

    `begins_at_once`: it is given a unit of work, whose transaction may have begun, and nothing else.
    """

    name: str
    call: Callable[[Message], Any]
    place: str
    meter: HandlingMeter
    permission: str | None = None
    records: frozenset[type[Event[Any]]] = frozenset()
    context: str = ""
    begins_at_once: bool = False


class TriggerPlan(NamedTuple):
    """A trigger: asked about an event, its handler gives commands, in order; `by` is the field that keeps it."""

    name: str
    handler: HandlerPlan
    by: str | None = None

    def key(self, event: Event[Any]) -> str | None:
        """Give the ordering key of what an emitted event triggers; None where the route names no field."""
        return None if self.by is None else key_of(event, self.by)


class EventPlan(NamedTuple):
    """What becomes of an event. `main` is the command that an emitter waits for; None where there is none.

    `reactions`, and topics with them, hear of it however it came; `listeners` are all recipients of one that was
    recorded, sent later, or read from a topic.
    """

    permission: str | None
    triggers: tuple[TriggerPlan, ...]
    main: type[Command[Any]] | None
    answers: bool
    projections: tuple[Bound, ...]
    reactions: tuple[Route, ...]
    listeners: tuple[Route, ...]

    def deliveries(
        self, event: Event[Any], key: str | None, until: datetime | None = None, timer: str | None = None
    ) -> tuple[Delivery, ...]:
        """Address a recorded event, or one sent later, to everyone who must hear of it."""
        return _address(self.listeners, event, key, until, timer)

    def reacting(self, event: Event[Any]) -> tuple[Delivery, ...]:
        """Address an emitted event, whose triggers were asked already, to its reactions."""
        return _address(self.reactions, event, None)


class _Plans(dict[type[Message], P]):
    """Plans by message; one that is in no table raises `NoRoute`, and one of another kind `TypeError`."""

    def __init__(self, plans: Mapping[type[Message], P], verb: str, *kinds: type[Message]) -> None:
        super().__init__(plans)
        self._verb, self._kinds = verb, kinds

    def __missing__(self, message: type[Message]) -> P:
        if not issubclass(message, self._kinds):
            raise TypeError(f"{message.__name__} cannot be {self._verb}: it is no {self._kinds[0].__name__}.")
        raise NoRoute(f"{message.__name__} is in no table of this application.")


class Flow:
    """The plans of a whole application: `events`, `handlers` (of commands and queries), and by recipient."""

    def __init__(self, routes: JoinedRoutes, offers: Mapping[str, Offers], meter: Meter) -> None:
        """Check the wiring and make every plan. Raises `WiringError` with all mistakes."""
        if findings := check(routes, offers):
            raise WiringError(findings)
        self.routes = routes
        self._meter = meter
        self._recipients = routes.recipients()
        planner = _Planner(routes, offers, meter)
        messages = routes.messages()
        events: dict[type[Message], EventPlan] = {
            m: planner.event(m) for m in messages if issubclass(m, Event)
        }
        handlers: dict[type[Message], HandlerPlan] = {
            m: planner.handler(m) for m in messages if issubclass(m, (Command, Query))
        }
        self.events = _Plans(events, "emitted", Event)
        self.handlers = _Plans(handlers, "asked", Query, Command)
        self._reactions = {
            name: planner.bound(row) for name, row in self._recipients.items() if row.kind == "reaction"
        }
        self._triggers = {
            name: planner.trigger(row) for name, row in self._recipients.items() if row.kind == "trigger"
        }

    def event_named(self, wire_name: str) -> EventPlan | None:
        """Give the plan of an event by its wire name; None where this build has no such event."""
        return next((plan for event, plan in self.events.items() if event.wire_name == wire_name), None)

    def recipient(self, name: str) -> Route:
        """Give the route of a recipient. Raises `NoRecipient`."""
        route = self._recipients.get(name)
        if route is None:
            raise NoRecipient(f"{name} has a delivery, and this build has no such recipient.")
        return route

    def reaction(self, name: str) -> HandlerPlan:
        """Give the plan of a reaction, by its recipient's name."""
        return self._reactions[name]

    def trigger(self, name: str) -> TriggerPlan:
        """Give the plan of a trigger, by its recipient's name."""
        return self._triggers[name]

    def meter(self, recipient: str) -> HandlingMeter:
        """Give the meter of a recipient that no function of the bus handles: a topic, or a subscription."""
        return self._meter.of(self.recipient(recipient).kind, recipient)

    def deciding(self) -> frozenset[str]:
        """Name the triggers that give a command each time: by their class, or because they return nothing else."""
        return frozenset(
            name
            for name, row in self._recipients.items()
            if row.kind == "trigger" and (isinstance(row.target, type) or _always_decides(row))
        )


class _Planner:
    """Turns checked routes into plans."""

    def __init__(self, routes: JoinedRoutes, offers: Mapping[str, Offers], meter: Meter) -> None:
        self._routes = routes
        self._offers = offers
        self._meter = meter

    def bound(self, row: Route) -> HandlerPlan:
        offers = self._offers[row.context]
        collaborators = signature_of(row.target).collaborators
        records = frozenset(self._routes.records.get(row.message, ()))
        return HandlerPlan(
            name=row.name,
            call=Bound(row.target, {name: offers[name].make for name in collaborators}),
            place=place_of(row.target),
            meter=self._meter.of(row.kind, row.name),
            permission=self._routes.requires.get(row.message) or None,
            records=records,
            context=row.context,
            begins_at_once=[_may_be_begun(offers[name].makes or each) for name, each in collaborators.items()]
            == [True],
        )

    def handler(self, message: type[Message]) -> HandlerPlan:
        kind = "command" if issubclass(message, Command) else "query"
        return self.bound(self._routes.of(kind, message)[0])

    def event(self, message: type[Event[Any]]) -> EventPlan:
        triggers = self._routes.of("trigger", message)
        reactions = (*self._routes.of("reaction", message), *self._routes.of("topic", message))
        commands = [command for row in triggers for command in commands_of(row)]
        answer = members(answer_of(message))
        answers = answer != members(None)
        giving = (
            [command for command in commands if members(answer_of(command)) == answer]
            if answers
            else commands
        )
        return EventPlan(
            permission=self._routes.requires.get(message) or None,
            triggers=tuple(self.trigger(row) for row in triggers),
            main=giving[0] if giving else None,
            answers=answers,
            projections=tuple(self.bound(row).call for row in self._routes.of("projection", message)),  # type: ignore[misc]
            reactions=reactions,
            listeners=(*triggers, *reactions),
        )

    def trigger(self, row: Route) -> TriggerPlan:
        if isinstance(row.target, type):
            decide = _from_fields(row.message, row.target)
        else:
            decide = lambda event: _listed(row.target(event))  # noqa: E731 - one of two
        meter = self._meter.of(row.kind, row.name)
        return TriggerPlan(row.name, HandlerPlan(row.name, decide, place_of(row.target), meter), row.by)


def commands_of(row: Route) -> tuple[type[Command[Any]], ...]:
    """Say which commands a trigger may return: the class itself, or what its function's annotation names."""
    if isinstance(row.target, type):
        return (row.target,)
    return classes_in(signature_of(row.target).returns, Command)


def _may_be_begun(made: Any) -> bool:
    return isinstance(made, type) and issubclass(made, UnitOfWork) and not made.begins_itself


def _always_decides(row: Route) -> bool:
    returned = members(signature_of(row.target).returns)
    return all(isinstance(each, type) and issubclass(each, Command) for each in returned)


def shared_fields(event: type[Message], command: type[Message]) -> tuple[str, ...]:
    """Name the fields that a command class takes from an event when it is the trigger itself."""
    known = {field.name for field in fields(event)}
    return tuple(field.name for field in fields(command) if field.name in known)


def _from_fields(event: type[Message], command: type[Any]) -> Callable[[Message], tuple[Command[Any], ...]]:
    names = shared_fields(event, command)
    return lambda event: (command(**{name: getattr(event, name) for name in names}),)


def _listed(decided: Command[Any] | Iterable[Command[Any]] | None) -> tuple[Command[Any], ...]:
    if decided is None:
        return ()
    return (decided,) if isinstance(decided, Command) else tuple(decided)


def _address(
    rows: tuple[Route, ...],
    event: Event[Any],
    key: str | None,
    until: datetime | None = None,
    timer: str | None = None,
) -> tuple[Delivery, ...]:
    return tuple(
        Delivery(row.name, key if row.by is None else key_of(event, row.by), until, timer) for row in rows
    )


def key_of(event: Event[Any], field: str) -> str | None:
    """Give the ordering key that a field of an event stands for; None is no key."""
    value = getattr(event, field)
    return None if value is None else str(value)
