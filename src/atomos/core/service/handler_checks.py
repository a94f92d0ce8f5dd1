"""Boot checks of each function in the tables: what it takes, what it asks for, what it returns."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from ..domain.messages import answer_of
from .diagnostics import Finding
from .injection import Offer, Offers, Signature, Unread, fits, members, place_of, said
from .ports import Outside
from .routes import Route
from .unit_of_work import UnitOfWork
from .wiring import LEFT, Found, Wiring

_KINDS = tuple(LEFT)


def signatures_can_be_filled(wiring: Wiring) -> Found:
    """A handler is a plain function whose first parameter is its message."""
    for row, signature in wiring.read(*_KINDS):
        for code, detail in signature.problems:
            yield Finding(code, place_of(row.target), detail)
        codes = {code for code, _ in signature.problems}
        if signature.message is Unread or codes & {"ATM004", "ATM022"}:
            continue
        if row.message not in members(signature.message):
            given = said(signature.message) if signature.message else "no annotated message"
            detail = f"takes {given} first, and is the {row.kind} of {row.message.__name__}"
            yield Finding("ATM004", place_of(row.target), detail)


def answers_agree(wiring: Wiring) -> Found:
    """The handler of a command or query returns the answer that its message declares."""
    for row, signature in wiring.read("command", "query"):
        declared = members(answer_of(row.message))
        if _is_sound(signature) and not (
            signature.says_its_answer and members(signature.returns) <= declared
        ):
            promised = said(answer_of(row.message))
            detail = f"{_returned(signature)}; {row.message.__name__} declares {promised}"
            yield Finding("ATM005", place_of(row.target), detail)


def listeners_say_what_they_return(wiring: Wiring) -> Found:
    """A trigger returns commands, a reaction events or None, a projection None."""
    for row, signature in wiring.read("trigger", "reaction", "projection"):
        code, rule, is_right = _RETURNS[row.kind]
        if _is_sound(signature) and not is_right(wiring, row, signature):
            yield Finding(code, place_of(row.target), f"{_returned(signature)}; a {row.kind} returns {rule}")


def triggers_get_the_event_alone(wiring: Wiring) -> Found:
    """A trigger asks the container for nothing."""
    for row, signature in wiring.read("trigger"):
        offers = wiring.offers.get(row.context, {})
        for name in signature.collaborators:
            made = offers[name].makes if name in offers else None
            code = next((code for kind, code in _NEVER.items() if made and issubclass(made, kind)), "ATM026")
            detail = f"parameter {name}: a trigger gets the event and nothing else"
            yield Finding(code, place_of(row.target), detail)


def parameters_are_offered(wiring: Wiring) -> Found:
    """The context offers every parameter, and what it makes fits, and may be had there."""
    for row, signature in wiring.read("command", "query", "reaction", "projection"):
        offers = wiring.offers.get(row.context, {})
        for name, annotation in signature.collaborators.items():
            if name not in offers:
                yield Finding("ATM008", place_of(row.target), _not_offered(row.context, name, offers))
            else:
                yield from _misfits(row, offers[name], annotation)


def _misfits(row: Route, offer: Offer, annotation: Any) -> Found:
    place, made = place_of(row.target), offer.makes or object
    if not fits(offer.makes, annotation):
        makes = said(offer.makes) if offer.makes else "something, and does not say what"
        detail = (
            f"parameter {offer.name} wants {said(annotation)}; {offer.where} makes {makes}{_hint(annotation)}"
        )
        yield Finding("ATM009", place, detail)
    for kind, code in _NEVER.items():
        if issubclass(made, kind) and row.kind != _ONLY[kind]:
            detail = f"parameter {offer.name} of a {row.kind} is {said(made)} ({offer.where})"
            yield Finding(code, place, detail)


def _not_offered(context: str, name: str, offers: Offers) -> str:
    near = get_close_matches(name, offers, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"parameter {name}: {context} offers {', '.join(sorted(offers)) or 'nothing'}{hint}"


def _hint(annotation: Any) -> str:
    is_protocol = any(getattr(member, "_is_protocol", False) for member in members(annotation))
    return "; a port is an abstract base class, and no Protocol" if is_protocol else ""


def _is_sound(signature: Signature) -> bool:
    asynchronous = any(code == "ATM006" for code, _ in signature.problems)
    return signature.returns is not Unread and not asynchronous


def _returned(signature: Signature) -> str:
    return (
        f"returns {said(signature.returns)}" if signature.says_its_answer else "does not say what it returns"
    )


def _returns_commands(wiring: Wiring, row: Route, _: Signature) -> bool:
    return bool(wiring.commands(row))


def _returns_events(wiring: Wiring, row: Route, signature: Signature) -> bool:
    return _returns_nothing(wiring, row, signature) or bool(wiring.events(row))


def _returns_nothing(_: Wiring, __: Route, signature: Signature) -> bool:
    return signature.says_its_answer and members(signature.returns) == members(None)


_Rule = tuple[str, str, Callable[[Wiring, Route, Signature], bool]]

_RETURNS: dict[str, _Rule] = {
    "trigger": ("ATM021", "commands, each named by its class", _returns_commands),
    "reaction": ("ATM060", "None, or events, each named by its class", _returns_events),
    "projection": ("ATM060", "None", _returns_nothing),
}

_NEVER: dict[type, str] = {Outside: "ATM010", UnitOfWork: "ATM013"}
_ONLY: dict[type, str] = {Outside: "reaction", UnitOfWork: "command"}
