"""Entrypoints: Flask blueprints whose views only say which event has arrived, or which question was asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import wraps
from types import NoneType
from typing import Any, TypeVar

from flask import Blueprint, Request, Response, request
from flask.sansio.app import App
from werkzeug.exceptions import BadRequest

from ..domain.messages import Message
from ..service.diagnostics import Finding, WiringError
from ..service.injection import members, place_of
from .answering import Locator, locate, respond
from .conditions import conditional
from .emitting import permit
from .endpoints import Endpoint, Unanswered, check, check_location, read_view
from .problems import answer_with_problem
from .reading import Reader, body_reader, check_accept, given_reader, query_reader
from .schemas import Shapes

V = TypeVar("V", bound=Callable[..., Any])

_NEEDS_KEY = (
    "This needs the header Idempotency-Key, so that a repeat is recognised; a new UUID is a good key, and a repeat "
    "has the same one."
)


class Entrypoints(Blueprint):
    """A Flask blueprint whose views take an event and emit it, or take a query and ask it.

    A view's one parameter is annotated with the message, its return annotation is the message's answer.
    Variables of the path are fields of the message; its other fields come from the query string (GET, HEAD,
    DELETE) or from the JSON body. Routes take four options besides Flask's: `reads`, a function from Flask's
    request to the message; `location`, the name of the GET in this blueprint that shows what was created;
    `needs_key=True`, for what must not be sent without an `Idempotency-Key`; and `raises`, domain errors for the
    document to name: those that the path does not let expect, or whose sentences callers should read.
    """

    def __init__(self, name: str, import_name: str, **options: Any) -> None:
        super().__init__(name, import_name, **options)
        self._endpoints: dict[str, Endpoint] = {}
        self._findings: list[Finding] = []
        self.register_error_handler(Exception, answer_with_problem)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint, in the order of the module."""
        return tuple(self._endpoints.values())

    def findings(self) -> list[Finding]:
        """Find every mistake in the views; an empty list means that they can be registered."""
        located = [finding for each in self.endpoints for finding in check_location(each, self._endpoints)]
        return [*self._findings, *located]

    def register(self, app: App, options: dict[str, Any]) -> None:
        """Register the views with an application. Raises `WiringError` with every mistake in them."""
        if findings := self.findings():
            raise WiringError(findings)
        super().register(app, options)

    # Flask's own decorators are typed for views that return what Flask can send; ours return answers.

    def route(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Add a view under the one method in `methods`; without it, GET."""

        def add(view: V) -> V:
            self.add_url_rule(rule, options.pop("endpoint", None), view, **options)
            return view

        return add

    def get(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Add a view that asks; what the path does not say, the query string says."""
        return self.route(rule, methods=["GET"], **options)

    def post(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Add a view that emits, or asks; what the path does not say, the JSON body says."""
        return self.route(rule, methods=["POST"], **options)

    def put(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Add a view that emits; what the path does not say, the JSON body says."""
        return self.route(rule, methods=["PUT"], **options)

    def patch(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Add a view that emits; what the path does not say, the JSON body says."""
        return self.route(rule, methods=["PATCH"], **options)

    def delete(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Add a view that emits; what the path does not say, the query string says."""
        return self.route(rule, methods=["DELETE"], **options)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Read a view and add it; what is wrong with it is kept for `findings`."""
        if view_func is None:
            raise TypeError(f"{rule} in the blueprint {self.name!r} has no view: decorate a function.")
        made = self._read(rule, endpoint, view_func, options)
        if made is None:
            return
        location = None
        if made.location is not None:
            endpoints, name = self._endpoints, made.location
            location = locate(name, lambda: endpoints[name].variables)
        serve = _served(made, location)
        super().add_url_rule(rule, made.name, serve, provide_automatic_options, **options)

    def _read(
        self, rule: str, name: str | None, view: Callable[..., Any], options: dict[str, Any]
    ) -> Endpoint | None:
        methods = options.setdefault("methods", ["GET"])
        message, answer, findings = read_view(view)
        endpoint = Endpoint(
            method=next(iter(methods)).upper(),
            path=_joined(self.url_prefix, rule),
            name=name or view.__name__,
            message=message,
            answer=answer,
            view=view,
            summary=(view.__doc__ or "").strip().partition("\n")[0],
            place=place_of(view),
            reads=options.pop("reads", None),
            location=options.pop("location", None),
            needs_key=options.pop("needs_key", False),
            raises=tuple(options.pop("raises", ())),
        )
        findings += self._doubled(endpoint, methods)
        findings = findings or check(endpoint)
        self._findings += findings
        return None if findings else self._endpoints.setdefault(endpoint.name, endpoint)

    def _doubled(self, endpoint: Endpoint, methods: Collection[str]) -> Iterator[Finding]:
        if len(methods) > 1:
            detail = f"{endpoint.path} takes {', '.join(sorted(methods))}; write one view for each method"
            yield Finding("ATM024", endpoint.place, detail)
        if (first := self._endpoints.get(endpoint.name)) is not None:
            detail = f"the name {endpoint.name} is taken by {first.place}; rename one, or give endpoint=..."
            yield Finding("ATM024", endpoint.place, detail)


def _served(endpoint: Endpoint, location: Locator | None) -> Callable[..., Response]:
    view, read, versions, asks = endpoint.view, _reader(endpoint), endpoint.versions, not endpoint.emits
    kind, needs_key, may_be_none = endpoint.message, endpoint.needs_key, NoneType in members(endpoint.answer)

    @wraps(view)
    def serve(**path: Any) -> Response:
        # Not the proxy, which costs a third of a microsecond each time that it is used.
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        permit(kind)
        check_accept(current)
        if needs_key and "HTTP_IDEMPOTENCY_KEY" not in current.environ:
            raise BadRequest(_NEEDS_KEY)
        message = read(current, path)
        answer = view(message)
        if answer is None and not may_be_none:
            raise Unanswered(
                f"{endpoint.place}: returned None; end the view with `return emit(...)` or `return ask(...)`."
            )
        response = respond(answer, message, location, versions)
        return conditional(current.environ, response) if asks else response

    return serve


def _reader(endpoint: Endpoint) -> Reader:
    message: type[Message] = endpoint.message
    if endpoint.reads is not None:
        return given_reader(message, endpoint.reads)
    schema = Shapes().message(message, endpoint.texts)
    return body_reader(message, schema) if endpoint.has_body else query_reader(message, schema)


def _joined(prefix: str | None, rule: str) -> str:
    return f"{prefix.rstrip('/')}/{rule.lstrip('/')}" if prefix and rule else f"{prefix or ''}{rule}"
