"""Translations: how what other services write in their own way becomes an event of this one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.errors import AtomosError
from ..domain.messages import Event
from .injection import classes_in, signature_of


class NotUnderstood(AtomosError):
    """What came from a broker is no message that this build understands."""


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """What another service wrote, as it came: `headers` by their names in lower case.

    `content_type` is None where nobody said.
    """

    topic: str
    body: bytes
    content_type: str | None
    headers: Mapping[str, str]

    def json(self) -> Any:
        """Read the body as JSON. Raises `NotUnderstood`."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise NotUnderstood(f"The body is no JSON: {error}.") from error


@dataclass(frozen=True, slots=True)
class Translation:
    """A function that makes an event of a foreign message, and where that has its id and its key.

    `identified_by` and `ordered_by` name members of the JSON object in its body; see `translated`.
    """

    function: Callable[[ForeignMessage], Event[Any] | None]
    identified_by: str | None = None
    ordered_by: str | None = None

    @property
    def event(self) -> type[Event[Any]]:
        """The event's class; `Event` itself where the function does not name exactly one."""
        named = classes_in(signature_of(self.function).returns, Event)
        return named[0] if len(named) == 1 else Event

    def member(self, message: ForeignMessage, name: str | None) -> str | None:
        """Give what a member of the body says, as text; None where none is named. Raises `NotUnderstood`."""
        if name is None:
            return None
        document = message.json()
        if not isinstance(document, dict) or document.get(name) is None:
            raise NotUnderstood(
                f"The body has no member {name!r}, by which it is told apart or kept in order."
            )
        return str(document[name])


def translated(
    function: Callable[[ForeignMessage], Event[Any] | None],
    *,
    identified_by: str | None = None,
    ordered_by: str | None = None,
) -> Translation:
    """Read what other services write in their own way, in `subscribes`, by a function.

    `function` makes the event of a message, or None of one that nobody here has to hear of; what it raises is noted,
    and the message is parked. The others name members of the JSON object in its body: by one repeats are recognised
    (None: by the id that the broker knows, and where it knows none each message is a new one), by the other order is
    kept (None: there is none).
    """
    return Translation(function, identified_by, ordered_by)
