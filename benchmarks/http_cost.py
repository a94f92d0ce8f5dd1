"""What an order line costs the service: the processor time of one thread, without a server or a client.

`python benchmarks/http_cost.py` takes turns of twenty requests, so that whatever else the machine does
disturbs all alike: where `http_rate.py` is too noisy to believe, this is not. `--profile NAME` profiles one
of them instead, where NAME is `atomos`, `hand` or `hand-log`.
"""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count

import by_hand
from flask import Flask
from measuring import facts, finish, in_turns, medians, ratio, spread
from postgres import SKUS, database, refill

from atomos.bootstrap import serve

REQUESTS, TURNS, TABLES = 20, 15, 6

APPLICATIONS: dict[str, Callable[[], Flask]] = {
    "atomos": serve,
    "hand": by_hand.without_log,
    "hand-log": by_hand.with_log,
}
NAMES = {"atomos": "Atomos", "hand": "by hand, no log", "hand-log": "by hand, the log too"}

_NUMBERS = count()


Headers = Callable[[], Mapping[str, str]]
"""Makes the headers of the next request."""


def ask(app: Flask, headers: Headers = dict) -> None:
    """Carry out one request, from environ to body."""
    number = next(_NUMBERS)
    body = json.dumps({"sku": f"SKU-{number % SKUS:04}", "quantity": 1 + number % 9}).encode()
    given = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers().items()}
    statuses: list[str] = []
    answer = app.wsgi_app({**environ(number, body), **given}, lambda status, *_: statuses.append(status))
    said = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]
    if not statuses[0].startswith("201"):
        raise AssertionError(f"{statuses[0]}: {said!r}")


def environ(number: int, body: bytes) -> dict[str, object]:
    """What a WSGI server would give."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/allocation/orders/order-{number}/lines",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "localhost:8000",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def milliseconds(app: Flask, headers: Headers = dict) -> float:
    """Time one turn: the processor time of this thread for one request."""
    started = time.thread_time_ns()
    for _ in range(REQUESTS):
        ask(app, headers)
    return (time.thread_time_ns() - started) / REQUESTS / 1e6


def compare() -> None:
    """Measure side by side, and print medians."""
    taken: dict[str, list[float]] = {NAMES[name]: [] for name in APPLICATIONS}
    with database() as url:
        apps = {NAMES[name]: make() for name, make in APPLICATIONS.items()}
        refill(url)
        for app in apps.values():
            milliseconds(app)
        for _ in range(TABLES):
            refill(url)
            turns = in_turns(TURNS, {name: lambda app=app: milliseconds(app) for name, app in apps.items()})
            for name, each in turns.items():
                taken[name] += each
    lines = [
        facts("flask", "sqlalchemy", "psycopg", "marshmallow"),
        f"median of {TURNS * TABLES} turns of {REQUESTS} requests; milliseconds of a request",
        f"{'':22} {'median':>7} {'(middle half)':>14} {'least':>6} {'of Atomos':>10}",
    ]
    for name, value in medians(taken).items():
        half, part = f"({spread(taken[name])})", ratio(taken, name, NAMES["atomos"])
        lines.append(f"{name:22} {value:7.2f} {half:>14} {min(taken[name]):6.2f} {part:10.0%}")
    finish("POST of an order line on PostgreSQL: processor time of one thread", lines, [])


def profile(name: str) -> None:
    """Print where the time of one of them goes."""
    with database() as url:
        refill(url)
        app = APPLICATIONS[name]()
        milliseconds(app)
        profiler = cProfile.Profile()
        profiler.enable()
        for _ in range(30):
            milliseconds(app)
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30).sort_stats("cumtime").print_stats(
        "atomos|hand", 60
    )


if __name__ == "__main__":
    if "--profile" in sys.argv:
        profile(sys.argv[-1])
    else:
        compare()
