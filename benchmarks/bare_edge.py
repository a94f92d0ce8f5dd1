"""The reference service's order lines without Atomos' edge: a plain Flask view that emits on the same bus."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, Response, request

from atomos.allocation.domain.events import OrderLineReceived
from atomos.bootstrap import build
from atomos.core.adapters import logs
from atomos.core.domain import Created


def application() -> Flask:
    """Make the application: its bus is that of the service, its view reads the event and writes the answer."""
    atomos = build()
    logs.configure(atomos.settings.log.level, atomos.settings.log.format)
    app = Flask("bare")
    app.extensions["atomos"] = atomos
    encode = msgspec.json.Encoder().encode

    @app.post("/allocation/orders/<order_id>/lines")
    def receive_line(order_id: str) -> Response:
        given: dict[str, Any] = request.get_json()
        answer: Any = atomos.bus.emit(OrderLineReceived(order_id=order_id, **given))
        is_new = type(answer) is Created
        said = encode(answer.value if is_new else answer)
        return Response(said, 201 if is_new else 200, content_type="application/json")

    @app.get("/health/ready")
    def ready() -> Response:
        return Response(b"{}", content_type="application/json")

    return app
