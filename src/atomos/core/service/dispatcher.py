"""The dispatcher: hands a claimed delivery to its recipient, and completes it with what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ..domain.messages import Command, Event
from .concealing import concealing
from .delivery import Claimed, Delivery, MessageLog, Record
from .envelope import Envelope, derived_id
from .errors import LeaseLost, NoRoute, Repeated, Unreadable
from .executor import Executor
from .failpoints import failpoint
from .plans import Flow
from .receiving import RawMessage, Reception
from .schedules import Planned
from .timetable import Timetable


class Decided(NamedTuple):
    """What a trigger decided: its name, the position in what it returned, the command.

    `key` is the ordering key of the command's delivery, where it gets one; None where it has no order.
    """

    trigger: str
    position: int
    command: Command[Any]
    key: str | None


class Dispatcher:
    """Delivers to reactions, triggers and commands, to schedules, which `timetable` keeps, and to `reception`."""

    def __init__(
        self,
        flow: Flow,
        executor: Executor,
        log: MessageLog,
        timetable: Timetable | None = None,
        reception: Reception | None = None,
    ) -> None:
        self._flow = flow
        self._executor = executor
        self._log = log
        self._timetable = timetable
        self._reception = reception
        self._by_kind: Mapping[str, Callable[[Claimed, Any], bool]] = {
            "reaction": self._react,
            "trigger": self._decide,
            "command": self._obey,
            "schedule": self._tick,
            "subscription": self._read_again,
            "topic": self._publish,
        }

    def deliver(self, claimed: Claimed) -> bool:
        """Hand a delivery over; say whether it was completed in a transaction of its own.

        False: nothing was stored, or what it leads to was stored before, and the worker completes it. Raises what
        the recipient raises.
        """
        if claimed.message is None:
            raise Unreadable(claimed.problem)
        route = self._flow.recipient(claimed.fence.recipient)
        try:
            with concealing(claimed.message):
                return self._by_kind[route.kind](claimed, claimed.message)
        except LeaseLost:
            raise
        except Exception as error:
            if isinstance(error, Repeated) or self._is_recorded(claimed):
                return False
            raise

    def _is_recorded(self, claimed: Claimed) -> bool:
        # A delivery that someone opened again: it fails in its handler long before it meets the log's primary key.
        with suppress(Exception):
            return bool(self._log.known([caused_by(claimed.envelope, claimed.fence.recipient, 0).id]))
        return False

    def _react(self, claimed: Claimed, event: Event[Any]) -> bool:
        plan = self._flow.reaction(claimed.fence.recipient)
        failpoint("reaction.before")
        came = self._executor.run(plan, claimed.envelope, event)
        failpoint("reaction.after")
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
        failpoint("trigger.before")
        commands = self._executor.run(trigger.handler, claimed.envelope, event)
        if len(commands) == 1:
            self._executor.obey(
                commands[0], caused_by(claimed.envelope, trigger.name, 0), completes=claimed.fence
            )
        elif commands:
            # Recorded once, whole: a trigger that is asked again may have changed its mind.
            key = claimed.ordering_key
            decided = [Decided(trigger.name, n, command, key) for n, command in enumerate(commands)]
            self._log.append(command_records(self._flow, claimed.envelope, decided), claimed.fence)
        return bool(commands)

    def _tick(self, claimed: Claimed, kept: Any) -> bool:
        if self._timetable is None or not isinstance(kept, Planned):
            raise _misdirected(claimed, "schedule")
        self._timetable.tick(claimed, kept)
        return True

    def _read_again(self, claimed: Claimed, raw: Any) -> bool:
        if self._reception is None or not isinstance(raw, RawMessage):
            raise _misdirected(claimed, "message of a topic")
        return self._reception.read_again(claimed, raw)

    def _publish(self, claimed: Claimed, _: Any) -> bool:
        raise NoRoute(f"{claimed.fence.recipient} is published to in batches, by a worker that has a broker.")

    def _obey(self, claimed: Claimed, command: Any) -> bool:
        if not isinstance(command, Command):
            raise _misdirected(claimed, "command")
        failpoint("command.before")
        self._executor.obey(command, claimed.envelope, completes=claimed.fence, stored=True)
        return True


def command_records(flow: Flow, cause: Envelope, decided: Sequence[Decided]) -> list[Record]:
    """Turn decided commands into records, each with a delivery of its own."""
    records = []
    for trigger, position, command, key in decided:
        delivery = Delivery(flow.handlers[type(command)].name, key)
        records.append(Record("command", caused_by(cause, trigger, position), command, (delivery,)))
    return records


def _misdirected(claimed: Claimed, kind: str) -> NoRoute:
    return NoRoute(
        f"{claimed.fence.recipient} was sent {type(claimed.message).__name__}, which is no {kind}."
    )


def caused_by(cause: Envelope, recipient: str, position: int) -> Envelope:
    """Address what a message led to: the same id each time, from the cause, who decided, and the position."""
    return cause.caused(derived_id(cause.id, recipient, position), cause.ordering_key)
