"""The message bus: entrypoints emit events and ask queries; it decides, obeys and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ..domain.messages import Event, Message, Query
from .concealing import concealing
from .delivery import Claimed, MessageLog, Recalled, Record
from .dispatcher import Decided, Dispatcher, command_records
from .envelope import BROKER, SYSTEM, Envelope, Origin, Principal, derived_id, new_id
from .errors import (
    AnswerDiffers,
    Conflict,
    InFlight,
    InsideHandling,
    NoAnswer,
    NotLookedUp,
    NotPermitted,
    OnlyRecorded,
    Outdated,
    Repeated,
    SentLater,
    UnknownMessage,
)
from .executor import Executor
from .following import OPERATOR, Followed, follow
from .handling import Heard, current_handling
from .injection import Offers
from .later import due, timer_of
from .plans import EventPlan, Flow
from .ports import Clock, Meter, Unavailable
from .receiving import Reception, WireForm
from .retry import ConflictRetry
from .routes import JoinedRoutes
from .schedules import Schedules
from .timetable import Timetable

A = TypeVar("A")

_SYSTEM_ORIGIN = Origin(SYSTEM)
_ONLY_RECORDED = "{} keeps a read model, and nothing was changed that it could tell of."


class MessageBus:
    """Routes messages to handlers, and injects what their signatures ask for.

    Building it checks the wiring and raises `WiringError` with every mistake. It is safe to share by threads.
    """

    def __init__(
        self,
        routes: JoinedRoutes,
        offers: Mapping[str, Offers],
        log: MessageLog,
        clock: Clock,
        meter: Meter,
        retry: ConflictRetry = ConflictRetry(),  # noqa: B008 - a constant
        schedules: Callable[[], Schedules] | None = None,
        form: WireForm | None = None,
        sender: Principal = BROKER,
    ) -> None:
        """Check the wiring and make every plan. `schedules` gives what keeps those of the routes; None: none ticks.

        `form` is how events are written for brokers and read from them, None: none are. `sender` is who is said to
        have sent what comes from a broker.
        """
        self.flow = Flow(routes, offers, meter)
        self._log = log
        self._clock = clock
        self._executor = Executor(self.flow, log, retry, clock)
        self._timetable = None if schedules is None else Timetable(self.flow, schedules)
        self.form = form
        self.reception = None if form is None else Reception(self.flow, form, log, clock, sender)
        self._dispatcher = Dispatcher(self.flow, self._executor, log, self._timetable, self.reception)

    def emit(self, event: Event[A], origin: Origin = _SYSTEM_ORIGIN) -> A:
        """Let the application hear an event, and tell the sender the answer.

        One command is obeyed here, in one transaction that also stores the event, its other commands and everyone
        who must hear of it. An error means that nothing was stored; but ATM031 comes after the commit, and after
        `Unavailable` nobody knows whether the commit was heard. With `origin.id`, a repeat finds out: it gets the
        answer that the first one got. Raises `NotPermitted`, `NoRoute`, `Conflict`, `SentLater` when the first was
        sent later, and what the handler raises.
        """
        plan = self.flow.events[type(event)]
        _check(plan.permission, type(event), origin.principal)
        if plan.projections:
            raise OnlyRecorded(_ONLY_RECORDED.format(type(event).__name__))
        envelope = self._envelope(origin)
        with concealing(event):
            if origin.id is None:
                return self._emit(plan, event, envelope, may_repeat=False)  # type: ignore[no-any-return]
            told = self._once(event, envelope, lambda: self._emit(plan, event, envelope, may_repeat=True))
        if not told.answered:
            raise SentLater(envelope.id)
        return told.answer  # type: ignore[no-any-return]

    def send_later(
        self,
        event: Event[Any],
        origin: Origin = _SYSTEM_ORIGIN,
        *,
        at: datetime | None = None,
        delay: timedelta | None = None,
        name: str | None = None,
        key: str | None = None,
    ) -> str:
        """Store an event that is heard later: at an instant (aware), or after a delay; give its id.

        With neither, it is due at once, and the worker sees to it. `key` is its ordering key, None for none.
        With `name`, it takes the place of what waits under the same name and key; `allocation.deadline` is the
        timer that a unit of work of allocation calls `deadline`. With `origin.id`, a repeat stores and replaces
        nothing. Raises `NoTimerKey` for a name without a key.
        """
        plan = self.flow.events[type(event)]
        _check(plan.permission, type(event), origin.principal)
        if plan.projections:
            raise OnlyRecorded(_ONLY_RECORDED.format(type(event).__name__))
        until = due(at, delay, self._clock.now)
        timer = None if name is None else timer_of(name, key)
        envelope = self._envelope(origin)._replace(ordering_key=key)
        record = Record("event", envelope, event, plan.deliveries(event, key, until, timer))
        with concealing(event):
            if origin.id is None:
                self._log.append([record])
            else:
                self._once(event, envelope, lambda: self._append(record, may_repeat=True))
        return envelope.id

    def follow(self, message_id: str, principal: Principal = SYSTEM) -> Followed:
        """Say how far an event has come that its sender does not wait for. Raises `UnknownMessage`.

        Whoever sent it may know, and who may look at what others sent (`operations:read`).
        """
        _refuse_inside()
        stored = self._log.follow(message_id)
        if stored is None or not (principal.name == stored.principal or principal.may(OPERATOR)):
            raise UnknownMessage(f"There is no message {message_id}.")
        return follow(stored, self.flow.event_named(stored.name))

    def cancel(self, name: str, key: str, origin: Origin = _SYSTEM_ORIGIN) -> bool:
        """Take back what was sent later under a name and key; False where nothing waits, or its time has come."""
        _refuse_inside()
        return self._log.take_back(timer_of(name, key), f"cancelled by {origin.principal.name}")

    def ask(self, query: Query[A], origin: Origin = _SYSTEM_ORIGIN) -> A:
        """Answer a question; nothing changes. Raises `NotPermitted`, `NoRoute`, and what the handler raises."""
        plan = self.flow.handlers[type(query)]
        _check(plan.permission, type(query), origin.principal)
        with concealing(query):
            return self._executor.run(plan, self._envelope(origin), query)  # type: ignore[no-any-return]

    def permit(self, message: type[Message], principal: Principal) -> None:
        """Refuse who may not send such a message. Raises `NotPermitted`, and `NoRoute`."""
        plan = self.flow.events[message] if issubclass(message, Event) else self.flow.handlers[message]
        _check(plan.permission, message, principal)

    def deliver(self, claimed: Claimed) -> bool:
        """Hand a claimed delivery to its recipient; see `Dispatcher.deliver`."""
        return self._dispatcher.deliver(claimed)

    def arrange(self) -> None:
        """Keep the declared schedules in the log; a worker does so when it begins, and now and then."""
        if self._timetable is not None:
            self._timetable.arrange()

    def _envelope(self, origin: Origin) -> Envelope:
        id_ = origin.id or new_id()
        correlation = origin.correlation_id or id_
        sender, trace, expects = origin.principal.name, origin.traceparent, origin.expects
        return Envelope(id_, correlation, None, self._clock.now(), None, sender, trace, expects)

    def _once(self, event: Event[Any], envelope: Envelope, carry_out: Callable[[], Any]) -> Recalled:
        try:
            return Recalled(carry_out())
        except Exception as error:
            if isinstance(error, (AnswerDiffers, NotLookedUp)):
                raise
            # It is a repeat, or someone was first meanwhile: then a handler fails, or the log refuses the second row.
            # What went wrong first is what the sender has to know, unless it was that there is something to recall.
            with nullcontext() if isinstance(error, Repeated) else suppress(Unavailable):
                if recalled := self._log.recall(envelope.id, event):
                    return recalled
            if isinstance(error, (Conflict, Repeated)):
                raise InFlight from error
            raise

    def _emit(self, plan: EventPlan, event: Event[Any], envelope: Envelope, *, may_repeat: bool) -> Any:
        main, others = None, []
        for trigger in plan.triggers:
            commands = self._executor.run(trigger.handler, envelope, event)
            for position, command in enumerate(commands):
                if main is None and (type(command) is plan.main or not plan.answers):
                    main = Decided(trigger.name, position, command, None)
                else:
                    others.append(Decided(trigger.name, position, command, trigger.key(event)))
        if main is None:
            self._refuse_unanswerable(plan, event, envelope, others)
            return self._append(
                Record("event", envelope, event, plan.reacting(event), None, True), may_repeat=may_repeat
            )
        # Only a message that may come again needs an id that can be found again.
        id_ = derived_id(envelope.id, main.trigger, main.position) if may_repeat else new_id()
        answer = self._executor.obey(
            main.command,
            envelope.caused(id_, None),
            Heard(envelope, event, plan.reacting(event), may_repeat),
            command_records(self.flow, envelope, others) if others else (),
        )
        return answer if plan.answers else None

    def _append(self, record: Record, *, may_repeat: bool) -> None:
        if may_repeat:
            self._log.refuse_repeat(record.envelope.id)
        self._log.append([record])

    def _refuse_unanswerable(
        self, plan: EventPlan, event: Event[Any], envelope: Envelope, others: Sequence[Decided]
    ) -> None:
        if plan.answers:
            commands = ", ".join(type(command).__name__ for _, _, command, _ in others) or "no command"
            raise NoAnswer(f"{type(event).__name__} triggered {commands}.")
        if envelope.expects is not None:
            raise Outdated(
                f"{type(event).__name__} was recorded and changed nothing here that has a version."
            )


def _refuse_inside() -> None:
    if (handling := current_handling()) is not None:
        raise InsideHandling(f"{handling.plan.name} ({handling.plan.place}) used the bus.")


def _check(permission: str | None, message: type[Message], principal: Principal) -> None:
    _refuse_inside()
    if permission is not None and not principal.may(permission):
        raise NotPermitted(f"{message.__name__} requires {permission}, which {principal.name} does not have.")
