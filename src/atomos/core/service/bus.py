"""The message bus: entrypoints emit events and ask queries; it decides, obeys and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ..domain.messages import Event, Query
from .delivery import Claimed, MessageLog, Record
from .dispatcher import Decided, Dispatcher, command_records
from .envelope import SYSTEM, Envelope, Origin, Principal, derived_id, new_id
from .errors import (
    AnswerDiffers,
    Conflict,
    InFlight,
    InsideHandling,
    NoAnswer,
    NotPermitted,
    OnlyRecorded,
    Repeated,
)
from .executor import Executor
from .handling import current_handling
from .injection import Offers
from .plans import EventPlan, Flow
from .ports import Clock, Meter
from .retry import ConflictRetry
from .routes import JoinedRoutes

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
    ) -> None:
        self.flow = Flow(routes, offers, meter)
        self._log = log
        self._clock = clock
        self._executor = Executor(self.flow, log, retry)
        self._dispatcher = Dispatcher(self.flow, self._executor, log)

    def emit(self, event: Event[A], origin: Origin = _SYSTEM_ORIGIN) -> A:
        """Let the application hear an event, and tell the sender the answer.

        One command is obeyed here, in one transaction that also stores the event, its other commands and everyone
        who must hear of it. An error means that nothing was stored (but ATM031 comes after the commit). With
        `origin.id`, a repeat gets the answer that the first one got. Raises `NotPermitted`, `NoRoute`, `Conflict`,
        and what the handler raises.
        """
        plan = self.flow.events[type(event)]
        _check(plan.permission, event, origin.principal)
        if plan.projections:
            raise OnlyRecorded(_ONLY_RECORDED.format(type(event).__name__))
        envelope = self._envelope(origin)
        if origin.id is None:
            return self._emit(plan, event, envelope, fresh=True)  # type: ignore[no-any-return]
        return self._once(event, envelope, lambda: self._emit(plan, event, envelope, fresh=False))  # type: ignore[no-any-return]

    def send_later(
        self,
        event: Event[Any],
        origin: Origin = _SYSTEM_ORIGIN,
        *,
        at: datetime | None = None,
        delay: timedelta | None = None,
    ) -> str:
        """Store an event that is heard later: at an instant (aware), or after a delay; give its id.

        With neither, it is due at once, and the worker sees to it. With `origin.id`, a repeat stores nothing.
        """
        plan = self.flow.events[type(event)]
        _check(plan.permission, event, origin.principal)
        if plan.projections:
            raise OnlyRecorded(_ONLY_RECORDED.format(type(event).__name__))
        if at is not None and (delay is not None or at.tzinfo is None):
            raise ValueError("send_later takes either `at`, with a time zone, or `delay`.")
        until = at if delay is None else self._clock.now() + delay
        envelope = self._envelope(origin)
        record = Record("event", envelope, event, plan.deliveries(event, None, until))
        if origin.id is None:
            self._log.append([record])
        else:
            self._once(event, envelope, lambda: self._log.append([record]))
        return envelope.id

    def ask(self, query: Query[A], origin: Origin = _SYSTEM_ORIGIN) -> A:
        """Answer a question; nothing changes. Raises `NotPermitted`, `NoRoute`, and what the handler raises."""
        plan = self.flow.handlers[type(query)]
        _check(plan.permission, query, origin.principal)
        return self._executor.run(plan, self._envelope(origin), query)  # type: ignore[no-any-return]

    def deliver(self, claimed: Claimed) -> bool:
        """Hand a claimed delivery to its recipient; see `Dispatcher.deliver`."""
        return self._dispatcher.deliver(claimed)

    def _envelope(self, origin: Origin) -> Envelope:
        id_ = origin.id or new_id()
        correlation = origin.correlation_id or id_
        return Envelope(
            id_, correlation, None, self._clock.now(), None, origin.principal.name, origin.traceparent
        )

    def _once(self, event: Event[Any], envelope: Envelope, carry_out: Callable[[], Any]) -> Any:
        if recalled := self._log.recall(envelope.id, event):
            return recalled.answer
        try:
            return carry_out()
        except Exception as error:
            if isinstance(error, AnswerDiffers):
                raise
            # Someone may have been first meanwhile: then a handler fails, or the log refuses the second row.
            if recalled := self._log.recall(envelope.id, event):
                return recalled.answer
            if isinstance(error, (Conflict, Repeated)):
                raise InFlight from error
            raise

    def _emit(self, plan: EventPlan, event: Event[Any], envelope: Envelope, *, fresh: bool) -> Any:
        main, others = None, []
        for trigger in plan.triggers:
            for position, command in enumerate(trigger.decide(event)):
                if main is None and (type(command) is plan.main or not plan.answers):
                    main = trigger.name, position, command
                else:
                    others.append((trigger.name, position, command))
        if main is None:
            return self._record(plan, event, envelope, others)
        # Only a message that may come again needs an id that can be found again.
        id_ = new_id() if fresh else derived_id(envelope.id, main[0], main[1])
        answer = self._executor.obey(
            main[2],
            envelope.caused(id_, None),
            (envelope, event, plan.reacting(event)),
            command_records(self.flow, envelope, others) if others else (),
        )
        return answer if plan.answers else None

    def _record(self, plan: EventPlan, event: Event[Any], envelope: Envelope, others: Decided) -> None:
        if plan.answers:
            commands = ", ".join(type(command).__name__ for _, _, command in others) or "no command"
            raise NoAnswer(f"{type(event).__name__} triggered {commands}.")
        self._log.append([Record("event", envelope, event, plan.reacting(event), None, True)])


def _check(permission: str | None, message: object, principal: Principal) -> None:
    if (handling := current_handling()) is not None:
        raise InsideHandling(f"{handling.plan.name} ({handling.plan.place}) used the bus.")
    if permission is not None and not principal.may(permission):
        raise NotPermitted(
            f"{type(message).__name__} requires {permission}, which {principal.name} does not have."
        )
