"""The two verbs of a view, and what a request's headers say about its sender."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from flask import current_app, request
from werkzeug.exceptions import BadRequest

from ..domain.messages import Event, Message, Query
from ..service.bus import MessageBus
from ..service.envelope import Origin, Principal, hashed_id, new_id
from ..service.errors import NotPermitted, SentLater
from ..service.following import OPERATOR
from ..service.ports import Unavailable
from ..service.tracing import read_traceparent
from .conditions import expected
from .later import accept, prefers_later
from .security import ANONYMOUS, Guard, Refused

A = TypeVar("A")

KEYED_METHODS = frozenset(("POST", "PUT", "PATCH", "DELETE"))
"""The methods whose requests may carry an `Idempotency-Key`."""

_PRINCIPAL = "atomos.principal"
_CORRELATION = "atomos.correlation_id"
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# A server joins a header that came twice with a comma, so that a bare key with a comma may be two keys.
_BARE_KEY = re.compile(r"[!#-+\--~][!-+\--~]{0,254}")
_QUOTED_KEY = re.compile(r'"((?:[!#-\[\]-~]|\\["\\]){1,510})"')
_LONGEST_KEY = 255
_VARIABLE = re.compile("<[^>]*>")


class Edge(Protocol):
    """What `app.extensions["atomos"]` has to be: something with the application's bus, and with its guard."""

    @property
    def guard(self) -> Guard:
        """Who says who sent a request."""
        ...

    @property
    def bus(self) -> MessageBus:
        """The bus that views emit to and ask."""
        ...


def emit(event: Event[A]) -> A:
    """Let the application hear an event, and give the answer.

    With an `Idempotency-Key`, a repeat of the request gets the answer that the first one got; with `If-Match`, the
    change is made to that version only. Raises what the bus raises, and `BadRequest` for a header that cannot be
    used.
    """
    environ = request.environ
    bus, origin = _edge().bus, _origin(environ, _keyed_id(environ), expected(environ))
    # With a condition there is something to wait for: whether it holds.
    if prefers_later(environ) and origin.expects is None and bus.flow.events[type(event)].listeners:
        accept(bus.send_later(event, origin))
    try:
        return bus.emit(event, origin)
    except SentLater as sent:
        accept(sent.message_id)


def ask(query: Query[A]) -> A:
    """Answer a question. Raises what the bus raises, and `BadRequest` for a header that cannot be used."""
    return _edge().bus.ask(query, _origin(request.environ, None))


def principal() -> Principal:
    """Say who is asking, by the header `Authorization`; without one it is `anonymous`. Raises `Refused`."""
    environ = request.environ
    known: Principal | Exception | None = environ.get(_PRINCIPAL)
    if known is None:
        known = environ[_PRINCIPAL] = _found(environ)
    if isinstance(known, Exception):
        raise known
    return known


def known_name() -> str | None:
    """Say who is asking as far as it is known by now; None where nobody has looked, or the credentials were refused."""
    known = request.environ.get(_PRINCIPAL)
    return known.name if isinstance(known, Principal) else None


def permit(message: type[Message]) -> None:
    """Refuse who may not send such a message, before more is read of the request.

    Raises `NotPermitted`; `Refused` where credentials are missing.
    """
    sender = principal()
    try:
        _edge().bus.permit(message, sender)
    except NotPermitted:
        _ask_for_credentials(sender)
        raise


def check_correlation() -> None:
    """Refuse an `X-Correlation-ID` that cannot be used, where nothing is emitted or asked. Raises `BadRequest`."""
    _given_correlation(request.environ)


def operates() -> bool:
    """Whether who asks may look at what others sent, and at how the service runs. Raises as `principal` does."""
    return principal().may(OPERATOR)


def permit_operators() -> None:
    """Refuse who may not look at how the service runs. Raises as `permit` does."""
    if not operates():
        _ask_for_credentials(principal())
        raise NotPermitted(f"This requires {OPERATOR}, which {principal().name} does not have.")


def _found(environ: dict[str, Any]) -> Principal | Exception:
    # What came of looking is kept, too: whoever is away is not asked twice for one request.
    try:
        return _edge().guard.principal(environ)
    except (Refused, Unavailable) as error:
        return error


def _ask_for_credentials(sender: Principal) -> None:
    if sender.name == ANONYMOUS:
        raise Refused("This needs credentials: send the header `Authorization: Bearer <token>`.") from None


def correlation_id() -> str:
    """Give the id of the conversation that this request belongs to; made when first asked for.

    It is what `X-Correlation-ID` says, where that can be used. The response has it, and every message.
    """
    environ = request.environ
    if (known := environ.get(_CORRELATION)) is None:
        given = environ.get("HTTP_X_CORRELATION_ID", "")
        known = environ[_CORRELATION] = given.lower() if _UUID.fullmatch(given) else new_id()
    return str(known)


def _edge() -> Edge:
    try:
        edge: Edge = current_app.extensions["atomos"]
    except KeyError:
        raise RuntimeError(
            f"The Flask application {current_app.name!r} has no bus: "
            "call atomos.core.api.install(app, bus=...) before it serves."
        ) from None
    return edge


def _origin(environ: dict[str, Any], id_: str | None, expects: frozenset[int] | None = None) -> Origin:
    if (known := environ.get(_CORRELATION)) is None:
        # A keyed event begins its conversation under its own id, so that its repeats are in the same one.
        known = environ[_CORRELATION] = _given_correlation(environ) or id_ or new_id()
    trace = environ.get("HTTP_TRACEPARENT")
    return Origin(principal(), id_, known, read_traceparent(trace) if trace else None, expects)


def _given_correlation(environ: dict[str, Any]) -> str | None:
    given: str | None = environ.get("HTTP_X_CORRELATION_ID")
    if given is not None and not _UUID.fullmatch(given):
        raise BadRequest(
            "The header X-Correlation-ID has to be one UUID, such as 0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e; "
            "send one, or leave the header out and one is made."
        )
    return given and given.lower()


def _keyed_id(environ: dict[str, Any]) -> str | None:
    given = environ.get("HTTP_IDEMPOTENCY_KEY")
    if given is None or environ["REQUEST_METHOD"] not in KEYED_METHODS:
        return None
    # The rule and not the path: one key for two paths is a client's mistake, and the fingerprint shows it.
    route = f"{environ['REQUEST_METHOD']} {_nameless(str(request.url_rule))}"
    # Whoever has no name shares one with all others: the id is all that keeps them from each other's answers.
    salt = [_edge().guard.salt] if principal().name == ANONYMOUS else []
    return hashed_id("http", principal().name, route, read_key(given), *filter(None, salt))


@lru_cache(maxsize=1024)
def _nameless(rule: str) -> str:
    # Another build may name its variables otherwise, and a repeat may come to either.
    return _VARIABLE.sub("<>", rule)


def read_key(header: str) -> str:
    """Read an `Idempotency-Key`, bare or as an RFC 8941 string. Raises `BadRequest`."""
    if _BARE_KEY.fullmatch(header):
        return header
    quoted = _QUOTED_KEY.fullmatch(header)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not 0 < len(key) <= _LONGEST_KEY:
        raise BadRequest(
            "The header Idempotency-Key has to be given once, with 1 to 255 visible ASCII characters and no "
            "comma, or as a quoted string; a UUID is a good key."
        )
    return key
