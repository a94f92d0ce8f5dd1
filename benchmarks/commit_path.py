"""What the log costs a unit of work on PostgreSQL: the same one with it and without it, and by hand.

`python benchmarks/commit_path.py` sends commands through the bus, in turns: with the log (look-up by the
message's id, event, command and recorded event, two deliveries), the same without the look-up, the same with a
log that stores nothing, and the same statements by hand, without a bus. Then commands that a worker holds, with
and without the log: there the delivery is completed under its fence, and there is no look-up. Then an order line
of the reference service, whose unit of work is no smaller than a real one.
`--no-indexes` drops the indexes that only retention and operators need, to see what they cost.
`--profile NAME` profiles one of them instead: `keyed`, `silent` or `hand`.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import count

import accounts
import psycopg
from accounts import ACCOUNTS, Account
from measuring import Bar, facts, finish, in_turns, medians, parser, ratio, spread
from postgres import SKUS, connections, database, refill
from serving import used
from sqlalchemy import create_engine, update
from sqlalchemy.orm import Session
from uuid_utils import uuid7

from atomos.allocation.domain.events import OrderLineReceived
from atomos.bootstrap import Atomos, build
from atomos.core.service import SYSTEM, MessageBus
from atomos.core.service.delivery import NO_ROWS, Claimed, Delivery, Fence, Record
from atomos.core.service.envelope import Envelope, Origin, new_id

KEYED, FRESH, SILENT, HAND = "with the log", "no look-up", "without the log", "by hand, no bus"
HELD, HELD_SILENT = "held, with the log", "held, without"
LINE, LINE_SILENT = "order line, with it", "order line, without"
WITHOUT = {HELD: HELD_SILENT, HELD_SILENT: HELD_SILENT, LINE: LINE_SILENT, LINE_SILENT: LINE_SILENT}
"""What each is compared with; the others with `SILENT`."""

COMMANDS, ROUNDS = 100, 60

_NUMBERS = count()


def account() -> str:
    """Name the next account, in turn."""
    return f"account-{next(_NUMBERS) % ACCOUNTS}"


class Meter:
    """Times commands, and notes the processor milliseconds of each: in this thread, and in the database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.spent: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def rate(self, name: str, call: Callable[[], object], calls: int = COMMANDS) -> float:
        """Give the calls a second."""
        before, own = self._database(), time.thread_time()
        started = time.perf_counter()
        for _ in range(calls):
            call()
        seconds = time.perf_counter() - started
        own, served = time.thread_time() - own, self._database() - before
        self.spent[name].append((1000 * own / calls, 1000 * served / calls))
        return calls / seconds

    def _database(self) -> float:
        return sum(map(used, connections(self._url)))


def emit(bus: MessageBus, *, keyed: bool) -> int:
    """Pay something in; a key can be looked up, and its id is new each time."""
    origin = Origin(SYSTEM, id=str(uuid7()) if keyed else None)
    return bus.emit(accounts.PaidIn(number=account(), amount=1), origin)


def order(bus: MessageBus) -> None:
    """Send a line of an order to the reference service, with a key."""
    number = next(_NUMBERS)
    event = OrderLineReceived(
        order_id=f"order-{number}", sku=f"SKU-{number % SKUS:04}", quantity=1 + number % 9
    )
    bus.emit(event, Origin(SYSTEM, id=str(uuid7())))


def by_hand(url: str) -> Callable[[], None]:
    """Give the same statements without a bus, a unit of work, or messages."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), pool_use_lifo=True)
    total = update(accounts.TOTALS).values(paid_in=accounts.TOTALS.c.paid_in + 1)

    def pay_in() -> None:
        with Session(engine, autoflush=False, expire_on_commit=False) as session:
            found = session.get_one(Account, account(), with_for_update=True)
            found.pay_in(1)
            found.version += 1
            session.flush()
            event = found.take_recorded()[0]
            session.connection().execute(total.where(accounts.TOTALS.c.number == event.number))  # type: ignore[attr-defined]
            session.commit()

    return pay_in


def held(atomos: Atomos, name: str, meter: Meter) -> Callable[[], float]:
    """Give a turn of commands that a worker holds: claimed beforehand, each completed by its own transaction."""
    log, deliveries = atomos.container.core.message_log(), atomos.container.core.deliveries()
    recipient = "command:bench.pay-in"
    deliveries.enrol([recipient])

    def store() -> list[Claimed]:
        records = []
        for _ in range(COMMANDS):
            id_, number = new_id(), account()
            envelope = Envelope(id_, id_, None, atomos.container.core.clock().now(), number, "system", None)
            message = accounts.PayIn(number=number, amount=1)
            records.append(Record("command", envelope, message, (Delivery(recipient, number),)))
        log.append(records)
        batch = deliveries.claim(recipient, COMMANDS, "bench")
        if batch.claimed:
            return list(batch.claimed)
        each = [(n, record.envelope, record.message) for n, record in enumerate(records)]
        return [Claimed(Fence(0, recipient, n), env.ordering_key, 0, env, said) for n, env, said in each]

    def turn() -> float:
        claimed = store()
        rows = iter(claimed)
        measured = meter.rate(name, lambda: atomos.bus.deliver(next(rows)))
        if lease := claimed[0].fence.lease:
            deliveries.keep(lease, NO_ROWS)
        return measured

    return turn


def main() -> None:
    """Measure in turns, and print medians."""
    options = parser("What the log costs a unit of work")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--no-indexes", action="store_true", help="without those of migration 0002")
    options.add_argument("--profile", choices=("keyed", "silent", "hand"))
    given = options.parse_args()
    with database() as url:
        prepare(url, indexes=not given.no_indexes)
        loud, silent = build("accounts:Application"), build("accounts:SilentApplication")
        service, silent_service = build(), build("accounts:SilentService")
        calls: dict[str, Callable[[], object]] = {
            KEYED: lambda: emit(loud.bus, keyed=True),
            FRESH: lambda: emit(loud.bus, keyed=False),
            SILENT: lambda: emit(silent.bus, keyed=True),
            HAND: by_hand(url),
            LINE: lambda: order(service.bus),
            LINE_SILENT: lambda: order(silent_service.bus),
        }
        if given.profile:
            profile(calls[{"keyed": KEYED, "silent": SILENT, "hand": HAND}[given.profile]])
            return
        meter = Meter(url)
        turns = {name: lambda name=name: meter.rate(name, calls[name]) for name in calls}
        turns |= {
            HELD: held(loud, HELD, meter),
            HELD_SILENT: held(silent, HELD_SILENT, meter),
        }
        in_turns(1, turns)
        meter.spent.clear()
        taken = in_turns(given.rounds, turns)
        for each in (loud, silent, service, silent_service):
            each.close()
    lines = [
        facts("sqlalchemy", "psycopg"),
        f"one thread, {ACCOUNTS} accounts in turn; median of {given.rounds} rounds of {COMMANDS} commands"
        + (", without the indexes of 0002" if given.no_indexes else ""),
        f"{'':20} {'a second':>9} {'(middle half)':>18} {'of without':>11}   processor ms: own + database",
    ]
    for name, value in medians(taken).items():
        own, served = (statistics.median(column) for column in zip(*meter.spent[name], strict=True))
        part = ratio(taken, name, WITHOUT.get(name, SILENT))
        lines.append(
            f"{name:20} {value:9.0f} {f'({spread(taken[name])})':>18} {part:11.0%}   {own:.2f} + {served:.2f}"
        )
    cost = [
        100 * (1 - ratio(taken, one, other))
        for one, other in ((KEYED, SILENT), (HELD, HELD_SILENT), (LINE, LINE_SILENT))
    ]
    bars = [
        Bar("what look-up and rows cost of the rate", cost[0], 25.0, "%"),
        Bar("what rows and fence cost of the rate", cost[1], 25.0, "%"),
        Bar("what look-up and rows cost of the rate of an order line", cost[2], 25.0, "%"),
    ]
    finish("A unit of work on PostgreSQL, with the log and without it", lines, bars, given.json)


def prepare(url: str, *, indexes: bool) -> None:
    """Make the accounts, and the reference service's stock."""
    refill(url)
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table bench_account (number text primary key, version bigint, balance bigint)"
        )
        connection.execute("create table bench_total (number text primary key, paid_in bigint)")
        for table, rest in (("bench_account", "1, 0"), ("bench_total", "0")):
            connection.execute(
                f"insert into {table} select 'account-' || n, {rest} from generate_series(0, {ACCOUNTS - 1}) n"
            )
        if not indexes:
            for name in ("delivery_timer", "delivery_failed", "message_conversation", "message_recorded"):
                connection.execute(f"drop index atomos_{name}")


def profile(call: Callable[[], object]) -> None:
    """Print where the time of one of them goes."""
    call()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(2000):
        call()
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
