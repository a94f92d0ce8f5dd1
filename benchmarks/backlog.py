"""How many messages of a backlog two worker processes handle a second: Atomos, Celery, Dramatiq, Procrastinate.

`python benchmarks/backlog.py` fills each queue, starts two worker processes, and times from the first message
that was handled to the last, in turns; medians. PostgreSQL and RabbitMQ are expected on the loopback
(ATOMOS_TEST_POSTGRES_URL, BENCH_RABBITMQ name others). The handlers do nothing but mark the message's byte
in a shared map (`marks.py`), which is how the driver knows that each was handled.

`--try` looks for each one's best settings instead: it runs those of `TRIES` once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from marks import Marks
from measuring import Bar, Taken, facts, finish, in_turns, medians, parser, ratio, spread
from postgres import connections, database
from serving import family, used

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos

HERE = Path(__file__).parent
ATOMOS, KEYED, CELERY, DRAMATIQ, PROCRASTINATE = (
    "Atomos",
    "Atomos, a key each",
    "Celery",
    "Dramatiq",
    "Procrastinate",
)
PEERS = (CELERY, DRAMATIQ, PROCRASTINATE)
PACKAGES = ("celery", "dramatiq", "procrastinate", "psycopg", "pika", "amqp")
PROCESSES = 2
RABBITMQ = os.environ.setdefault("BENCH_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")

_ONE_BY_ONE = 1000
_PATIENCE = 60.0


class Settings(NamedTuple):
    """How a contestant's workers run: words for the table, command lines, and their environment."""

    said: str
    commands: Sequence[Sequence[str]]
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed


class Queue(NamedTuple):
    """One contestant's way in: sends numbers one by one, or in bulk; is emptied, and made ready to be drained.

    `server` names the processes of its server, as far as the system tells.
    """

    one_by_one: Callable[[range], None]
    in_bulk: Callable[[range], None]
    empty: Callable[[], None]
    ready: Callable[[], None]
    server: Callable[[], list[int]]


class Contestant:
    """One queue and its workers, drained in rounds."""

    def __init__(self, queue: Queue, settings: Settings, count: int) -> None:
        self._queue = queue
        self.settings = settings
        self._count = count
        self.sent: list[tuple[float, float]] = []
        self.spent: list[tuple[float, float]] = []

    def run(self) -> float:
        """Fill the queue and drain it; give the messages a second."""
        self._queue.empty()
        with tempfile.TemporaryDirectory() as folder:
            marks = Marks(Path(folder) / "marks", self._count)
            self._fill()
            self._queue.ready()
            with working(self.settings) as workers:
                before: list[tuple[float, float]] = []
                seconds = marks.drained(
                    lambda: all(each.poll() is None for each in workers),
                    _PATIENCE,
                    lambda: before.append(self._used(workers)),
                )
                spent = (
                    1e6 * (now - then) / self._count
                    for now, then in zip(self._used(workers), before[0], strict=True)
                )
                self.spent.append((next(spent), next(spent)))
                return self._count / seconds

    def _used(self, workers: list[subprocess.Popen[bytes]]) -> tuple[float, float]:
        own = {pid for each in workers for pid in family(each.pid)}
        return sum(map(used, own)), sum(map(used, self._queue.server()))

    def _fill(self) -> None:
        alone = min(_ONE_BY_ONE, self._count // 2)
        begun = time.perf_counter()
        self._queue.one_by_one(range(alone))
        between = time.perf_counter()
        self._queue.in_bulk(range(alone, self._count))
        ended = time.perf_counter()
        self.sent.append((alone / (between - begun), (self._count - alone) / (ended - between)))


@contextmanager
def working(settings: Settings) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start workers; end them."""
    environment = {**os.environ, "PYTHONPATH": str(HERE), **settings.environment}
    started = [
        subprocess.Popen(
            command, cwd=HERE.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in settings.commands
    ]
    try:
        yield started
    finally:
        for each in started:
            each.terminate()
        for each in started:
            try:
                each.wait(20)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


def atomos_workers(threads: int) -> Settings:
    """Run `atomos worker` twice."""
    import backlog_atomos

    return Settings(
        f"{threads} threads", [backlog_atomos.WORKER] * PROCESSES, {"ATOMOS_DELIVERY__THREADS": str(threads)}
    )


def celery_workers(pool: str, concurrency: int, prefetch: int) -> Settings:
    """Run two workers; a prefork pool has one parent and so many children, which are the two."""
    import backlog_celery

    parents = 1 if pool == "prefork" else PROCESSES
    commands = [backlog_celery.worker(f"w{n}", pool, concurrency) for n in range(parents)]
    said = f"{pool} x {concurrency}, prefetch {prefetch} x {concurrency}"
    return Settings(said, commands, {"CELERY_PREFETCH": str(prefetch)})


def dramatiq_workers(threads: int, prefetch: int) -> Settings:
    """Run one parent with two processes."""
    import backlog_dramatiq

    said = f"{threads} threads, prefetch {prefetch}"
    return Settings(
        said, [backlog_dramatiq.worker(PROCESSES, threads)], {"dramatiq_queue_prefetch": str(prefetch)}
    )


def procrastinate_workers(concurrency: int, delete: str) -> Settings:
    """Run two workers."""
    import backlog_procrastinate

    commands = [backlog_procrastinate.worker(concurrency, delete)] * PROCESSES
    return Settings(f"{concurrency} at once, jobs deleted: {delete}", commands)


BEST: dict[str, Callable[[], Settings]] = {
    ATOMOS: lambda: atomos_workers(4),
    KEYED: lambda: atomos_workers(4),
    CELERY: lambda: celery_workers("threads", 2, 100),
    DRAMATIQ: lambda: dramatiq_workers(8, 500),
    PROCRASTINATE: lambda: procrastinate_workers(30, "successful"),
}
"""The settings that are taken; `--try` measures others."""

TRIES: dict[str, list[Callable[[], Settings]]] = {
    ATOMOS: [lambda n=n: atomos_workers(n) for n in (1, 2, 4, 8)],
    KEYED: [lambda n=n: atomos_workers(n) for n in (1, 2, 4, 8)],
    CELERY: [
        *(lambda n=n: celery_workers("solo", 1, n) for n in (10, 100, 500)),
        *(lambda n=n: celery_workers("threads", n, 100) for n in (2, 8)),
        lambda: celery_workers("prefork", 2, 4),
        lambda: celery_workers("prefork", 2, 250),
    ],
    DRAMATIQ: [
        lambda n=n, p=p: dramatiq_workers(n, p)
        for n, p in ((1, 500), (2, 100), (2, 500), (2, 2000), (8, 500))
    ],
    PROCRASTINATE: [
        lambda n=n, d=d: procrastinate_workers(n, d)
        for n, d in ((1, "never"), (10, "never"), (10, "successful"), (30, "successful"))
    ],
}


@contextmanager
def queues() -> Iterator[dict[str, Queue]]:
    """Open every queue; remove them all at the end."""
    with ExitStack() as stack:
        theirs = stack.enter_context(database())
        ours = stack.enter_context(database())
        found = {
            **stack.enter_context(atomos_queues(ours)),
            PROCRASTINATE: stack.enter_context(procrastinate_queue(theirs)),
            CELERY: stack.enter_context(celery_queue()),
            DRAMATIQ: stack.enter_context(dramatiq_queue()),
        }
        yield found


@contextmanager
def atomos_queues(url: str) -> Iterator[dict[str, Queue]]:
    """The log on PostgreSQL, without keys and with one for each message."""
    import backlog_atomos as contestant

    with contestant.application(url) as atomos:
        yield {ATOMOS: queue_of(atomos, url), KEYED: queue_of(atomos, url, 1_000_000)}


def queue_of(atomos: Atomos, url: str, keys: int = 0) -> Queue:
    """The log of an application; the messages go on so many keys, zero for none."""
    import backlog_atomos as contestant

    return Queue(
        lambda numbers: contestant.one_by_one(atomos, numbers, keys),
        lambda numbers: contestant.in_bulk(atomos, numbers, keys),
        lambda: _run(url, "truncate atomos_message, atomos_delivery, atomos_lease"),
        lambda: _run(url, "vacuum analyze atomos_delivery", "vacuum analyze atomos_message", "checkpoint"),
        lambda: connections(url),
    )


@contextmanager
def procrastinate_queue(url: str) -> Iterator[Queue]:
    """Its tables in a database of their own."""
    import backlog_procrastinate as contestant

    os.environ["BENCH_PROCRASTINATE"] = url
    with contestant.sender(url):
        yield Queue(
            contestant.one_by_one,
            contestant.in_bulk,
            lambda: _run(url, "truncate procrastinate_jobs cascade"),
            lambda: _run(
                url, "vacuum analyze procrastinate_jobs", "vacuum analyze procrastinate_events", "checkpoint"
            ),
            lambda: connections(url),
        )


@contextmanager
def celery_queue() -> Iterator[Queue]:
    """A durable queue of its own."""
    import backlog_celery as contestant

    yield _broker_queue(contestant.send, contestant.confirming, ["bench-celery"])
    _delete_queues(["bench-celery"])


@contextmanager
def dramatiq_queue() -> Iterator[Queue]:
    """A durable queue of its own, with those that Dramatiq makes for delays and for the dead."""
    import backlog_dramatiq as contestant

    names = [f"bench-dramatiq{suffix}" for suffix in ("", ".DQ", ".XQ")]
    yield _broker_queue(contestant.send, contestant.confirming, names)
    _delete_queues(names)


def _broker_queue(
    send: Callable[[range], None], confirming: Callable[[range], None], names: list[str]
) -> Queue:
    return Queue(confirming, send, lambda: _purge_queues(names), lambda: None, _rabbitmq)


def _run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def _rabbitmq() -> list[int]:
    return [int(file.parts[2]) for file in Path("/proc").glob("[0-9]*/comm") if _comm(file) == "beam.smp"]


def _comm(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""  # it has ended meanwhile


def _purge_queues(names: list[str]) -> None:
    _each_queue(names, lambda channel, name: channel.queue_purge(name))


def _delete_queues(names: list[str]) -> None:
    _each_queue(names, lambda channel, name: channel.queue_delete(name))


def _each_queue(names: list[str], change: Callable[..., object]) -> None:
    import pika
    from pika.exceptions import ChannelClosedByBroker

    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
    for name in names:
        try:
            change(connection.channel(), name)
        except ChannelClosedByBroker:
            continue  # it is not there
    connection.close()


def main() -> None:
    """Drain all in turns, and print medians; or try settings."""
    options = parser("A backlog drained by two worker processes")
    options.add_argument("--messages", type=int, default=20_000, help="a backlog (Procrastinate: a quarter)")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--full", action="store_true", help="50,000 messages, 5 rounds")
    options.add_argument(
        "--try", dest="trying", nargs="*", metavar="NAME", help="try settings of these; of all"
    )
    given = options.parse_args()
    messages, rounds = (50_000, 5) if given.full else (given.messages, given.rounds)
    counts = {name: messages // 4 if name == PROCRASTINATE else messages for name in BEST}
    with queues() as found:
        if given.trying is not None:
            try_out(found, counts, given.trying or list(TRIES))
            return
        contestants = {name: Contestant(found[name], BEST[name](), counts[name]) for name in BEST}
        taken = in_turns(rounds, {name: each.run for name, each in contestants.items()})
        fsync = _asked("show fsync"), _asked("show synchronous_commit")
    lines = [
        facts(*PACKAGES),
        f"{messages} messages, {PROCESSES} worker processes, {rounds} rounds; "
        f"PostgreSQL {_asked('show server_version')}, fsync {fsync[0]}, synchronous_commit {fsync[1]}; "
        "durable queues, persistent messages, acknowledged late",
        *table(taken, contestants),
        "processor us: of a message, in the workers and in the server's processes for them (RabbitMQ: all)",
        "Only Atomos and Procrastinate can send in the caller's own transaction: Celery and Dramatiq lose",
        "the message, or send one of a change that was rolled back, when the sender dies between the two.",
    ]
    best = max(PEERS, key=lambda name: medians(taken)[name])
    bars = [
        Bar(f"{name}, of {best}", ratio(taken, name, best), 1.5, "times", at_least=True)
        for name in (ATOMOS, KEYED)
    ]
    finish("A backlog drained by two worker processes: messages a second", lines, bars, given.json)


def table(taken: Taken, contestants: dict[str, Contestant]) -> list[str]:
    """Write one line for each contestant, medians all of them."""
    lines = [
        f"{'':20} {'a second':>9} {'(middle half)':>18} {'sent one by one':>16} {'in bulk':>9}   "
        f"{'processor us':>14}   settings"
    ]
    for name, value in medians(taken).items():
        each = contestants[name]
        alone, bulk = (statistics.median(column) for column in zip(*each.sent, strict=True))
        workers, server = (statistics.median(column) for column in zip(*each.spent, strict=True))
        half = f"({spread(taken[name])})" if len(taken[name]) > 1 else ""
        cost = f"{workers:.0f} + {server:.0f}"
        lines.append(
            f"{name:20} {value:9.0f} {half:>18} {alone:16.0f} {bulk:9.0f}   {cost:>14}   {each.settings.said}"
        )
    return lines


def try_out(found: dict[str, Queue], counts: dict[str, int], names: Sequence[str]) -> None:
    """Run every setting once."""
    for name in names:
        for make in TRIES[name]:
            contestant = Contestant(found[name], make(), counts[name])
            try:
                said = f"{contestant.run():9.0f} a second"
            except RuntimeError as error:
                said = str(error)
            print(f"{name:20} {said}   {contestant.settings.said}", flush=True)


def _asked(question: str) -> str:
    from postgres import SERVER

    with psycopg.connect(SERVER) as connection:
        row = connection.execute(question).fetchone()  # type: ignore[call-overload]
    return str(row[0]) if row else ""


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
