"""Boot checks of what the tables say: kinds, doubles, names, ordering keys, explanations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from ..domain.messages import Command, Event, Message
from .diagnostics import Finding
from .injection import place_of
from .routes import RECIPIENT_KINDS, Double, Route
from .wiring import Found, Wiring, is_message, unusable


def right_kinds(wiring: Wiring) -> Found:
    """Each entry maps a message of its kind to a function."""
    for row in wiring.routes.rows:
        yield from unusable(row)
    for command, events in wiring.routes.records.items():
        if not is_message(command, Command):
            yield Finding("ATM029", _place(command), "has an entry in `records`, and is no Command")
        for event in events:
            if not is_message(event, Event):
                yield Finding(
                    "ATM029", _place(event), f"`records` of {_name(command)} lists it, and it is no Event"
                )
    for entry, messages, kind in (
        ("ignored", wiring.routes.ignored, Event),
        ("requires", wiring.routes.requires, Message),
    ):
        for message in messages:
            if not is_message(message, kind):
                detail = f"has an entry in `{entry}`, and is no {kind.__name__}"
                yield Finding("ATM029", _place(message), detail)
    for message in wiring.routes.requires:
        if is_message(message, Command):
            detail = "has an entry in `requires`, and nobody sends a command: name the event that triggers it"
            yield Finding("ATM029", _place(message), detail)


def nothing_twice(wiring: Wiring) -> Found:
    """No two tables say something of one message, and no listener hears an event twice."""
    for double in wiring.routes.doubles:
        yield Finding("ATM025", *_doubled(double))
    heard: set[tuple[Any, ...]] = set()
    for row in wiring.of("trigger", "projection", "reaction", "topic"):
        if (same := (row.kind, row.name, row.message, row.target)) in heard:
            yield Finding("ATM025", place_of(row.written), f"is a {row.kind} of {_name(row.message)} twice")
        heard.add(same)


def wire_names_differ(wiring: Wiring) -> Found:
    """Each wire name belongs to one class."""
    known: dict[str, type[Message]] = {}
    for message in wiring.routes.messages():
        if not is_message(message, Message):
            continue
        other = known.setdefault(message.wire_name, message)
        if other is not message:
            detail = f"is named {message.wire_name!r}, and so is {place_of(other)}"
            yield Finding("ATM015", place_of(message), detail)


def recipients_differ(wiring: Wiring) -> Found:
    """Each recipient's name belongs to one function, which fails in one way, and has one policy."""
    by_name: dict[str, list[Route]] = defaultdict(list)
    for row in wiring.of(*(kind for kind in RECIPIENT_KINDS if kind not in ("command", "subscription"))):
        by_name[row.name].append(row)
    for name, (first, *others) in by_name.items():
        for row in others:
            if row.target is not first.target and row.kind != "topic":
                detail = f"is the recipient {name!r}, and so is {place_of(first.target)}"
                yield Finding("ATM019", place_of(row.target), detail)
            elif row.parks is not first.parks or row.policy != first.policy:
                both = f"{_name(first.message)} and {_name(row.message)}"
                what = "parks for one of them only" if row.parks is not first.parks else "in two ways"
                yield Finding("ATM025", place_of(row.written), f"hears {both}, and {what}")


def ordering_keys_exist(wiring: Wiring) -> Found:
    """The field that order is kept by is one of the event's."""
    for row in wiring.of("trigger", "projection", "reaction", "topic"):
        known = [field.name for field in fields(row.message)]
        if row.by is not None and row.by not in known:
            near = get_close_matches(row.by, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            has = f"{_name(row.message)} has {', '.join(known) or 'no field'}{hint}"
            yield Finding("ATM061", place_of(row.written), f"order is kept by {row.by!r}, and {has}")


def policies_can_be_kept(wiring: Wiring) -> Found:
    """What a route says about retries and limits can be done, and is said of someone who gets deliveries."""
    for row in wiring.rows:
        for flaw in row.flaws:
            yield Finding("ATM065", place_of(row.written), flaw)


def explanations_explain(wiring: Wiring) -> Found:
    """What `ignored`, `records` and `requires` mention exists."""
    heard = {row.message for row in wiring.rows if row.kind != "subscription"}
    triggered = {command for row in wiring.of("trigger") for command in wiring.commands(row)}
    for event in wiring.routes.ignored:
        if event in heard and issubclass(event, Event):
            yield Finding(
                "ATM020", _place(event), "`ignored` explains why nobody hears it, and somebody does"
            )
    handled = heard | triggered | {row.message for row in wiring.of("subscription")}
    for entry, messages in (("records", wiring.routes.records), ("requires", wiring.routes.requires)):
        for message in messages:
            if message not in handled and is_message(message, Message) and not issubclass(message, Event):
                yield Finding("ATM020", place_of(message), f"has an entry in `{entry}`, and no handler")


def _doubled(double: Double) -> Iterator[str]:
    pair = double.key if isinstance(double.key, tuple) else (double.key,)
    yield _place(pair[0])
    contexts = " and of ".join(dict.fromkeys(double.contexts))
    yield f"two tables of {contexts} have an entry ({', '.join(map(_name, pair))}) in `{double.entry}`"


def _name(said: Any) -> str:
    return getattr(said, "__name__", None) or repr(said)


def _place(said: Any) -> str:
    return place_of(said) if isinstance(said, type) else repr(said)
