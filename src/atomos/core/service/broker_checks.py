"""Boot checks of topics: what is published to and read from a message broker."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ..domain.messages import Event
from .diagnostics import Finding
from .injection import Unread, members, place_of, said, signature_of
from .routes import Route, topic_of
from .translating import ForeignMessage, Translation
from .wiring import Found, Wiring, is_message

_TOPIC = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_LONGEST_TOPIC = 120


def topics_can_be_named(wiring: Wiring) -> Found:
    """Every broker takes the name of each topic."""
    for row in wiring.routes.rows:
        if row.kind not in ("topic", "subscription"):
            continue
        topic: Any = row.target if row.kind == "topic" else topic_of(row.name)
        if not (isinstance(topic, str) and len(topic) <= _LONGEST_TOPIC and _TOPIC.fullmatch(topic)):
            yield Finding("ATM080", _place(row), f"the topic of {_name(row.message)} is {topic!r}")


def subscriptions_bring_events(wiring: Wiring) -> Found:
    """Each topic that is read brings events, each once, and at most one translation."""
    for topic, rows in wiring.routes.subscriptions().items():
        for row in rows:
            yield from _mistranslated(topic, row)
        for event, times in Counter(row.message for row in rows).items():
            if times > 1:
                yield Finding("ATM081", _place(rows[0]), f"{topic} brings {_name(event)} {times} times")
        if sum(isinstance(row.target, Translation) for row in rows) > 1:
            detail = f"{topic} has two translations, and nothing says which of them is for a message"
            yield Finding("ATM081", _place(rows[0]), detail)


def subscribed_events_change_nothing_themselves(wiring: Wiring) -> Found:
    """What a topic brings keeps no read model: nothing was changed that it could show."""
    projected = {row.message for row in wiring.of("projection")}
    for row in wiring.of("subscription"):
        if row.message in projected:
            detail = (
                f"{topic_of(row.name)} brings {_name(row.message)}, which keeps a read model: "
                "only a command records it"
            )
            yield Finding("ATM063", _place(row), detail)


def _mistranslated(topic: str, row: Route) -> Found:
    if not isinstance(row.target, Translation):
        if not is_message(row.target, Event):
            detail = (
                f"{topic} brings {_name(row.target)}, which is no event with a name, nor made by `translated`"
            )
            yield Finding("ATM081", _place(row), detail)
        return
    place, signature = place_of(row.target.function), signature_of(row.target.function)
    if signature.message is not ForeignMessage or signature.collaborators:
        yield Finding("ATM081", place, f"{topic}: a translation gets one argument, a ForeignMessage")
    if signature.returns is Unread or not _is_event_or_none(signature.returns):
        detail = (
            f"{topic}: it returns {said(signature.returns)}; a translation returns one event, or it or None"
        )
        yield Finding("ATM081", place, detail)


def _is_event_or_none(returns: Any) -> bool:
    events = members(returns) - {type(None)}
    return len(events) == 1 and all(is_message(each, Event) for each in events)


def _place(row: Route) -> str:
    return place_of(row.written) if callable(row.written) else repr(row.written)


def _name(said: Any) -> str:
    return getattr(said, "__name__", None) or repr(said)
