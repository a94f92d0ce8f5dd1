"""Adds entrypoints, problems, documents and health to a Flask application."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException

from ..domain.errors import AtomosError
from ..service.bus import MessageBus
from ..service.diagnostics import Finding, WiringError
from . import messages
from .compressing import compress
from .emitting import check_correlation, correlation_id, operates, principal
from .entrypoints import Entrypoints
from .exposure import INSIDE, Exposure, admit_by
from .health import NOT_READY, Check, Health, failing, told
from .openapi import as_text, document
from .page import add_page
from .problems import answer_with_problem, problem
from .protecting import protect
from .security import OPEN, Guard
from .sharing import share
from .topics_page import add_topics

_JSON = "application/json"


class Installation:
    """What an application carries in `extensions["atomos"]`: its bus, its health, its document."""

    def __init__(self, app: Flask, bus: MessageBus, guard: Guard, health: Health, **said: Any) -> None:
        self.bus = bus
        self.guard = guard
        self.health = health
        self._app = app
        self._said = said

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document, written when it is first asked for."""
        return document(self._app, bus=self.bus, guard=self.guard, **self._said)

    @cached_property
    def document_text(self) -> str:
        """The OpenAPI document as it is served."""
        return as_text(self.document)


def install(
    app: Flask,
    *,
    bus: MessageBus,
    guard: Guard = OPEN,
    blueprints: Sequence[Entrypoints] = (),
    checks: Mapping[str, Check] | None = None,
    warnings: Mapping[str, Check] | None = None,
    title: str = "Atomos",
    version: str = "0",
    description: str = "",
    server: str = "/",
    page: bool = True,
    exposure: Exposure = INSIDE,
    topics: str | None = None,
) -> Installation:
    """Add entrypoints to a Flask application, new or not, and what every one of their requests may expect.

    Adds `/openapi.json` and, unless `page` is false, `/docs` to read and try it; `/health/live` and `/health/ready`,
    which `checks` decide and where `warnings` are only told; `X-Correlation-ID` to every response, and to its own
    the headers that keep browsers from misusing them. Every error of the entrypoints is answered with a problem, and
    so are errors that Flask itself makes, such as 404 and 405. Error handlers that the application has of its own,
    for a status or a class, come first, as they do in Flask; the errors of its other views only lose Flask's plain
    page.

    `bus` must know every message of the blueprints; `guard` says who sent a request, by default anyone may do
    anything; `exposure` says under which hosts, how often, and to pages of which other origins it answers. The others
    are for the document: `server` is the URL that its paths begin at. `topics` is the AsyncAPI document, None where
    there are no topics; it is served as `/asyncapi.json`, and on the page `/docs/topics`. Raises `WiringError` with
    all mistakes, and `ValueError` for an application that was installed before; then nothing was added.
    """
    if "atomos" in app.extensions:
        raise ValueError(
            f"The Flask application {app.name!r} was installed before; give all blueprints at once."
        )
    if findings := list(_findings(bus, blueprints)):
        raise WiringError(findings)
    health = Health(dict(checks or {}), dict(warnings or {}))
    said = {"title": title, "version": version, "description": description, "server": server}
    app.extensions["atomos"] = installation = Installation(app, bus, guard, health, **said)
    documents = _documents(installation)
    if topics is not None:
        add_topics(documents, topics, page=page)
    if page:
        add_page(documents, server)
    _register(app, (*blueprints, documents), exposure)
    return installation


def _findings(bus: MessageBus, blueprints: Sequence[Entrypoints]) -> Iterator[Finding]:
    routed = frozenset(bus.flow.routes.messages())
    for blueprint in blueprints:
        yield from blueprint.findings()
        for endpoint in blueprint.endpoints:
            if endpoint.message not in routed:
                detail = f"takes {endpoint.message.__name__}, which no table of this application mentions"
                yield Finding("ATM037", endpoint.place, detail)


def _documents(installation: Installation) -> Blueprint:
    blueprint = Blueprint("atomos", __name__)
    blueprint.register_error_handler(Exception, answer_with_problem)

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return Response(installation.document_text, content_type=_JSON)

    @blueprint.get("/messages/<uuid:message_id>")
    def show_message(message_id: UUID) -> Response:
        sender = principal()
        check_correlation()
        return messages.show(installation.bus, message_id, sender)

    @blueprint.get("/health/live")
    def live() -> Response:
        return Response(b'{"status":"ok"}', content_type=_JSON)

    @blueprint.get("/health/ready")
    def ready() -> Response:
        shown = _shows_health()
        if wrong := failing(installation.health.checks):
            return problem(NOT_READY, **told(wrong if shown else {}))
        # Asked only now: without a database each of them would wait for it once more.
        warned = failing(installation.health.warnings) if shown else {}
        said = {"status": "ok", **({"warnings": warned} if warned else {})}
        return Response(json.dumps(said, separators=(",", ":")), content_type=_JSON)

    return blueprint


def _shows_health() -> bool:
    # Whoever asks whether the service is ready is told so, with good credentials or without.
    try:
        return operates()
    except AtomosError:
        return False


def _register(app: Flask, blueprints: Sequence[Blueprint], exposure: Exposure) -> None:
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, answer_with_problem)
    app.register_error_handler(AtomosError, answer_with_problem)
    ours = frozenset(each.name for each in blueprints)

    def is_ours() -> bool:
        # What leads to no view is nobody's, and answered by a problem.
        return request.endpoint is None or request.blueprint in ours

    admit_by(app, exposure, is_ours)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Correlation-ID"] = correlation_id()
        if is_ours():
            protect(request, response)
        return compress(request, response)

    share(app, exposure.sharing)
