"""Reading: of all workers in the installation one reads a topic, and another goes on when it is gone."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from structlog.testing import capture_logs

from atomos.core.adapters import Database
from atomos.core.adapters.messaging.database import DatabaseBroker
from atomos.core.adapters.operations import SqlControl
from atomos.core.domain import RuleBroken
from atomos.core.service import (
    Broker,
    Consumer,
    Envelope,
    ForeignMessage,
    Routes,
    Subscription,
    Topology,
    Unavailable,
    WireMessage,
    Worker,
    by,
    parks,
    translated,
)
from atomos.core.service.reading import ReadingSettings
from atomos.testing.processes import wait_until

from .messaging_samples import ROUTES, Counted, Delivered, Heard, Post, cloud_event, counted, hear, hear_count

TOPIC = "post.deliveries"
SECONDS = 15.0


class Watched(DatabaseBroker):
    """A broker whose consumers are known; `breaks` is how many fail before one does not.

    `raises` is what else goes wrong first.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.consumers: list[str] = []
        self.breaks = 0
        self.raises: list[BaseException] = []

    def consume(self, subscription: Subscription) -> Consumer:
        if self.breaks:
            self.breaks -= 1
            raise Unavailable("the broker does not answer")
        if self.raises:
            raise self.raises.pop()
        if subscription.topic == TOPIC:
            self.consumers.append(threading.current_thread().name)
        return super().consume(subscription)


@pytest.fixture
def broker(log_database: Database) -> Watched:
    broker = Watched(log_database)
    broker.declare(Topology((), (Subscription(TOPIC, "post"), Subscription("erp.counts", "post"))))
    return broker


@pytest.fixture
def working() -> Iterator[Any]:
    """Start a worker of a post; all are stopped after the test."""
    with ExitStack() as stack:

        def work(post: Post) -> Worker:
            worker = post.worker()
            worker.start()
            stack.callback(worker.stop)
            return worker

        yield work


def post_on(database: Database, broker: Broker, routes: Routes = ROUTES, **said: Any) -> Post:
    post = Post(database, broker, routes=routes, reading=ReadingSettings("post", lease=1.0, **said))
    post.deliveries._now = lambda: None
    return post


def publish(broker: Broker, numbers: Sequence[int]) -> None:
    broker.publish(TOPIC, [cloud_event(number) for number in numbers])


def test_one_worker_reads_and_another_goes_on_when_it_is_gone(
    log_database: Database, broker: Watched, working: Any
) -> None:
    posts = [post_on(log_database, broker), post_on(log_database, broker)]
    workers = [working(post) for post in posts]

    def heard() -> list[int]:
        return sorted(number for post in posts for number in post.heard.numbers)

    publish(broker, range(50))
    wait_until(lambda: heard() == list(range(50)), SECONDS, "all of it to be heard")
    assert len(broker.consumers) == 1

    reading = next(w for w in workers if w.id in _readers(log_database))
    reading.stop()
    publish(broker, range(50, 100))
    wait_until(lambda: heard() == list(range(100)), SECONDS, "the rest to be heard")
    assert len(broker.consumers) == 2
    assert reading.id not in _readers(log_database)


def test_a_reader_goes_on_after_the_broker_was_away(
    log_database: Database, broker: Watched, working: Any
) -> None:
    broker.breaks = 4
    post = post_on(log_database, broker)
    working(post)
    publish(broker, [1])

    wait_until(lambda: post.heard.numbers == [1], SECONDS, "it to be heard")


def test_while_too_much_waits_nothing_more_is_taken(
    log_database: Database, broker: Watched, working: Any
) -> None:
    post = post_on(log_database, broker, batch=10, waiting=25)
    post.deliveries.enrol(["post.hear"])
    SqlControl(log_database, post.codec).pause("post.hear", "ana", "nobody handles what was read")
    working(post)
    publish(broker, range(100))

    def stored() -> int:
        return int(post.look("select count(*) from atomos_message where kind = 'received'")[0][0])

    wait_until(lambda: stored() >= 30, SECONDS, "as much to be read as may wait")
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert stored() == 30
        time.sleep(0.05)


def _readers(database: Database) -> set[str]:
    with database.look() as connection:
        empty = "'[]'" if database.dialect == "sqlite" else "'{}'"
        rows = connection.exec_driver_sql(
            f"select worker from atomos_lease where seqs = {empty} and recipient = 'subscription:{TOPIC}'"  # noqa: S608
        )
        return set(rows.scalars())


def test_a_batch_that_takes_longer_than_the_lease_is_read_once(
    log_database: Database, broker: Watched, working: Any
) -> None:
    translated_here: list[int] = []

    def slowly(message: ForeignMessage) -> Counted:
        time.sleep(0.3)
        translated_here.append(message.json()["n"])
        return Counted(number=translated_here[-1])

    posts = [post_on(log_database, broker, routes=counting(slowly)) for _ in range(2)]
    broker.publish("erp.counts", [WireMessage(b'{"n": %d}' % number) for number in range(10)])
    for post in posts:
        working(post)

    wait_until(lambda: sum(len(post.heard.numbers) for post in posts) == 10, SECONDS, "all to be heard")
    assert translated_here == list(range(10))


def test_a_translation_that_wants_to_end_the_process_is_an_error_of_its_message(
    log_database: Database, broker: Watched, working: Any
) -> None:
    def ends(message: ForeignMessage) -> Counted:
        if (number := message.json()["n"]) == 1:
            sys.exit("there is nothing to do")
        return Counted(number=number)

    post = post_on(log_database, broker, routes=counting(ends))
    working(post)
    broker.publish("erp.counts", [WireMessage(b'{"n": %d}' % number) for number in range(3)])

    wait_until(lambda: sorted(post.heard.numbers) == [0, 2], SECONDS, "the others to be heard")
    broker.publish("erp.counts", [WireMessage(b'{"n": 3}')])
    wait_until(lambda: sorted(post.heard.numbers) == [0, 2, 3], SECONDS, "it to go on")
    wait_until(
        lambda: [status for status, _ in post.states("subscription:erp.counts")] == ["parked"],
        SECONDS,
        "it to be parked",
    )


def test_whatever_ends_a_reading_it_begins_again(
    log_database: Database, broker: Watched, working: Any
) -> None:
    broker.raises = [SystemExit(3)]
    post = post_on(log_database, broker)
    working(post)
    publish(broker, [1])

    wait_until(lambda: post.heard.numbers == [1], SECONDS, "it to be heard")


def test_a_subscription_that_is_paused_is_read_no_more_until_it_is_resumed(
    log_database: Database, broker: Watched, working: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = post_on(log_database, broker)
    control = SqlControl(log_database, post.codec)
    working(post)
    publish(broker, [1])
    wait_until(lambda: post.heard.numbers == [1], SECONDS, "it to be read")

    turns = refused_turns(post, monkeypatch)
    control.pause(f"subscription:{TOPIC}", "ana", "the sender sends nonsense")
    wait_until(lambda: not _readers(log_database), SECONDS, "its reader to leave it")
    publish(broker, [2])
    wait_until(lambda: turns.count(f"subscription:{TOPIC}") >= 3, SECONDS, "it to ask for its turn again")
    assert post.heard.numbers == [1]

    control.resume(f"subscription:{TOPIC}", "ana")
    wait_until(lambda: post.heard.numbers == [1, 2], SECONDS, "it to be read on")


def test_what_is_parked_does_not_count_as_waiting(
    log_database: Database, broker: Watched, working: Any
) -> None:
    def refuse(event: Delivered, heard: Heard, envelope: Envelope) -> None:
        if event.number < 20:
            raise RuleBroken("nobody wants it")
        hear(event, heard, envelope)

    routes = Routes(
        reactions={Delivered: [parks(by("box", refuse))], Counted: [hear_count]},
        subscribes={TOPIC: Delivered, "erp.counts": translated(counted)},
    )
    post = post_on(log_database, broker, routes=routes, batch=10, waiting=5)
    broker.publish(TOPIC, [cloud_event(number, f"box-{number}") for number in range(21)])
    working(post)

    wait_until(lambda: post.heard.numbers == [20], SECONDS, "the last one to be heard")
    expected = ["parked"] * 20 + ["done"]
    wait_until(
        lambda: [status for status, _ in post.states("post.refuse")] == expected, SECONDS, "it to be noted"
    )


def test_a_reader_whose_turn_is_over_leaves_the_topic_though_nothing_comes(
    log_database: Database, broker: Watched, working: Any
) -> None:
    post = post_on(log_database, broker)
    working(post)
    wait_until(lambda: len(broker.consumers) == 1, SECONDS, "somebody to read")
    with log_database.transaction() as connection:
        connection.exec_driver_sql("delete from atomos_lease")

    wait_until(lambda: len(broker.consumers) == 2, SECONDS, "it to begin anew")
    publish(broker, [1])
    wait_until(lambda: post.heard.numbers == [1], SECONDS, "it to be read")


def test_a_translation_that_takes_longer_than_a_lease_is_told(
    log_database: Database, broker: Watched, working: Any
) -> None:
    told = threading.Event()

    def slowly(message: ForeignMessage) -> Counted:
        assert told.wait(SECONDS)
        return Counted(number=message.json()["n"])

    post = post_on(log_database, broker, routes=counting(slowly))
    with capture_logs() as logs:
        working(post)
        broker.publish("erp.counts", [WireMessage(b'{"n": 1}')])
        wait_until(lambda: "reader.slow" in {each["event"] for each in logs}, SECONDS, "it to be told")
        told.set()
        wait_until(lambda: post.heard.numbers == [1], SECONDS, "it to be heard")


def refused_turns(post: Post, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose turn a post's worker asks for in vain from now on."""
    refused: list[str] = []
    take_turn = post.deliveries.take_turn

    def asked(recipient: str, worker: str) -> int | None:
        if (lease := take_turn(recipient, worker)) is None:
            refused.append(recipient)
        return lease

    monkeypatch.setattr(post.deliveries, "take_turn", asked)
    return refused


def counting(translation: Callable[[ForeignMessage], Counted]) -> Routes:
    """Routes of a post whose counts are made by a translation."""
    return Routes(
        reactions={Delivered: [by("box", hear)], Counted: [hear_count]},
        subscribes={TOPIC: Delivered, "erp.counts": translated(translation)},
    )
