"""What the boot check looks at: the routes, what each context offers, and every signature, read once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..domain.messages import Command, Event, Message, Query
from .diagnostics import Finding
from .injection import Offers, Signature, Unread, classes_in, place_of, signature_of
from .routes import JoinedRoutes, Route

Found = Iterator[Finding]

LEFT: Mapping[str, type[Message]] = {
    "trigger": Event,
    "projection": Event,
    "reaction": Event,
    "command": Command,
    "query": Query,
    "topic": Event,
}
"""What each kind of route maps from."""


class Wiring(NamedTuple):
    """Routes, offers by context, and signatures by function; `rows` are those that can be looked into."""

    routes: JoinedRoutes
    offers: Mapping[str, Offers]
    rows: tuple[Route, ...]
    signatures: Mapping[int, Signature]

    def of(self, *kinds: str) -> Iterator[Route]:
        """Give the rows of some kinds, in the order of their tables."""
        return (row for row in self.rows if row.kind in kinds)

    def read(self, *kinds: str) -> Iterator[tuple[Route, Signature]]:
        """Give the rows of some kinds that are functions, each with its signature."""
        return ((row, self.signatures[id(row.target)]) for row in self.of(*kinds) if is_function(row))

    def commands(self, row: Route) -> tuple[type[Command[Any]], ...]:
        """Say which commands a trigger may return."""
        if is_class(row):
            return (row.target,)
        return _named(self.signatures[id(row.target)], Command)

    def events(self, row: Route) -> tuple[type[Event[Any]], ...]:
        """Say which events a reaction may return."""
        return _named(self.signatures[id(row.target)], Event)

    def is_unread(self, row: Route) -> bool:
        """Whether it is unknown what a row's function returns, which is reported as a mistake of its own."""
        return not is_class(row) and self.signatures[id(row.target)].returns is Unread


def wiring_of(routes: JoinedRoutes, offers: Mapping[str, Offers]) -> Wiring:
    """Read every function of the routes."""
    rows = tuple(row for row in routes.rows if not list(unusable(row)))
    functions = {id(row.target): row.target for row in rows if is_function(row)}
    return Wiring(routes, offers, rows, {key: signature_of(each) for key, each in functions.items()})


def is_class(row: Route) -> bool:
    """Whether a command class stands in place of a trigger function."""
    return isinstance(row.target, type)


def is_function(row: Route) -> bool:
    """Whether the bus calls what a row maps to; a topic's and a subscription's are no functions of the bus."""
    return not is_class(row) and row.kind not in ("topic", "subscription")


def unusable(row: Route) -> Found:
    """Find why a row cannot be looked into: it maps from the wrong kind of message, or not to a function."""
    if row.kind == "subscription":
        return  # it maps from a topic; what that brings is looked at by a check of its own
    kind = LEFT[row.kind]
    if not is_message(row.message, kind):
        detail = f"the table of {row.context} for each {row.kind} maps from {_what(row.message, kind)}"
        yield Finding("ATM029", _place(row.message), detail)
    if row.kind == "trigger" and is_class(row):
        if not is_message(row.target, Command):
            detail = (
                f"is a trigger of {row.name.split(':')[1]} in {row.context}, and {_what(row.target, Command)}"
            )
            yield Finding("ATM029", _place(row.target), detail)
    elif row.kind == "topic":
        return  # what it is called is looked at by a check of its own
    elif not inspect.isroutine(row.target):
        detail = f"{row.target!r} is given as the {row.kind} of {_name(row.message)}, and is no function"
        yield Finding("ATM029", _place(row.message), detail)


def is_message(said: Any, kind: type[Message]) -> bool:
    """Whether something is a class of such messages, with a name."""
    return isinstance(said, type) and issubclass(said, kind) and bool(said.wire_name)


def _named(signature: Signature, kind: type[Message]) -> tuple[Any, ...]:
    return tuple(each for each in classes_in(signature.returns, kind) if is_message(each, kind))


def _what(said: Any, kind: type[Message]) -> str:
    return f"{_name(said)}, which is no {kind.__name__}"


def _name(said: Any) -> str:
    return getattr(said, "__name__", None) or repr(said)


def _place(said: Any) -> str:
    return place_of(said) if isinstance(said, type) else repr(said)
