"""How many order lines a second the reference service takes on PostgreSQL, beside the same service by hand.

`python benchmarks/http_rate.py` serves each with gunicorn (two processes, four threads each), asks them in
turns, and prints medians. PostgreSQL is expected on the loopback; ATOMOS_TEST_POSTGRES_URL names another.
It makes a database of its own, and removes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import NamedTuple

from measuring import Bar, Taken, facts, finish, in_turns, medians, ratio, spread
from postgres import SKUS, connections, database, refill
from serving import AS_CONFIGURED, HERE, LIKEWISE, PROCESSES, THREADS, Serving, family, served, used

REQUESTS, ROUNDS = 600, 12

ATOMOS, HAND, HAND_LOG = "Atomos", "by hand, no log", "by hand, the log too"
SERVICES = {
    ATOMOS: ("wsgi:app", *AS_CONFIGURED),
    HAND: ("by_hand:without_log()", *LIKEWISE),
    HAND_LOG: ("by_hand:with_log()", *LIKEWISE),
}
PACKAGES = ("flask", "gunicorn", "sqlalchemy", "psycopg", "marshmallow")


class Asked(NamedTuple):
    """What one round of load found.

    Seconds, the client's own processor seconds, the answers' milliseconds (median, 99 of 100); and the
    processor milliseconds of a request in the service and in the database (0 where the system does not tell).
    """

    seconds: float
    own: float
    median: float
    slowest: float
    service: float = 0.0
    database: float = 0.0


class Contestant:
    """One service in its own processes, asked in rounds."""

    def __init__(self, service: Serving, url: str, token: str = "") -> None:
        """With a `token`, each request has all that the edge takes: see `load.py`."""
        self._service = service
        self._url = url
        self._token = token
        self.rounds: list[Asked] = []

    def run(self) -> float:
        """Ask it from a fresh start; give the requests per second."""
        refill(self._url)
        before = self._used()
        asked = self._load()
        spent = (1000 * (now - then) / REQUESTS for now, then in zip(self._used(), before, strict=True))
        self.rounds.append(Asked(*asked, *spent))
        return REQUESTS / asked[0]

    def _load(self) -> tuple[float, ...]:
        numbers = (self._service.port, REQUESTS, SKUS, PROCESSES)
        command = [sys.executable, HERE / "load.py", *map(str, numbers), *filter(None, [self._token])]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout
        return tuple(json.loads(said))

    def _used(self) -> tuple[float, float]:
        return sum(map(used, family(self._service.pid))), sum(map(used, connections(self._url)))


def main() -> None:
    """Serve all, ask them in turns, and print medians."""
    with ExitStack() as stack:
        url = stack.enter_context(database())
        services = {name: stack.enter_context(served(*command)) for name, command in SERVICES.items()}
        contestants = {name: Contestant(service, url) for name, service in services.items()}
        runs = {name: each.run for name, each in contestants.items()}
        in_turns(1, runs)  # every connection and statement has been used when it counts
        for each in contestants.values():
            each.rounds.clear()
        taken = in_turns(ROUNDS, runs)
    lines = [
        facts(*PACKAGES),
        f"gunicorn gthread, {PROCESSES} processes of {THREADS} threads; {SKUS} SKUs; "
        f"median of {ROUNDS} rounds of {REQUESTS} requests, in turns",
        *table(taken, contestants),
    ]
    bars = [bar(taken, HAND, 65.0), bar(taken, HAND_LOG, 85.0)]
    finish("POST of an order line on PostgreSQL: requests a second", lines, bars)


def table(taken: Taken, contestants: dict[str, Contestant], of: str = ATOMOS) -> list[str]:
    """Write one line for each service, medians all of them; the rates are compared with that `of` one."""
    middle = medians(taken)
    lines = [
        f"{'':22} {'a second':>9} {'(middle half)':>18} {'median ms':>10} {'99 % ms':>8} {'client':>7} "
        f"{f'of {of.split(maxsplit=1)[0]}':>10}   processor ms: service + database"
    ]
    for name, each in contestants.items():
        seen = Asked(*(sorted(column)[len(column) // 2] for column in zip(*each.rounds, strict=True)))
        lines.append(
            f"{name:22} {middle[name]:9.0f} {f'({spread(taken[name])})':>18} {seen.median:10.1f} "
            f"{seen.slowest:8.1f} {seen.own / seen.seconds:7.0%} {ratio(taken, name, of):10.0%}   "
            f"{seen.service:.2f} + {seen.database:.2f}"
        )
    return lines


def bar(taken: Taken, to: str, limit: float) -> Bar:
    """Compare Atomos' rate with another's."""
    return Bar(f"Atomos' rate, of {to}", 100 * ratio(taken, ATOMOS, to), limit, "%", at_least=True)


if __name__ == "__main__":
    main()
