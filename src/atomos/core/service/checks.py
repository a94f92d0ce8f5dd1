"""The boot check: every mistake in the wiring that can be found before the first request, in one report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from inspect import Signature as Inspected
from typing import Any, NamedTuple

from ..domain.messages import Command, Event, Message, Query, answer_of
from .diagnostics import Finding
from .injection import Offer, Offers, Signature, classes_in, fits, members, place_of, signature_of
from .ports import Outside
from .routes import RECIPIENT_KINDS, JoinedRoutes, Route
from .unit_of_work import UnitOfWork

Found = Iterator[Finding]


class _Wiring(NamedTuple):
    """What the checks look at: routes, offers by context, and each function's signature, read once."""

    routes: JoinedRoutes
    offers: Mapping[str, Offers]
    signatures: Mapping[int, Signature]

    def signature(self, row: Route) -> Signature | None:
        """Give the signature of a row's function; None for a command class."""
        return self.signatures.get(id(row.target))

    def commands(self, row: Route) -> tuple[type[Command[Any]], ...]:
        """Say which commands a trigger may return."""
        signature = self.signature(row)
        return classes_in(signature.returns, Command) if signature else (row.target,)  # type: ignore[return-value]


def check(routes: JoinedRoutes, offers: Mapping[str, Offers]) -> list[Finding]:
    """Find every mistake; an empty list means that the flow is whole."""
    functions = {id(row.target): row.target for row in routes.rows if not isinstance(row.target, type)}
    wiring = _Wiring(routes, offers, {key: signature_of(function) for key, function in functions.items()})
    found = [finding for each in CHECKS for finding in each(wiring)]
    return list(dict.fromkeys(found))


def _signatures(wiring: _Wiring) -> Found:
    for row in wiring.routes.rows:
        if (signature := wiring.signature(row)) is None:
            continue
        for code, detail in signature.problems:
            yield Finding(code, place_of(row.target), detail)
        if not signature.problems and row.message not in members(signature.message):
            given = getattr(signature.message, "__name__", "no message")
            detail = f"takes {given} and is mapped to {row.message.__name__}"
            yield Finding("ATM004", place_of(row.target), detail)


def _answers(wiring: _Wiring) -> Found:
    for row in wiring.routes.rows:
        signature = wiring.signature(row)
        if row.kind not in ("command", "query") or signature is None or signature.problems:
            continue
        declared, returned = members(answer_of(row.message)), members(signature.returns)
        if signature.returns is Inspected.empty or not returned <= declared:
            said = "no return annotation" if signature.returns is Inspected.empty else _said(returned)
            detail = f"returns {said}, and {row.message.__name__} declares {_said(declared)}"
            yield Finding("ATM005", place_of(row.target), detail)


def _collaborators(wiring: _Wiring) -> Found:
    for row in wiring.routes.rows:
        signature, offers = wiring.signature(row), wiring.offers.get(row.context, {})
        for name, annotation in (signature.collaborators if signature else {}).items():
            if row.kind == "trigger":
                detail = f"parameter {name}: a trigger gets the event and nothing else"
                yield Finding("ATM008", place_of(row.target), detail)
            elif name not in offers:
                yield Finding("ATM008", place_of(row.target), _not_offered(row.context, name, offers))
            else:
                yield from _misfits(row, offers[name], annotation)


def _misfits(row: Route, offer: Offer, annotation: Any) -> Found:
    place = place_of(row.target)
    if not fits(offer, annotation):
        made = offer.makes.__name__ if offer.makes else "what it does not say"
        wanted = _said(members(annotation))
        yield Finding("ATM009", place, f"parameter {offer.name} wants {wanted}; {offer.where} makes {made}")
    elif row.kind != "reaction" and issubclass(offer.makes or object, Outside):
        yield Finding("ATM010", place, f"parameter {offer.name} of a {row.kind} is {_name(offer.makes)}")
    elif row.kind != "command" and issubclass(offer.makes or object, UnitOfWork):
        yield Finding("ATM013", place, f"parameter {offer.name} of a {row.kind} is {_name(offer.makes)}")


def _handlers(wiring: _Wiring) -> Found:
    handlers: dict[type[Message], list[Route]] = defaultdict(list)
    for row in wiring.routes.rows:
        if row.kind in ("command", "query"):
            handlers[row.message].append(row)
    mentioned: list[type[Message]] = [c for row in wiring.routes.rows if row.kind == "trigger" for c in wiring.commands(row)]
    mentioned += [m for m in wiring.routes.messages() if issubclass(m, (Command, Query))]
    for message in dict.fromkeys(mentioned):
        if not handlers[message]:
            yield Finding("ATM001", place_of(message), f"{message.__name__} has no handler")
    for message, rows in handlers.items():
        if len(rows) > 1:
            places = " and ".join(place_of(row.target) for row in rows)
            yield Finding("ATM002", place_of(message), f"{message.__name__} is handled by {places}")


def _hearing(wiring: _Wiring) -> Found:
    heard = {row.message for row in wiring.routes.rows}
    said = {event for events in wiring.routes.records.values() for event in events}
    said |= {m for m in wiring.routes.requires if issubclass(m, Event)}
    said |= {event for row in wiring.routes.rows if row.kind == "reaction" for event in _returned(wiring, row)}
    for event in said - heard - set(wiring.routes.ignored):
        yield Finding("ATM003", place_of(event), f"{event.__name__} is said, and nobody hears it")


def _returned(wiring: _Wiring, row: Route) -> tuple[type, ...]:
    signature = wiring.signature(row)
    return classes_in(signature.returns, Event) if signature else ()


def _triggers(wiring: _Wiring) -> Found:
    for row in wiring.routes.rows:
        if row.kind != "trigger":
            continue
        signature = wiring.signature(row)
        if signature is None:
            known = {field.name for field in fields(row.message)}
            missing = [f.name for f in fields(row.target) if f.name not in known and _needed(f)]  # type: ignore[arg-type]
            if missing:
                detail = f"{row.message.__name__} lacks {', '.join(missing)}"
                yield Finding("ATM011", place_of(row.target), detail)
        elif not signature.problems and not classes_in(signature.returns, Command):
            yield Finding("ATM021", place_of(row.target), f"returns {signature.returns!r}")


def _event_answers(wiring: _Wiring) -> Found:
    for event in wiring.routes.messages():
        answer = members(answer_of(event))
        if not issubclass(event, Event) or answer == members(None):
            continue
        commands = [c for row in wiring.routes.of("trigger", event) for c in wiring.commands(row)]
        giving = [c.__name__ for c in commands if members(answer_of(c)) == answer]
        if len(giving) != 1:
            among = ", ".join(giving or [c.__name__ for c in commands]) or "no command"
            detail = f"{event.__name__} promises {_said(answer)}; {len(giving)} of its commands give it ({among})"
            yield Finding("ATM012", place_of(event), detail)


def _cycles(wiring: _Wiring) -> Found:
    circles: set[tuple[type[Message], type[Message]]] = {
        (row.message, command)
        for row in wiring.routes.rows
        if row.kind == "trigger"
        for command in wiring.commands(row)
        if row.message in _consequences(wiring, command)
    }
    for event, command in circles - set(wiring.routes.cycles):
        detail = f"{event.__name__} triggers {command.__name__}, which can lead to {event.__name__} again"
        yield Finding("ATM014", place_of(command), detail)
    for event, command in set(wiring.routes.cycles) - circles:
        detail = f"cycles explains ({event.__name__}, {command.__name__}), which is no circle"
        yield Finding("ATM020", place_of(command), detail)


def _consequences(wiring: _Wiring, command: type[Command[Any]]) -> set[type[Message]]:
    events: set[type[Message]] = set()
    waiting: list[type[Message]] = list(wiring.routes.records.get(command, ()))
    while waiting:
        event = waiting.pop()
        if event in events:
            continue
        events.add(event)
        for row in wiring.routes.of("trigger", event):
            waiting += [e for c in wiring.commands(row) for e in wiring.routes.records.get(c, ())]
        for row in wiring.routes.of("reaction", event):
            waiting += _returned(wiring, row)
    return events


def _names(wiring: _Wiring) -> Found:
    wire: dict[str, type[Message]] = {}
    for message in wiring.routes.messages():
        other = wire.setdefault(message.wire_name, message)
        if other is not message:
            detail = f"{message.__name__} and {other.__name__} ({place_of(other)}) are both {message.wire_name!r}"
            yield Finding("ATM015", place_of(message), detail)
    recipients: dict[str, Route] = {}
    for row in wiring.routes.rows:
        first = recipients.setdefault(row.name, row)
        if row.kind in RECIPIENT_KINDS and row.kind != "command" and first.target is not row.target:
            yield Finding("ATM019", place_of(row.target), f"{row.name} is also {place_of(first.target)}")


def _explanations(wiring: _Wiring) -> Found:
    heard = {row.message for row in wiring.routes.rows}
    for event in wiring.routes.ignored:
        if event in heard:
            yield Finding("ATM020", place_of(event), f"ignored explains {event.__name__}, which somebody hears")
    for command in wiring.routes.records:
        if command not in heard:
            yield Finding("ATM020", place_of(command), f"records lists {command.__name__}, which nobody handles")
    for message in wiring.routes.requires:
        if message not in heard and not issubclass(message, Event):
            yield Finding("ATM020", place_of(message), f"requires lists {message.__name__}, which nobody handles")


CHECKS: tuple[Callable[[_Wiring], Found], ...] = (
    _signatures,
    _answers,
    _collaborators,
    _handlers,
    _hearing,
    _triggers,
    _event_answers,
    _cycles,
    _names,
    _explanations,
)


def _not_offered(context: str, name: str, offers: Offers) -> str:
    near = get_close_matches(name, offers, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"parameter {name}: {context} offers {', '.join(sorted(offers)) or 'nothing'}{hint}"


def _needed(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _said(kinds: frozenset[Any]) -> str:
    return " | ".join(sorted("None" if kind is type(None) else _name(kind) for kind in kinds))


def _name(kind: Any) -> str:
    return str(kind) if hasattr(kind, "__origin__") else getattr(kind, "__name__", str(kind))
