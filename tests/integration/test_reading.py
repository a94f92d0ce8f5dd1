"""Reading: of all workers in the installation one reads a topic, and another goes on when it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.messaging.database import DatabaseBroker
from atomos.core.adapters.operations import SqlControl
from atomos.core.service import Broker, Consumer, Subscription, Topology, Unavailable, Worker
from atomos.core.service.reading import ReadingSettings
from atomos.testing.processes import wait_until

from .messaging_samples import Post, cloud_event

TOPIC = "post.deliveries"
SECONDS = 15.0


class Watched(DatabaseBroker):
    """A broker whose consumers are known; `breaks` is how many fail before one does not."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.consumers: list[str] = []
        self.breaks = 0

    def consume(self, subscription: Subscription) -> Consumer:
        if self.breaks:
            self.breaks -= 1
            raise Unavailable("the broker does not answer")
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


def post_on(database: Database, broker: Broker, **said: Any) -> Post:
    post = Post(database, broker, reading=ReadingSettings("post", lease=1.0, **said))
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
