"""A broker that is stopped, killed, frozen or refuses, and workers that are hurt while they publish and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain, count
from pathlib import Path
from time import monotonic

import psutil
import pytest

from atomos.core.adapters.operations import SqlControl
from atomos.core.service import Subscription, WireMessage
from atomos.core.service.operations import DeliveryFilter
from atomos.testing.databases import POSTGRES_URL
from atomos.testing.faults import Load, Scenario, fresh_database
from atomos.testing.processes import wait_until

from .carrying import CARRIERS, SECONDS, Carrier, Pair, box, carrier, drive, drive_in_step, written
from .post import SENT, STEPPED, Sent
from .severing import Passage

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

IS_LONG = os.environ.get("ATOMOS_TEST_FAULTS") == "long"
AWAY_SECONDS = 60.0 if IS_LONG else 4.0
PAUSE = 0.02
RESUME_SECONDS = 4.0
"""Within which publishing and reading go on once the server is back: pauses are 2 s at the most."""

PATIENCE_SECONDS = 13.0
"""Within which a worker ends that was told to: it lets what runs end for 10 s."""

ROUNDS = 30 if IS_LONG else 5
"""How often connections are closed."""

LEAKED = 10
"""So many handles more are some for each time: workers open a few when they first need them."""

ON_RABBITMQ = pytest.mark.parametrize("carried", ["rabbitmq"], indirect=True)
"""For what only RabbitMQ does."""

POINTS = {
    "publish.before": "sender",
    "publish.after": "sender",
    "receiving.before": "receiver",
    "receiving.after": "receiver",
}
"""Failpoints, and who passes them."""

POSTGRES = os.environ.get("ATOMOS_TEST_POSTGRES_URL", POSTGRES_URL)
ON_POSTGRESQL = {"rabbitmq": ("sender",), "nats": ("receiver",), "redis": ("sender", "receiver")}
"""Who has a PostgreSQL, by the broker; the others have a SQLite file."""

MakePair = Callable[..., Pair]


@pytest.fixture(scope="module", params=CARRIERS)
def carried(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """A server of each kind, for the tests of this module alone."""
    with carrier(request.param) as carried:
        yield carried


@pytest.fixture
def make_pair(tmp_path: Path, carried: Carrier, request: pytest.FixtureRequest) -> Iterator[MakePair]:
    """What makes the two applications of a test; what their workers said is shown."""
    usual = ON_POSTGRESQL.get(request.node.callspec.params["carried"], ())
    with ExitStack() as stack:

        def database(name: str, server: str | None) -> str:
            (tmp_path / name).mkdir()
            return stack.enter_context(fresh_database(tmp_path / name, server))

        def make(url: str | None = None, on_postgresql: Sequence[str] = usual, **settings: str) -> Pair:
            sender, receiver = (
                database(name, POSTGRES if name in on_postgresql else None) for name in ("sender", "receiver")
            )
            return stack.enter_context(Pair(tmp_path, (sender, receiver), url or carried.place(), **settings))

        yield make
    for output in sorted(tmp_path.glob("*/worker-*.log")):
        print(f"--- {output.parent.name}/{output.name}\n{output.read_text('utf-8', 'replace')[-3000:]}")


def grows(number: Callable[[], int], what: str, by: int = 1) -> float:
    """Wait until a number has grown; say how many seconds that took."""
    began, before = monotonic(), number()
    wait_until(lambda: number() >= before + by, SECONDS, what)
    return monotonic() - began


@contextmanager
def away(carried: Carrier, end: Callable[[], None]) -> Iterator[None]:
    """End the server, and start it again, also for the tests that come after one that fails."""
    end()
    try:
        yield
    finally:
        carried.server.start()


def has_ended(scenario: Scenario) -> bool:
    """Whether one of its workers has, for which another is started."""
    return scenario.tend() == 1


def pass_seconds(seconds: float) -> None:
    """Let time pass, as this is about how long something is away."""
    until = monotonic() + seconds
    wait_until(lambda: monotonic() > until, seconds + 1, "time to pass")


def test_a_broker_that_is_stopped_and_then_killed_under_load_is_waited_for(
    carried: Carrier, make_pair: MakePair
) -> None:
    pair = make_pair(
        ATOMOS_DELIVERY__ATTEMPTS="3", ATOMOS_DELIVERY__BACKOFF="1", ATOMOS_DELIVERY__BACKOFF_CAP="300"
    )
    pair.subscribe()
    pair.start()
    load = Load(drive, pair.sender.bus, count(), PAUSE)
    load.start()
    wait_until(lambda: pair.entered() > 20, SECONDS, "the first numbers to be entered")
    for end, seconds in (carried.server.stop, AWAY_SECONDS), (carried.server.kill, 1.0):
        down = monotonic()
        with away(carried, end):
            # What was confirmed just before the end is noted as done after it.
            pass_seconds(seconds)
            grows(pair.sender.waiting, "the log to take what the broker cannot", by=10)
            assert pair.given_up() == []
        back = monotonic()
        published = grows(pair.published, "publishing to go on")
        read = published + grows(pair.entered, "reading to go on")
        print(f"away for {back - down:.1f} s: published after {published:.1f} s, read after {read:.1f} s")
        assert read < RESUME_SECONDS
    numbers = load.end()
    pair.settle(len(numbers))
    assert all(worker.is_running for each in pair.both for worker in each.workers), "nobody starts anew"
    assert pair.broken(numbers) == []


@pytest.mark.parametrize("carried", ["rabbitmq", "redis", "nats"], indirect=True)
def test_after_a_server_came_back_empty_publishing_and_reading_go_on(
    carried: Carrier, make_pair: MakePair
) -> None:
    pair = make_pair()
    pair.subscribe()
    pair.start()
    load = Load(drive, pair.sender.bus, count(), PAUSE)
    load.start()
    wait_until(lambda: pair.entered() > 20, SECONDS, "the first numbers to be entered")
    carried.server.remove()
    carried.server.start()
    grows(pair.published, "publishing to go on", by=100)
    grows(pair.entered, "reading to go on", by=100)
    load.end()
    wait_until(lambda: pair.sender.waiting() == 0, SECONDS, "all to be published")
    assert pair.given_up() == []
    assert all(worker.is_running for each in pair.both for worker in each.workers), "nobody starts anew"


def test_workers_killed_while_they_publish_and_read_lose_nothing_and_double_nothing(
    make_pair: MakePair,
) -> None:
    pair = make_pair()
    pair.subscribe()
    pair.start()
    load = Load(drive, pair.sender.bus, count(), PAUSE)
    load.start()
    for point, name in POINTS.items():
        hurt = pair.named(name)
        hurt.arm(point, nth=3)
        struck = hurt.wait_until_struck(point, SECONDS)
        wait_until(partial(has_ended, hurt), SECONDS, "its end")
        assert struck.process not in {worker.pid for worker in hurt.workers}
        grows(pair.entered, "others to go on")
    numbers = load.end()
    pair.settle(len(numbers))
    assert pair.broken(numbers) == []


@pytest.mark.parametrize("point", [point for point, name in POINTS.items() if name == "receiver"])
def test_a_reader_stopped_past_its_lease_and_continued_writes_nothing_twice(
    make_pair: MakePair, point: str
) -> None:
    # On SQLite it may be stopped while it writes, and then nobody else can.
    pair = make_pair(on_postgresql=("receiver",))
    pair.subscribe()
    pair.start()
    load = Load(drive, pair.sender.bus, count(), PAUSE)
    load.start()
    pair.receiver.arm(point, "stop", nth=3)
    struck = pair.receiver.wait_until_struck(point, SECONDS)
    stopped = next(worker for worker in pair.receiver.workers if worker.pid == struck.process)
    grows(pair.entered, "another to read in its place", by=20)
    stopped.go_on()
    grows(pair.entered, "reading to go on beside it", by=20)
    numbers = load.end()
    pair.settle(len(numbers))
    assert stopped.is_running
    assert pair.broken(numbers) == []


def test_workers_end_in_time_when_they_are_told_to_while_the_broker_does_not_answer(
    carried: Carrier, make_pair: MakePair
) -> None:
    pair = make_pair()
    pair.subscribe()
    pair.start(workers=1)
    load = Load(drive, pair.sender.bus, count(), PAUSE)
    load.start()
    wait_until(lambda: pair.entered() > 5, SECONDS, "the first numbers to be entered")
    carried.server.freeze()
    try:
        grows(pair.sender.waiting, "numbers to wait", by=20)
        began = monotonic()
        workers = [worker for each in pair.both for worker in each.workers]
        for worker in workers:
            worker.terminate()
        assert [worker.wait(SECONDS) for worker in workers] == [0, 0]
        print(f"they ended after {monotonic() - began:.1f} s")
        assert monotonic() - began < PATIENCE_SECONDS
        for each in pair.both:
            each.workers.clear()
    finally:
        carried.server.thaw()
    pair.start(workers=1)
    numbers = load.end()
    pair.settle(len(numbers))
    assert pair.broken(numbers) == []


def test_connections_that_the_server_closes_again_and_again_cost_nothing(
    carried: Carrier, make_pair: MakePair
) -> None:
    with Passage(carried.server.port) as passage:
        pair = make_pair(carried.place(passage.port))
        pair.subscribe()
        pair.start(workers=1)
        load = Load(drive, pair.sender.bus, count(), PAUSE)
        load.start()
        handles = [again_and_again(pair, passage, times) for times in (2, ROUNDS)]
        numbers = load.end()
        pair.settle(len(numbers))
        print(f"handles: {handles}")
        assert max(after - before for before, after in zip(*handles, strict=True)) < LEAKED
        assert pair.broken(numbers) == []


def again_and_again(pair: Pair, passage: Passage, times: int) -> list[int]:
    """Sever all connections so many times, each time when messages go through; tell the workers' open handles."""
    for _ in range(times):
        wait_until(lambda: passage.sever() > 0, SECONDS, "a connection")
        grows(pair.entered, "messages to go through", by=5)
    return [psutil.Process(worker.pid).num_fds() for each in pair.both for worker in each.workers]


@ON_RABBITMQ
def test_what_a_full_queue_refuses_is_tried_again_in_order(carried: Carrier, make_pair: MakePair) -> None:
    from atomos.core.adapters.messaging.names import QUEUE_ARGUMENTS, queue_of
    from atomos.core.adapters.messaging.rabbitmq.link import Link, place_of

    pair = make_pair()
    prefix = pair.receiver.settings["ATOMOS_BROKER__PREFIX"]
    full = {**QUEUE_ARGUMENTS, "x-max-length": 5, "x-overflow": "reject-publish"}
    with closing(Link(place_of(carried.place(), 10, 10), "test")) as link:
        queue = queue_of(prefix, Subscription(STEPPED, "receiver"))
        link.channel.exchange_declare(prefix, "topic", durable=True, auto_delete=False)
        link.channel.queue_declare(queue, durable=True, auto_delete=False, arguments=full)
        link.channel.queue_bind(queue, prefix, STEPPED)
    numbers = range(60)
    for number in numbers:
        drive_in_step(pair.sender.bus, number)
    pair.start(pair.sender)
    refused = "select count(*) from atomos_delivery where status = 'retrying' and attempts > 1"
    wait_until(lambda: pair.sender.number(refused) > 0, SECONDS, "a message to be refused twice")
    pair.start(pair.receiver)
    pair.settle(len(numbers))
    assert pair.broken(numbers) == []


def test_what_nobody_subscribed_to_parks_its_key_and_is_published_when_an_operator_says_so(
    make_pair: MakePair,
) -> None:
    pair = make_pair()
    early = [number for number in range(20) if box(number) in ("box-0", "box-1")]
    for number in early:
        drive(pair.sender.bus, number)
    pair.start(pair.sender, workers=1)
    wait_until(lambda: len(pair.given_up()) == 2, SECONDS, "the first of each box to be parked")
    pair.start(pair.receiver, workers=1)
    reads = "select count(*) from atomos_lease where recipient = 'subscription:post.sent'"
    wait_until(lambda: pair.receiver.number(reads) > 0, SECONDS, "the subscription to be read")
    late = [number for number in range(20) if number not in early]
    for number in late:
        drive(pair.sender.bus, number)
    wait_until(lambda: pair.entered() == len(late), SECONDS, "the other boxes to be entered")
    assert len(pair.given_up()) == 2
    core = pair.sender.atomos.container.core
    assert SqlControl(core.database(), core.codec()).retry(DeliveryFilter(("parked",)), "ana") == 2
    pair.settle(20)
    assert pair.broken([*late, *early]) == []


def test_what_is_too_large_for_the_broker_parks_its_key_with_the_reason_and_the_others_go_on(
    carried: Carrier, make_pair: MakePair
) -> None:
    pair = make_pair()
    pair.subscribe()
    pair.sender.bus.emit(Sent(account=box(0), number=0, deed="x" * (carried.largest + 1)))
    others = range(1, 20)
    for number in others:
        drive(pair.sender.bus, number)
    pair.start(workers=1)
    free = [number for number in others if box(number) != box(0)]
    wait_until(lambda: pair.entered() >= len(free), SECONDS, "the other boxes to be entered")
    ((recipient, errors),) = pair.given_up()
    assert recipient == f"topic:{SENT}"
    assert "TooLarge" in str(errors)
    drive(pair.sender.bus, 20)
    drive(pair.sender.bus, 21)
    wait_until(lambda: 21 in pair.numbers(), SECONDS, "the next of another box to be entered")
    assert 20 not in pair.numbers()


def test_repeated_and_reordered_batches_are_entered_once_each_in_the_order_of_their_first_coming(
    make_pair: MakePair,
) -> None:
    pair = make_pair()
    pair.subscribe()
    pair.start(pair.receiver)
    batches = [range(20), range(20), range(40, 60), range(20, 40), range(10, 60), range(20)]
    for batch in batches:
        assert set(pair.broker.publish(SENT, [written(number) for number in batch])) == {None}
    numbers = dict.fromkeys(chain(*batches))
    pair.settle(len(numbers))
    assert pair.broken(numbers) == []


UNREADABLE = {
    "no CloudEvent in JSON": WireMessage(b"{not JSON", "application/cloudevents+json"),
    "post.unheard": written(1, id="a", type="post.unheard"),
    "version 1": written(2, id="b", type=f"{SENT}.v9"),
    "number": written(3, id="c", data={"account": "box-3", "number": "many"}),
}
"""What cannot be understood, by what its reason says."""


def test_what_cannot_be_read_is_parked_with_its_reason_and_the_topic_goes_on(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.subscribe()
    pair.start(pair.receiver)
    numbers = range(len(UNREADABLE) * 10)
    for place, message in enumerate(UNREADABLE.values()):
        good = [written(number) for number in numbers[place * 10 : place * 10 + 10]]
        assert set(pair.broker.publish(SENT, [*good[:5], message, message, *good[5:]])) == {None}
    pair.settle(len(numbers))
    said = [str(errors) for recipient, errors in pair.given_up() if recipient == f"subscription:{SENT}"]
    assert len(said) == len(UNREADABLE)
    assert [reason for reason in UNREADABLE if not any(reason in each for each in said)] == []
    assert pair.broken(numbers, given_up=True) == []
