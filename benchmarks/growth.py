"""Whether the log stays quick as it grows: claims with few and many rows, with one key and many, beside trouble.

`python benchmarks/growth.py` fills a database of its own on PostgreSQL with generated rows, and times claims of
500 and their completions as a worker makes them (`SqlDeliveries`), without handlers. Each case is filled anew and
vacuumed, as a worker does it; case by case:

- so many ready rows, and so many done ones beside 100,000 ready ones;
- 50,000 keys, and one hot key that has every row;
- a million rows on 1,000 keys that are all backing off, beside a healthy recipient;
- old conversations that are removed meanwhile, as a worker does it;
- a transaction that someone left open, so that nothing can be vacuumed, for so many seconds;
- the memory of a process that claims and completes all the time.

Sizes are options; `--full` has those of the README, and takes about half an hour.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import NamedTuple

import backlog_atomos
import psycopg
from measuring import Bar, facts, finish, parser
from postgres import database

from atomos.core.adapters import Database, SqlDeliveries
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.operations import SqlRetention
from atomos.core.service.delivery import NO_ROWS
from atomos.core.service.pace import Pace

ROOM = 500
A_SECOND = 3_000
RETENTION_PAUSE = 0.5
HEALTHY, BROKEN = "bench.mark", "bench.broken"

_ID = "('00000000-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid"
_MESSAGES = f"""
insert into atomos_message
  (id, kind, name, version, payload, fingerprint, correlation_id, principal, deliveries, recorded_at)
select {_ID.format(n="n")}, 'event', 'bench.ticked', 1, jsonb_build_object('n', n, 'key', null), 'none',
       {_ID.format(n="n")}, 'system', 1, statement_timestamp() - %(days)s * interval '1 day'
from generate_series(%(first)s::bigint, %(last)s::bigint) n
"""
_DELIVERIES = f"""
insert into atomos_delivery (message_id, recipient, ordering_key, status, attempts, until, completed_at)
select {_ID.format(n="n")}, %(recipient)s, 'key-' || n %% %(keys)s, %(status)s, 0,
       case when %(status)s = 'retrying' then statement_timestamp() + interval '1 day' end,
       case when %(status)s = 'done' then statement_timestamp() end
from generate_series(%(first)s::bigint, %(last)s::bigint) n
"""


class Sizes(NamedTuple):
    """How many rows each case has."""

    ready: tuple[int, ...] = (1_000, 100_000, 300_000)
    done: int = 1_000_000
    behind: int = 300_000
    old: int = 300_000
    open_seconds: int = 30
    memory: int = 100_000


FULL = Sizes((1_000, 100_000, 1_000_000), 10_000_000, 1_000_000, 1_000_000, 600, 1_000_000)


class Pass(NamedTuple):
    """What one case gave: rows a second, the median milliseconds of a claim and of a completion, and its rows."""

    rate: float
    claim: float
    complete: float
    rows: float


class Log:
    """The log of the benchmark."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = Database(url)
        self.deliveries = SqlDeliveries(self._database, Codec([backlog_atomos.Ticked]))
        self.deliveries.enrol([HEALTHY, BROKEN])
        self._next = 0

    def close(self) -> None:
        self._database.close()

    def empty(self) -> None:
        """Remove every row; numbers begin at zero again."""
        self._next = 0
        self.run("truncate atomos_message, atomos_delivery, atomos_lease")

    def fill(
        self, rows: int, keys: int, recipient: str = HEALTHY, status: str = "ready", *, days: int = 0
    ) -> None:
        """Add rows; messages only for those that will be claimed, and for those that are some days old."""
        values = {
            "first": self._next,
            "last": self._next + rows - 1,
            "keys": keys,
            "recipient": recipient,
            "status": status,
            "days": days,
        }
        self._next += rows
        with psycopg.connect(self.url, autocommit=True) as connection:
            if days or (status == "ready" and recipient == HEALTHY):
                connection.execute(_MESSAGES, values)
            connection.execute(_DELIVERIES, values)

    def settle(self) -> None:
        """Vacuum, as workers do it, and wait for the disk."""
        self.run("vacuum analyze atomos_delivery", "vacuum analyze atomos_message", "checkpoint")

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def work(self, rows: int, pace: Pace | None = None) -> Pass:
        """Claim and complete so many rows, `ROOM` at once; or with a worker's pace, which may take some more."""
        claims, completions, done = [], [], 0
        started = time.perf_counter()
        while done < rows:
            begun = time.perf_counter()
            room = pace.room(HEALTHY, in_hand=0) if pace else min(ROOM, rows - done)
            batch = self.deliveries.claim(HEALTHY, room, "bench")
            claimed = time.perf_counter()
            if pace:
                pace.claimed(HEALTHY, batch.seconds, len(batch.claimed))
            if not batch.claimed:
                break
            self.deliveries.complete([each.fence for each in batch.claimed], NO_ROWS)
            claims.append(1000 * (claimed - begun))
            completions.append(1000 * (time.perf_counter() - claimed))
            done += len(batch.claimed)
        seconds = time.perf_counter() - started
        return Pass(done / seconds, statistics.median(claims), statistics.median(completions), done)


def measured(log: Log, sizes: Sizes) -> tuple[list[str], list[Bar]]:
    """Go through the cases."""
    found: dict[str, Pass] = {}
    for rows in sizes.ready:
        found[f"{rows:,} ready"] = best(log, rows, 50_000)
    found[f"100,000 ready, {sizes.done:,} done"] = best(log, 100_000, 50_000, sizes.done)
    found["one hot key"] = best(log, 100_000, 1)
    first, *more = (each for name, each in found.items() if "ready" in name)
    lines = [f"{'':36} {'rows a second':>14} {'claim ms':>9} {'complete ms':>12}"]
    lines += [
        f"{name:36} {each.rate:14.0f} {each.claim:9.2f} {each.complete:12.2f}" for name, each in found.items()
    ]
    slowest = 100 * max(each.claim / first.claim - 1 for each in more)
    hot = 100 * found["one hot key"].rate / found["100,000 ready"].rate
    bars = [
        Bar("how much longer a claim takes in the largest table", slowest, 20.0, "%"),
        Bar("one hot key, of the rate of 50,000 keys", hot, 70.0, "%", at_least=True),
    ]
    for case in (behind_the_broken, beside_retention, beside_an_open_transaction, memory):
        said, more_bars = case(log, sizes)
        lines += said
        bars += more_bars
    return lines, bars


def best(log: Log, rows: int, keys: int, done: int = 0) -> Pass:
    """Give the median of five passes over 10,000 rows (fewer where there are fewer)."""
    passes = []
    log.empty()
    if done:
        log.fill(done, 50_000, status="done")
    log.fill(rows, keys)
    log.settle()
    for _ in range(5):
        if rows < 10_000:
            log.fill(rows, keys)
            log.settle()
        passes.append(log.work(min(rows, 10_000)))
    return Pass(*(statistics.median(column) for column in zip(*passes, strict=True)))


def behind_the_broken(log: Log, sizes: Sizes) -> tuple[list[str], list[Bar]]:
    """Claim ten rows at a time beside a recipient whose keys are all backing off, and that is claimed as a worker does.

    Each claim of the broken one comes before one of the healthy one, and rests as a worker lets it rest.
    """
    waits = []
    pace = Pace(threads=1)
    for broken in (False, True):
        log.empty()
        if broken:
            log.fill(1_000, 1_000, BROKEN, "retrying")
            log.fill(sizes.behind, 1_000, BROKEN)
        log.fill(20_000, 50_000)
        log.settle()
        over = time.monotonic() + 10
        each = []
        while time.monotonic() < over:
            begun = time.perf_counter()
            if broken and not pace.rest(BROKEN):
                found = log.deliveries.claim(BROKEN, ROOM, "bench")
                pace.claimed(BROKEN, found.seconds, len(found.claimed))
            batch = log.deliveries.claim(HEALTHY, 10, "bench")
            each.append(1000 * (time.perf_counter() - begun))
            log.deliveries.keep(batch.lease, NO_ROWS)
        waits.append(each)
    more = statistics.mean(waits[1]) - statistics.mean(waits[0])
    line = (
        f"a claim of 10 beside {sizes.behind:,} rows on 1,000 keys that back off: "
        f"{statistics.mean(waits[1]):.2f} ms with the broken one's own claim before it, "
        f"{statistics.mean(waits[0]):.2f} without (means; the longest {max(waits[1]):.0f} ms)"
    )
    return [line], [Bar("what the broken one costs a claim of the healthy one", more, 5.0, "ms")]


def beside_retention(log: Log, sizes: Sizes) -> tuple[list[str], list[Bar]]:
    """Claim and complete while old conversations are removed in a thread, six times as often as by a worker."""
    passes: dict[bool, list[Pass]] = {}
    removed = 0
    for removing in (False, True):
        log.empty()
        log.fill(sizes.old, 50_000, status="done", days=60)
        log.fill(100_000, 50_000)
        log.settle()
        with old_ones_go(log.url) if removing else nullcontext([0]) as gone:
            passes[removing] = [log.work(5_000) for _ in range(20)]
        removed += sum(gone)
    without, beside = (
        statistics.median(each.claim for each in passes[removing]) for removing in (False, True)
    )
    rates = [statistics.median(each.rate for each in passes[removing]) for removing in (False, True)]
    line = (
        f"{removed:,} of {sizes.old:,} old messages are removed meanwhile: {rates[1]:.0f} rows a second, "
        f"{rates[0]:.0f} without (a claim: {beside:.2f}, {without:.2f} ms)"
    )
    more = 100 * (beside / without - 1)
    return [line], [Bar("how much longer a claim takes while old conversations are removed", more, 20.0, "%")]


@contextmanager
def old_ones_go(url: str) -> Iterator[list[int]]:
    """Remove old conversations all the time, and say how many messages each time."""
    gone: list[int] = []
    with closing(Database(url)) as other, ThreadPoolExecutor(1) as pool:
        retention, over = SqlRetention(other, 30.0), Event()

        def remove() -> None:
            while not over.wait(RETENTION_PAUSE):
                gone.append(retention())

        removing = pool.submit(remove)
        yield gone
        over.set()
        removing.result()


def beside_an_open_transaction(log: Log, sizes: Sizes) -> tuple[list[str], list[Bar]]:
    """Claim and complete so many rows every second, as a worker does, while nothing that died can be removed."""
    log.empty()
    log.fill(A_SECOND * sizes.open_seconds, 50_000)
    log.settle()
    passes, pace, due = [], Pace(threads=1), 0.0
    pace.worked(HEALTHY, seconds=0.0, rows=1)
    with someone_dawdles(log.url):
        for _ in range(sizes.open_seconds):
            over = time.monotonic() + 1
            due += A_SECOND
            if due > 0:  # a large claim may be ahead of its time
                passes.append(log.work(int(due), pace))
                due -= passes[-1].rows
            time.sleep(max(0.0, over - time.monotonic()))
    first, last = (
        Pass(*(statistics.median(column) for column in zip(*some, strict=True)))
        for some in (passes[:10], passes[-10:])
    )
    line = (
        f"a transaction left open for {sizes.open_seconds} s, {A_SECOND} rows each second: they would have gone at "
        f"{first.rate:.0f} a second at first, {last.rate:.0f} at last "
        f"(a claim: {first.claim:.1f}, {last.claim:.1f} ms; of {ROOM}, {pace.room(HEALTHY, in_hand=0)} rows)"
    )
    return [line], [
        Bar("rows a second beside an open transaction", last.rate, A_SECOND, "a second", at_least=True)
    ]


@contextmanager
def someone_dawdles(url: str) -> Iterator[None]:
    """Leave a transaction open that has written something."""
    with closing(psycopg.connect(url)) as connection:
        connection.execute("create table bench_dawdler ()")
        yield
        connection.rollback()


def memory(log: Log, sizes: Sizes) -> tuple[list[str], list[Bar]]:
    """Claim and complete all the time, and watch this process grow."""
    log.empty()
    log.fill(sizes.memory, 50_000)
    log.settle()
    log.work(sizes.memory // 5)
    begun = resident()
    log.work(sizes.memory)
    grown = resident() - begun
    line = f"memory after {sizes.memory * 4 // 5:,} more rows: {begun:.1f} MB and {grown:+.1f} MB"
    return [line], [Bar("memory that was not given back", grown, 5.0, "MB")]


def resident(process: int | str = "self") -> float:
    """Give a process' memory, in MB; 0 where the system does not tell."""
    file = Path(f"/proc/{process}/statm")
    return int(file.read_text().split()[1]) * 4096 / 1e6 if file.exists() else 0.0


def main() -> None:
    """Measure, and print."""
    options = parser("Whether the log stays quick as it grows")
    options.add_argument("--full", action="store_true", help="the sizes that are promised")
    for name in Sizes._fields[1:]:
        options.add_argument(f"--{name.replace('_', '-')}", type=int, help="another size")
    given = options.parse_args()
    asked = {name: getattr(given, name) for name in Sizes._fields[1:]}
    usual = FULL if given.full else Sizes()
    sizes = usual._replace(**{name: size for name, size in asked.items() if size is not None})
    with ExitStack() as stack:
        log = stack.enter_context(closing(Log(stack.enter_context(database()))))
        lines, bars = measured(log, sizes)
    said = [
        facts("psycopg"),
        f"claims of {ROOM}, one process, one thread, no handlers; fsync on; medians",
        *lines,
    ]
    finish("The log as it grows, on PostgreSQL", said, bars, given.json)


if __name__ == "__main__":
    main()
