"""The handling in progress: the one message that this thread is working on, and what hangs on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.messages import Event, Message
from ..domain.model import Aggregate
from .delivery import Delivery, Fence, Record
from .envelope import Envelope, derived_id, new_id
from .errors import NoHandling, NotListed, OnlyRecorded
from .later import Later, timer_of

if TYPE_CHECKING:  # plans make handlings, and a handling reads its plan: nothing here is injected
    from .plans import Flow, HandlerPlan

_CURRENT: ContextVar[Handling | None] = ContextVar("atomos_handling", default=None)


class Heard(NamedTuple):
    """An event that an entrypoint emitted: its envelope, itself, and who hears of it by delivery.

    `may_repeat`: its id may be in the log already, and nobody has looked yet.
    """

    envelope: Envelope
    event: Event[Any]
    deliveries: tuple[Delivery, ...]
    may_repeat: bool


def current_handling() -> Handling | None:
    """Give the handling in progress in this thread, or None."""
    return _CURRENT.get()


def effect_id_in_hand() -> str:
    """Make the id of the next effect of the handling in progress. Raises `NoHandling`."""
    handling = _CURRENT.get()
    if handling is None:
        raise NoHandling("An effect has an id only while a message is handled.")
    return handling.effect_id()


class Handling:
    """One message in the hands of its handler, entered as a context manager. `now` is the bus's clock.

    `heard` is the event that an entrypoint emitted, as it will be recorded with this command and its answer;
    `others` are the other commands that it triggered; `completes` is the delivery that led here; `stored` says
    that the command's row was written when it was decided. `session` is the database session in use, and `begun`
    a transaction that the unit of work that comes next may take; None: it begins its own.
    """

    session: Any = None
    begun: Any = None
    answer: Any = None
    committed = False
    _effects = 0
    _closers: tuple[Callable[[], None], ...] = ()

    def __init__(
        self,
        flow: Flow,
        plan: HandlerPlan,
        envelope: Envelope,
        message: Message,
        now: Callable[[], datetime],
        heard: Heard | None = None,
        others: Sequence[Record] = (),
        completes: Fence | None = None,
        stored: bool = False,
    ) -> None:
        self._flow = flow
        self.plan = plan
        self.envelope = envelope
        self.message = message
        self.now = now
        self.heard = heard
        self.others = others
        self.completes = completes
        self.stored = stored

    def __enter__(self) -> Handling:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)
        if self._closers:
            with ExitStack() as stack:
                for close in self._closers:
                    stack.callback(close)

    def at_end(self, close: Callable[[], None]) -> None:
        """Have something closed when the handling ends, whatever its end."""
        self._closers = (*self._closers, close)

    def effect_id(self) -> str:
        """Make the id of the next effect outside: the same when this delivery is tried again."""
        self._effects += 1
        return derived_id(self.envelope.id, self.plan.name, self._effects)

    def caused(self, events: Sequence[tuple[Aggregate, Event[Any]]]) -> list[Record]:
        """Turn the events that aggregates recorded into records with their deliveries, after the projections ran."""
        records: list[Record] = []
        for aggregate, event in events:
            plan = self._flow.events[type(event)]
            self._listed(event, f"{type(aggregate).__name__} {aggregate.identity} recorded")
            for project in plan.projections:
                project(event)
            envelope = self.envelope.caused(new_id(), aggregate.identity)
            records.append(Record("event", envelope, event, plan.deliveries(event, aggregate.identity)))
        return records

    def may_send_later(self, event: Event[Any]) -> None:
        """Refuse an event that is not in `records` of the command, or that keeps a read model."""
        self._listed(event, "The handler sent later")
        if self._flow.events[type(event)].projections:
            raise OnlyRecorded(f"{type(event).__name__} keeps a read model, and was sent later.")

    def sent_later(self, later: Later) -> Record:
        """Turn an event that is heard later into a record; its envelope inherits from this handling."""
        timer = None if later.name is None else self.timer(later.name, later.key)
        plan = self._flow.events[type(later.event)]
        deliveries = plan.deliveries(later.event, later.key, later.until, timer)
        return Record("event", self.envelope.caused(later.id, later.key), later.event, deliveries)

    def timer(self, name: str, key: str | None) -> str:
        """Give the title of a timer of this handler's context."""
        return timer_of(f"{self.plan.context}.{name}", key)

    def _listed(self, event: Event[Any], who: str) -> None:
        if type(event) not in self.plan.records:
            during = f"{type(self.message).__name__} ({self.plan.place})"
            raise NotListed(f"{who} {type(event).__name__} during {during}.")

    def records(self, answer: Any, caused: Sequence[Record]) -> list[Record]:
        """Give all that one transaction stores: what was heard, the command, their answer, and what it caused."""
        own = Record("command", self.envelope, self.message, (), answer, True, self.stored)
        if self.heard is None:
            return [own, *caused]
        envelope, event, deliveries, _ = self.heard
        return [Record("event", envelope, event, deliveries, answer, True), own, *self.others, *caused]
