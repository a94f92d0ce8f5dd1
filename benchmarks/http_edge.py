"""What an Atomos entrypoint costs beside a plain Flask view with a hand-written marshmallow schema.

Both sides read the same JSON, check the same fields, and answer the same body; no database is behind either.
`python benchmarks/http_edge.py` prints the median microseconds of a request, and the ratio.
"""

from __future__ import annotations

import gc
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

from commands import Forgetful
from flask import Flask, jsonify, request
from marshmallow import Schema, ValidationError, fields, validate

from atomos.core.api import Entrypoints, ask, emit, install
from atomos.core.domain import AtLeast, AtMost, Event, Length, Query, ValueObject
from atomos.core.domain.messages import Command
from atomos.core.service.bus import MessageBus
from atomos.core.service.injection import Offer
from atomos.core.service.ports import Clock, HandlingMeter, Meter
from atomos.core.service.routes import Routes, join
from atomos.core.service.unit_of_work import UnitOfWork

REQUESTS, RUNS = 2_000, 15

Sku = Annotated[str, Length(1, 100)]


class Promise(ValueObject):
    order_id: str
    sku: str
    batch: str | None


class LineReceived(Event[Promise], name="bench.line-received"):
    order_id: Annotated[str, Length(1, 100)]
    sku: Sku
    quantity: Annotated[int, AtLeast(1), AtMost(1_000_000)]
    note: Annotated[str, Length(0, 200)] | None = None


class Allocate(Command[Promise], name="bench.allocate"):
    order_id: str
    sku: str
    quantity: int


class PromiseOf(Query[Promise], name="bench.promise-of"):
    order_id: Annotated[str, Length(1, 100)]
    sku: Sku
    quantity: Annotated[int, AtLeast(1), AtMost(1_000_000)]
    note: Annotated[str, Length(0, 200)] | None = None


class Clocked(Clock):
    def now(self) -> Any:
        from datetime import UTC, datetime

        return datetime.now(UTC)


class Unmetered(Meter, HandlingMeter):
    def of(self, kind: str, name: str) -> HandlingMeter:
        return self

    def handled(self, outcome: str, seconds: float) -> None: ...


class Unwritten(UnitOfWork):
    def _begin(self, handling: Any) -> None: ...
    def _changed(self) -> bool:
        return False

    def _is_new(self, aggregate: Any) -> bool:
        return False

    def _flush(self) -> None: ...
    def _take_back(self, name: str, key: str) -> bool:
        return False

    def _write(self, records: Any, completes: Any) -> None: ...
    def _commit(self) -> None: ...
    def _end(self) -> None: ...


def allocate(command: Allocate, uow: Unwritten) -> Promise:
    with uow:
        return uow.commit(Promise(order_id=command.order_id, sku=command.sku, batch="batch-1"))


def promise_of(query: PromiseOf) -> Promise:
    return Promise(order_id=query.order_id, sku=query.sku, batch="batch-1")


ROUTES = Routes(
    triggers={LineReceived: [Allocate]}, commands={Allocate: allocate}, queries={PromiseOf: promise_of}
)


def atomos() -> Flask:
    """The application with entrypoints: one that emits an event, one that asks a query."""
    blueprint = Entrypoints("bench", __name__)

    @blueprint.post("/orders/<order_id>/lines")
    def receive(event: LineReceived) -> Promise:
        return emit(event)

    @blueprint.post("/orders/<order_id>/questions")
    def show(query: PromiseOf) -> Promise:
        return ask(query)

    offers = {"uow": Offer("uow", Unwritten, Unwritten, "here")}
    bus = MessageBus(join(bench=[ROUTES]), {"bench": offers}, Forgetful(), Clocked(), Unmetered())
    app = Flask("atomos")
    install(app, bus=bus, blueprints=[blueprint])
    return app


def plain() -> Flask:
    """The application that someone would write by hand, to the same effect."""

    class LineSchema(Schema):
        order_id = fields.String(required=True, validate=validate.Length(1, 100))
        sku = fields.String(required=True, validate=validate.Length(1, 100))
        quantity = fields.Integer(required=True, strict=True, validate=validate.Range(1, 1_000_000))
        note = fields.String(load_default=None, allow_none=True, validate=validate.Length(0, 200))

    class PromiseSchema(Schema):
        order_id = fields.String()
        sku = fields.String()
        batch = fields.String(allow_none=True)

    app = Flask("plain")
    line, promise = LineSchema(), PromiseSchema()

    @app.post("/orders/<order_id>/lines")
    @app.post("/orders/<order_id>/questions")
    def receive(order_id: str) -> Any:
        try:
            given = line.load({**request.get_json(), "order_id": order_id})
        except ValidationError as error:
            return jsonify(error.messages), 422
        answer = {"order_id": given["order_id"], "sku": given["sku"], "batch": "batch-1"}
        return jsonify(promise.dump(answer))

    @app.post("/undumped/<order_id>")
    def undumped(order_id: str) -> Any:
        try:
            given = line.load({**request.get_json(), "order_id": order_id})
        except ValidationError as error:
            return jsonify(error.messages), 422
        return {"order_id": given["order_id"], "sku": given["sku"], "batch": "batch-1"}

    return app


BODY = json.dumps({"sku": "RETRO-CLOCK", "quantity": 10, "note": "a gift"}).encode()


def environ(path: str) -> dict[str, Any]:
    """What a WSGI server would give."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(BODY)),
        "HTTP_HOST": "localhost:8000",
        "HTTP_ACCEPT": "*/*",
        "HTTP_USER_AGENT": "bench",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(BODY),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def caller(app: Flask, path: str) -> Callable[[], bytes]:
    """Make a function that carries out one request, from environ to body."""
    status: list[str] = []

    def call() -> bytes:
        status.clear()
        iterable = app.wsgi_app(environ(path), lambda said, *_: status.append(said))
        body = b"".join(iterable)
        iterable.close()  # type: ignore[attr-defined]
        if not status[0].startswith("200"):
            raise AssertionError(f"{path} gave {status[0]}: {body!r}")
        return body

    return call


def microseconds(call: Callable[[], bytes]) -> float:
    """Time one run."""
    gc.collect()
    started = time.perf_counter()
    for _ in range(REQUESTS):
        call()
    return (time.perf_counter() - started) / REQUESTS * 1e6


def main() -> None:
    """Measure side by side, taking turns, and print medians."""
    ours, theirs = atomos(), plain()
    calls = {
        "plain view, schema loads and dumps": caller(theirs, "/orders/o-1/lines"),
        "plain view, schema loads only": caller(theirs, "/undumped/o-1"),
        "entrypoint that asks": caller(ours, "/orders/o-1/questions"),
        "entrypoint that emits": caller(ours, "/orders/o-1/lines"),
    }
    bodies = {json.dumps(json.loads(call()), sort_keys=True) for call in calls.values()}
    if len(bodies) != 1:
        raise AssertionError(f"the answers differ: {bodies}")
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(RUNS):
        for name, call in calls.items():
            taken[name].append(microseconds(call))
    names = ("flask", "werkzeug", "marshmallow", "msgspec")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; {packages}")
    print(f"median of {RUNS} runs of {REQUESTS} requests, in turns; µs a request, and times the plain view")
    medians = {name: statistics.median(each) for name, each in taken.items()}
    loads, only = list(medians.values())[:2]
    for name, median in medians.items():
        spread = f"{min(taken[name]):.0f} to {max(taken[name]):.0f}"
        print(f"{name:36} {median:7.1f}  ({spread})  {median / loads:5.2f}  {median / only:5.2f}")


if __name__ == "__main__":
    main()
