"""Boot checks of the flow: how events lead to commands, commands to events, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import MISSING, fields
from itertools import chain
from typing import Any, get_type_hints

from ..domain.messages import Event, Message, answer_of
from .diagnostics import Finding
from .entry_checks import emits
from .injection import members, place_of, said
from .routes import Route, topic_of
from .wiring import Found, Wiring, is_class, is_message

Steps = defaultdict[type[Message], dict[type[Message], Route | None]]
"""What each message leads to: an event by the trigger or reaction of a row, a command by what it records."""


def one_handler_each(wiring: Wiring) -> Found:
    """Each command and query has exactly one handler."""
    handlers: dict[type[Message], list[Route]] = defaultdict(list)
    for row in wiring.of("command", "query"):
        handlers[row.message].append(row)
    for message, rows in handlers.items():
        if len(rows) > 1:
            places = " and by ".join(place_of(row.target) for row in rows)
            yield Finding("ATM002", place_of(message), f"is handled by {places}")
    mapped = {row.message for row in wiring.routes.rows}
    for row in wiring.of("trigger"):
        for command in wiring.commands(row):
            if command not in mapped:
                detail = f"{row.message.__name__} triggers it, and no `commands` table has it"
                yield Finding("ATM001", place_of(command), detail)


def somebody_hears(wiring: Wiring) -> Found:
    """Each event that is said is heard, or it is explained why not."""
    listeners = {row.message for row in wiring.routes.rows if row.kind != "subscription"}
    heard = listeners | set(wiring.routes.ignored)
    for event, by in _speakers(wiring).items():
        if event not in heard and is_message(event, Event):
            yield Finding("ATM003", place_of(event), f"{by}, and no table of listeners has it")


def _speakers(wiring: Wiring) -> dict[type[Message], str]:
    speakers: dict[type[Message], str] = {}
    for command, events in wiring.routes.records.items():
        for event in events:
            speakers.setdefault(event, f"{command.__name__} records it")
    for row in wiring.of("reaction"):
        for event in wiring.events(row):
            speakers.setdefault(event, f"{place_of(row.target)} returns it")
    for name, schedule in wiring.routes.schedules.items():
        if (emitted := emits(schedule)) is not None:
            speakers.setdefault(emitted, f"schedule {name!r} emits it")
    for row in wiring.of("subscription"):
        speakers.setdefault(row.message, f"the topic {topic_of(row.name)} brings it")
    for message in wiring.routes.requires:
        speakers.setdefault(message, "`requires` names who may emit it")
    return speakers


def triggers_can_be_made(wiring: Wiring) -> Found:
    """A command class as a trigger finds its fields in the event."""
    for row in wiring.of("trigger"):
        if is_class(row) and (lacking := list(_lacking(row.message, row.target))):
            yield Finding(
                "ATM011", place_of(row.target), f"{row.message.__name__} lacks {', '.join(lacking)}"
            )


def _lacking(event: type[Message], command: type[Message]) -> Iterator[str]:
    has, wants = get_type_hints(event), get_type_hints(command)
    known = {field.name for field in fields(event)}
    for field in fields(command):
        is_needed = field.default is MISSING and field.default_factory is MISSING
        if field.name in known:
            if not _passes(has[field.name], wants[field.name]):
                has_, wants_ = said(has[field.name]), said(wants[field.name])
                yield f"{field.name} as {wants_} (its own is {has_})"
        elif is_needed:
            yield field.name


def _passes(given: Any, wanted: Any) -> bool:
    accepted = members(wanted)
    return Any in accepted or all(
        member in accepted or (member is int and float in accepted) or _is_subclass(member, accepted)
        for member in members(given)
    )


def _is_subclass(member: Any, accepted: frozenset[Any]) -> bool:
    return isinstance(member, type) and issubclass(member, tuple(a for a in accepted if isinstance(a, type)))


def answers_are_given(wiring: Wiring) -> Found:
    """An event's answer is given by exactly one of the commands that it triggers."""
    for event in wiring.routes.messages():
        if not is_message(event, Event) or members(answer := answer_of(event)) == members(None):
            continue
        triggers = [row for row in wiring.of("trigger") if row.message is event]
        if any(wiring.is_unread(row) for row in triggers):
            continue
        commands = list(chain.from_iterable(map(wiring.commands, triggers)))
        giving = [command for command in commands if members(answer_of(command)) == members(answer)]
        if len(giving) != 1:
            among = (
                ", ".join(f"{c.__name__} gives {said(answer_of(c))}" for c in commands) or "it triggers none"
            )
            detail = f"promises {said(answer)}, which {len(giving)} of its commands give: {among}"
            yield Finding("ATM012", place_of(event), detail)


def projections_run(wiring: Wiring) -> Found:
    """The event of a projection is recorded by a command of the same context."""
    contexts = {row.message: row.context for row in wiring.routes.rows if row.kind == "command"}
    recording: dict[type[Message], list[type[Message]]] = defaultdict(list)
    for command, events in wiring.routes.records.items():
        for event in events:
            recording[event].append(command)
    for row in wiring.of("projection"):
        # A command without a handler, which is reported elsewhere, may be one of this context.
        recorded = {contexts.get(command, row.context) for command in recording[row.message]}
        if row.context not in recorded:
            who = (
                f"only commands of {', '.join(sorted(recorded))} record" if recorded else "no command records"
            )
            detail = f"is a projection of {row.context}, and {who} {row.message.__name__}"
            yield Finding("ATM028", place_of(row.target), detail)


def circles_are_explained(wiring: Wiring) -> Found:
    """Each circle has a step that `cycles` explains, and each of those is a step of a circle."""
    steps = _steps(wiring)
    for event, next_ in wiring.routes.cycles:
        if next_ not in steps[event] or not _way(steps, next_, event):
            names = ", ".join(getattr(each, "__name__", repr(each)) for each in (event, next_))
            yield Finding("ATM020", place_of(event), f"`cycles` explains ({names}), a step of no circle")
        steps[event].pop(next_, None)
    told: set[frozenset[type[Message]]] = set()
    for event in list(steps):
        for next_, row in steps[event].items():
            circle = _way(steps, next_, event) if row is not None else ()
            if row is not None and circle and frozenset(circle) not in told:
                told.add(frozenset(circle))
                shown = " -> ".join(each.__name__ for each in (event, *circle))
                detail = f"{shown} is a circle, and `cycles` has no step of it"
                yield Finding("ATM014", place_of(row.written), detail)


def _steps(wiring: Wiring) -> Steps:
    steps: Steps = defaultdict(dict)
    for row in wiring.of("trigger", "reaction"):
        for next_ in wiring.commands(row) if row.kind == "trigger" else wiring.events(row):
            steps[row.message].setdefault(next_, row)
    for command, events in wiring.routes.records.items():
        steps[command].update(dict.fromkeys(events))
    brought = wiring.routes.subscriptions()
    for row in wiring.of("topic"):  # what this application publishes and reads itself goes round as well
        for read in brought.get(topic_of(row.name), ()):
            steps[row.message].setdefault(read.message, row)
    return steps


def _way(steps: Steps, start: type[Message], end: type[Message]) -> tuple[type[Message], ...]:
    """Find the shortest way from one message to another, both included; it is empty where there is none."""
    ways: list[tuple[type[Message], ...]] = [(start,)]
    seen = {start}
    for way in ways:
        if way[-1] is end:
            return way
        onward = [each for each in steps.get(way[-1], ()) if each not in seen]
        seen.update(onward)
        ways += [(*way, each) for each in onward]
    return ()
