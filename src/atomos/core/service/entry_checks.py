"""Boot checks of two entries that map from no message: schedules and upcasters."""

from __future__ import annotations

import inspect
from collections import defaultdict
from difflib import get_close_matches
from typing import Any

from ..domain.messages import Event, Message
from .diagnostics import Finding
from .injection import place_of, said, signature_of
from .schedules import Schedule, mistakes_of
from .wiring import Found, Wiring, is_message


def schedules_tick(wiring: Wiring) -> Found:
    """Each schedule has a name, a cron text that ticks, a zone that exists, and a policy."""
    for name, schedule in wiring.routes.schedules.items():
        if not isinstance(schedule, Schedule):
            detail = f"`schedules` has {schedule!r} for {name!r}, which `every` did not make"
            yield Finding("ATM062", repr(name), detail)
            continue
        if not isinstance(name, str) or name.split() != [name]:
            yield Finding(
                "ATM062", _place(schedule), f"a schedule is named {name!r}; give a name without blanks"
            )
        for mistake in mistakes_of(schedule):
            yield Finding("ATM062", _place(schedule), f"schedule {name!r}: {mistake}")


def schedules_emit(wiring: Wiring) -> Found:
    """Each schedule emits one event, which no projection hears: nothing was changed that it could show."""
    projected = {row.message for row in wiring.of("projection")}
    for name, schedule in wiring.routes.schedules.items():
        if not isinstance(schedule, Schedule):
            continue
        event = emits(schedule)
        if not isinstance(schedule.event, Event):
            yield from _misfits(name, schedule.event)
        if event in projected:
            detail = (
                f"schedule {name!r} emits {said(event)}, which keeps a read model: only a command records it"
            )
            yield Finding("ATM063", _place(schedule), detail)


def upcasters_lead_to_today(wiring: Wiring) -> Found:
    """Each upcaster is of a message that a table has, of a version before today's, and none after it is missing."""
    today = {each.wire_name: each for each in wiring.routes.messages() if is_message(each, Message)}
    given: dict[Any, set[Any]] = defaultdict(set)
    for key, upcast in wiring.routes.upcasts.items():
        if not (isinstance(key, tuple) and len(key) == 2 and inspect.isroutine(upcast)):
            detail = "`upcasts` maps a name and a version to a function, and not this"
            yield Finding("ATM064", repr(key), detail)
        elif key[0] not in today:
            near = get_close_matches(str(key[0]), today, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Finding("ATM064", place_of(upcast), f"no table has a message named {key[0]!r}{hint}")
        elif key[1] not in range(1, today[key[0]].wire_version):
            version = today[key[0]].wire_version
            detail = f"turns version {key[1]!r} of {key[0]}, whose version is {version}, into the next one"
            yield Finding("ATM064", place_of(upcast), detail)
        else:
            given[key[0]].add(key[1])
    for name, versions in given.items():
        for version in sorted(set(range(min(versions), today[name].wire_version)) - versions):
            detail = f"version {min(versions)} of {name} is upcast, and version {version} is not"
            yield Finding("ATM064", place_of(today[name]), detail)


def emits(schedule: Any) -> type[Event[Any]] | None:
    """Say what a schedule emits; None where that is unknown, which is reported as a mistake of its own."""
    event = schedule.emits if isinstance(schedule, Schedule) else None
    return event if is_message(event, Event) else None


def _misfits(name: str, function: Any) -> Found:
    if not inspect.isroutine(function):
        yield Finding(
            "ATM063", repr(name), f"schedule {name!r} emits {function!r}: no event, and no function"
        )
        return
    signature = signature_of(function)
    for code, detail in signature.problems:
        yield Finding(code, place_of(function), detail)
    codes = {code for code, _ in signature.problems}
    if not codes & {"ATM006", "ATM007"} and not is_message(Schedule("", function).emits, Event):
        returns = said(signature.returns) if signature.says_its_answer else "nothing that it says"
        yield Finding("ATM063", place_of(function), f"schedule {name!r}: its function returns {returns}")
    if signature.collaborators:
        asked = ", ".join(signature.collaborators)
        detail = f"schedule {name!r}: its function gets the tick and nothing else, and asks for {asked}"
        yield Finding("ATM063", place_of(function), detail)


def _place(schedule: Schedule) -> str:
    target = type(schedule.event) if isinstance(schedule.event, Event) else schedule.event
    return place_of(target) if inspect.isroutine(target) or isinstance(target, type) else repr(target)
