"""One row of a blueprint's table, read from its view by reflection, and what can be wrong with it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from ..domain.constraints import is_sensitive
from ..domain.errors import DomainError
from ..domain.messages import Created, Event, Message, Page, Query, answer_of
from ..service.diagnostics import Diagnosed, Finding
from ..service.injection import members, place_of, said, signature_of
from .answering import OTHERWISE, STATUSES
from .conditions import versions_in
from .kinds import Unfit
from .reading import QUERY_METHODS
from .schemas import Shapes

Found = Iterator[tuple[str, str]]
"""Mistakes: a diagnostic's code, and what is wrong."""

_VARIABLE = re.compile(r"<(?:[^<>:]*:)?(\w+)>")


class Unanswered(Diagnosed):
    """A view returned None, and declares an answer."""

    code = "ATM024"


class Endpoint(NamedTuple):
    """One row of a blueprint's table.

    `path` is as Flask writes it, with the blueprint's own prefix; `name` is the endpoint's, within the
    blueprint; `place` is `path:line` and the view; `reads` makes the message from the request (None: its
    fields do); `location` names the endpoint where what was created can be read (None: nowhere); `needs_key` says
    that a request without an `Idempotency-Key` is refused; `raises` are domain errors that the document names.
    """

    method: str
    path: str
    name: str
    message: type[Message]
    answer: Any
    view: Callable[..., Any]
    summary: str
    place: str
    reads: Callable[..., Message] | None = None
    location: str | None = None
    needs_key: bool = False
    raises: tuple[type[DomainError], ...] = ()

    @property
    def emits(self) -> bool:
        """Whether the view emits an event; otherwise it asks a query."""
        return issubclass(self.message, Event)

    @property
    def variables(self) -> frozenset[str]:
        """The names of the path's variables."""
        return frozenset(_VARIABLE.findall(self.path))

    @property
    def has_body(self) -> bool:
        """Whether what the path does not name comes from a JSON body; otherwise from the query string."""
        return self.method not in QUERY_METHODS

    @property
    def texts(self) -> frozenset[str]:
        """The fields that come from the URL."""
        return self.variables if self.has_body else frozenset(_fields(self.message))

    @property
    def versions(self) -> Mapping[type, str]:
        """The field of each kind of answer that makes its `ETag`."""
        return versions_in(body for bodies in self.bodies.values() for body in bodies)

    @property
    def bodies(self) -> Mapping[int, tuple[Any, ...]]:
        """What is answered, by status: the types that the body may have; NoneType is no body."""
        found: dict[int, tuple[Any, ...]] = {}
        for member in sorted(members(self.answer), key=str):
            kind = get_origin(member) or member
            body = get_args(member)[0] if kind is Created and get_args(member) else member
            status = STATUSES.get(kind, OTHERWISE)
            found[status] = (*found.get(status, ()), body)
        return found


def read_view(view: Callable[..., Any]) -> tuple[type[Message], Any, list[Finding]]:
    """Read a view: its message, its answer, and what is wrong with its signature."""
    signature = signature_of(view)
    found = [(code, detail) for code, detail in signature.problems if code in ("ATM006", "ATM007")]
    if not any(code == "ATM007" for code, _ in found):
        found += _takes(view, signature.message)
    if found:
        return Message, None, [Finding(code, place_of(view), detail) for code, detail in found]
    answer = get_type_hints(view, include_extras=True).get("return", inspect.Signature.empty)
    found += _gives(signature.message, answer)
    return signature.message, answer, [Finding(code, place_of(view), detail) for code, detail in found]


def check(endpoint: Endpoint) -> list[Finding]:
    """Find what does not fit between an endpoint's path, method, message and answer."""
    return [Finding("ATM024", endpoint.place, detail) for each in _CHECKS for detail in each(endpoint)]


def check_location(endpoint: Endpoint, others: Mapping[str, Endpoint]) -> list[Finding]:
    """Find what is wrong with where an endpoint says that the created thing can be read."""
    if endpoint.location is None:
        return []
    return [Finding("ATM024", endpoint.place, detail) for detail in _location(endpoint, others)]


def _takes(view: Callable[..., Any], message: Any) -> Found:
    parameters = list(inspect.signature(view).parameters.values())
    if not (isinstance(message, type) and issubclass(message, (Event, Query)) and message.wire_name):
        taken = f"{parameters[0].name}: {said(message)}" if parameters else "nothing"
        if parameters and parameters[0].annotation is inspect.Parameter.empty:
            taken = f"{parameters[0].name} without an annotation"
        yield "ATM023", f"takes {taken}; its one parameter has to be an Event or a Query"
    for each in parameters[1:]:
        yield "ATM023", f"takes {each} besides; its one parameter is the Event or Query"


def _gives(message: type[Message], answer: Any) -> Found:
    declared = said(answer_of(message))
    if answer is inspect.Signature.empty:
        yield "ATM024", f"has no return annotation; {message.__name__} declares the answer {declared}"
    elif members(answer) != members(answer_of(message)):
        yield "ATM024", f"returns {said(answer)}, and {message.__name__} declares the answer {declared}"


def _methods(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.emits and endpoint.method in ("GET", "HEAD"):
        yield f"a {endpoint.method} changes nothing, and it emits {endpoint.message.__name__}; use POST"


def _keys(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.needs_key and not endpoint.emits:
        yield f"it needs an Idempotency-Key, and asks {endpoint.message.__name__}, which changes nothing"


def _raises(endpoint: Endpoint) -> Iterator[str]:
    for each in endpoint.raises:
        if not (isinstance(each, type) and issubclass(each, DomainError)):
            yield f"raises={said(each)} is no DomainError, and only those are told to who asks"


def _path(endpoint: Endpoint) -> Iterator[str]:
    known = _fields(endpoint.message)
    if not endpoint.path.startswith("/"):
        yield f"the path {endpoint.path} does not begin with a slash; write /{endpoint.path}"
    hints = get_type_hints(endpoint.message, include_extras=True)
    for name in sorted(endpoint.variables & set(known)):
        if is_sensitive(hints[name]):
            yield f"the path has {name}, which is Sensitive: every proxy logs paths; let it come from a body"
    for name in sorted(endpoint.variables - set(known)) if endpoint.reads is None else ():
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"its fields are {', '.join(known) or 'none'}"
        yield f"the path names {name}, which is no field of {endpoint.message.__name__}; {hint}"


def _shapes(endpoint: Endpoint) -> Iterator[str]:
    try:
        if endpoint.reads is None:
            Shapes().message(endpoint.message, endpoint.texts)
    except Unfit as unfit:
        yield f"{endpoint.message.__name__} cannot be read from a request: {unfit}"
    for body in {body for bodies in endpoint.bodies.values() for body in bodies} - {NoneType}:
        try:
            Shapes(open_=True).field(body)
        except Unfit as unfit:
            yield f"the answer {said(body)} cannot be written: {unfit}"


def _pages(endpoint: Endpoint) -> Iterator[str]:
    paged = any(get_origin(member) is Page for member in members(endpoint.answer))
    if paged and (endpoint.method != "GET" or "cursor" not in _fields(endpoint.message)):
        yield f"it answers a Page, which takes a GET and a field `cursor` in {endpoint.message.__name__}"


_CHECKS = (_methods, _keys, _raises, _path, _shapes, _pages)


def _location(endpoint: Endpoint, others: Mapping[str, Endpoint]) -> Iterator[str]:
    target = others.get(endpoint.location or "")
    created = [
        body for status, bodies in endpoint.bodies.items() if status == STATUSES[Created] for body in bodies
    ]
    if not created:
        yield f"location={endpoint.location!r}, and the answer is never Created"
    if target is None or target.method != "GET":
        known = ", ".join(sorted(other.name for other in others.values() if other.method == "GET"))
        yield f"location={endpoint.location!r} is no GET of this blueprint, which has {known or 'none'}"
        return
    for body in created:
        missing = target.variables - set(_fields(body)) - set(_fields(endpoint.message))
        if missing:
            names = ", ".join(sorted(missing))
            yield f"location={endpoint.location!r} needs {names}, which {said(body)} has not"


def _fields(kind: Any) -> tuple[str, ...]:
    plain = get_origin(kind) or kind
    return tuple(field.name for field in dataclasses.fields(plain)) if dataclasses.is_dataclass(plain) else ()
