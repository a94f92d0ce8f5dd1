"""The dispatcher: hands a claimed delivery to its recipient, and completes it with what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..domain.messages import Command, Event
from .delivery import Claimed, Delivery, MessageLog, Record
from .envelope import Envelope, derived_id
from .errors import NoRoute, Unreadable
from .executor import Executor
from .plans import Flow

Decided = list[tuple[str, int, Command[Any]]]
"""What triggers decided: the trigger's name, the position in what it returned, and the command."""


class Dispatcher:
    """Delivers to reactions, triggers and commands."""

    def __init__(self, flow: Flow, executor: Executor, log: MessageLog) -> None:
        self._flow = flow
        self._executor = executor
        self._log = log
        self._by_kind: Mapping[str, Callable[[Claimed, Any], bool]] = {
            "reaction": self._react,
            "trigger": self._decide,
            "command": self._obey,
        }

    def deliver(self, claimed: Claimed) -> bool:
        """Hand a delivery over; say whether it was completed in a transaction of its own.

        False: nothing was stored, and the worker completes it. Raises what the recipient raises.
        """
        if claimed.message is None:
            raise Unreadable(claimed.problem)
        route = self._flow.recipient(claimed.fence.recipient)
        return self._by_kind[route.kind](claimed, claimed.message)

    def _react(self, claimed: Claimed, event: Event[Any]) -> bool:
        plan = self._flow.reaction(claimed.fence.recipient)
        came = self._executor.run(plan, claimed.envelope, event)
        events = () if came is None else (came,) if isinstance(came, Event) else tuple(came)
        if events:
            records = [self._came(claimed.envelope, plan.name, n, each) for n, each in enumerate(events)]
            self._log.append(records, claimed.fence)
        return bool(events)

    def _came(self, cause: Envelope, recipient: str, position: int, event: Event[Any]) -> Record:
        envelope = caused_by(cause, recipient, position)
        deliveries = self._flow.events[type(event)].deliveries(event, envelope.ordering_key)
        return Record("event", envelope, event, deliveries)

    def _decide(self, claimed: Claimed, event: Event[Any]) -> bool:
        trigger = self._flow.trigger(claimed.fence.recipient)
        commands = trigger.decide(event)
        if len(commands) == 1:
            self._executor.obey(
                commands[0], caused_by(claimed.envelope, trigger.name, 0), completes=claimed.fence
            )
        elif commands:
            # Recorded once, whole: a trigger that is asked again may have changed its mind.
            decided = [(trigger.name, position, command) for position, command in enumerate(commands)]
            self._log.append(command_records(self._flow, claimed.envelope, decided), claimed.fence)
        return bool(commands)

    def _obey(self, claimed: Claimed, command: Any) -> bool:
        if not isinstance(command, Command):
            raise NoRoute(
                f"{claimed.fence.recipient} was sent {type(command).__name__}, which is no command."
            )
        self._executor.obey(command, claimed.envelope, completes=claimed.fence, stored=True)
        return True


def command_records(flow: Flow, cause: Envelope, decided: Decided) -> list[Record]:
    """Turn decided commands into records, each with a delivery of its own."""
    records = []
    for trigger, position, command in decided:
        delivery = Delivery(flow.handlers[type(command)].name, cause.ordering_key)
        records.append(Record("command", caused_by(cause, trigger, position), command, (delivery,)))
    return records


def caused_by(cause: Envelope, recipient: str, position: int) -> Envelope:
    """Address what a message led to: the same id each time, from the cause, who decided, and the position."""
    return cause.caused(derived_id(cause.id, recipient, position), cause.ordering_key)
