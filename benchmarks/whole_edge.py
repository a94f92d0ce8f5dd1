"""What the whole edge costs the reference service: an order line with all of it, beside a bare view on the same bus.

With it: an API key is asked for, the request has an `Idempotency-Key`, a condition, a correlation id and a trace,
and takes gzip; Atomos counts it, validates, checks permissions and sets its headers. Without it (`bare_edge.py`): a
Flask view makes the same event from the JSON and emits it on the same bus.

`python benchmarks/whole_edge.py` measures processor time of one thread, part by part, and then requests a second
through gunicorn (two processes of four threads). PostgreSQL is expected on the loopback; it makes a database of its
own, and removes it. `--only cost` and `--only rate` measure one of them, `--profile` where the time goes.
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import bare_edge
import http_cost
from flask import Flask
from http_rate import REQUESTS, Contestant
from http_rate import table as rate_table
from measuring import Bar, facts, finish, in_turns, medians, parser, ratio, spread
from postgres import database, refill
from serving import AS_CONFIGURED, HERE, PROCESSES, THREADS, served
from uuid_utils import uuid7

from atomos.bootstrap import build, serve
from atomos.core.service.credentials import mint

TITLE = "The whole edge: POST of an order line on PostgreSQL"
MOST_PERCENT = 15.0
TURNS, TABLES, ROUNDS = int(os.environ.get("T", 12)), int(os.environ.get("TT", 4)), 14
SECRET = "7rVq2c0w-Jt9zX4uLh1nE8ybKf5mGd3s"
# Counted like any other, and never reached.
LIMITS = {f"ATOMOS_LIMITS__{each}": "100000000/minute" for each in ("PRINCIPAL", "ADDRESS")}

WITHOUT, OPEN, WITH = "without the edge", "validation, headers", "with all of it"
PACKAGES = ("flask", "werkzeug", "gunicorn", "sqlalchemy", "psycopg", "marshmallow")


def main() -> None:
    """Measure, and print."""
    options = parser(TITLE)
    options.add_argument("--only", choices=("cost", "rate"))
    options.add_argument("--profile", action="store_true", help="print where the time of a request goes")
    given = options.parse_args()
    with database() as url:
        os.environ["ATOMOS_SECURITY__SECRET"] = SECRET
        token = a_key()
        if given.profile:
            profile(url, token)
            return
        lines, bars = [facts(*PACKAGES)], []
        for name, measure in (("cost", cost), ("rate", rate)):
            if given.only in (None, name):
                said, bar = measure(url, token)
                lines += ["", *said]
                bars.append(bar)
    finish(TITLE, lines, bars, given.json)


def a_key() -> str:
    """Make an API key that may do what the order line needs."""
    service = build()
    needed = {scope for scope in service.bus.flow.routes.requires.values() if scope}
    made = mint("benchmark", needed, SECRET, datetime.now(UTC))
    service.container.core.keys().add(made.key)
    service.close()
    return made.token


def headers(token: str) -> dict[str, http_cost.Headers]:
    """Say what the requests of each contestant have, one part more each time."""
    fixed: dict[str, str] = {}
    steps: dict[str, http_cost.Headers] = {WITHOUT: dict}
    for name, more in {
        OPEN: {},
        "and an API key": {"Authorization": f"Bearer {token}"},
        "and all but its key": {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "If-Match": "*",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        },
    }.items():
        fixed = {**fixed, **more}
        steps[name] = partial(dict, fixed)
    steps[WITH] = lambda: {**fixed, "Idempotency-Key": str(uuid7()), "X-Correlation-ID": str(uuid7())}
    return steps


def cost(url: str, token: str) -> tuple[list[str], Bar]:
    """Compare the processor time of this thread, without a server or a client."""
    steps = headers(token)
    whole = with_edge()
    apps = {
        **dict.fromkeys(steps, whole),
        WITHOUT: bare_edge.application(),
        OPEN: with_edge(authentication=False),
    }
    runs = {name: partial(http_cost.milliseconds, apps[name], steps[name]) for name in steps}
    refill(url)
    in_turns(2, runs)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(TABLES):
        refill(url)
        for name, each in in_turns(TURNS, runs).items():
            taken[name] += each
    lines = [
        f"processor time of one thread: median of {TURNS * TABLES} turns of {http_cost.REQUESTS} requests, ms",
        f"{'':22} {'median':>7} {'(middle half)':>16} {'of bare':>8}",
    ]
    for name, value in medians(taken).items():
        part = ratio(taken, name, WITHOUT)
        lines.append(f"{name:22} {value:7.2f} {f'({spread(taken[name])})':>16} {part:8.1%}")
    for app in {id(each): each for each in apps.values()}.values():
        app.extensions["atomos"].close()
    more = 100 * (1 - 1 / ratio(taken, WITH, WITHOUT))
    return lines, Bar("what the edge takes of the rate, by processor time", more, MOST_PERCENT, "%")


def with_edge(*, authentication: bool = True) -> Flask:
    """The reference service, as it is in production."""
    os.environ["ATOMOS_SECURITY__AUTHENTICATION"] = str(authentication).lower()
    os.environ |= LIMITS
    return serve()


def rate(url: str, token: str) -> tuple[list[str], Bar]:
    """Compare requests a second, through gunicorn."""
    with ExitStack() as stack:
        os.environ["ATOMOS_SECURITY__AUTHENTICATION"] = "true"
        os.environ |= LIMITS
        whole = stack.enter_context(served("wsgi:app", *AS_CONFIGURED))
        bare = stack.enter_context(
            served("bare_edge:application()", *AS_CONFIGURED, "--pythonpath", str(HERE))
        )
        contestants = {
            WITH: Contestant(whole, url, token),
            WITHOUT: Contestant(bare, url),
        }
        runs = {name: each.run for name, each in contestants.items()}
        in_turns(1, runs)  # every connection and statement has been used when it counts
        for each in contestants.values():
            each.rounds.clear()
        taken = in_turns(ROUNDS, runs)
    lines = [
        f"gunicorn gthread, {PROCESSES} processes of {THREADS} threads; "
        f"median of {ROUNDS} rounds of {REQUESTS} requests, in turns",
        *rate_table(taken, contestants, WITHOUT),
    ]
    taken_away = 100 * (1 - ratio(taken, WITH, WITHOUT))
    return lines, Bar("what the edge takes of the rate", taken_away, MOST_PERCENT, "%")


def profile(url: str, token: str) -> None:
    """Print where the time of a request with all of it goes."""
    refill(url)
    app, made = with_edge(), headers(token)[WITH]
    http_cost.milliseconds(app, made)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(50):
        http_cost.milliseconds(app, made)
    profiler.disable()
    said = io.StringIO()
    stats = pstats.Stats(profiler, stream=said).sort_stats("tottime").print_stats(40)
    stats.sort_stats("cumtime").print_stats("atomos|flask|werkzeug", 70)
    print(said.getvalue())
    app.extensions["atomos"].close()


if __name__ == "__main__":
    main()
