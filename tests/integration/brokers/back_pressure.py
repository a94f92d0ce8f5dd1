"""What holds when an application cannot keep up: it takes no more than may wait, and then all of it in order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.operations import SqlControl
from atomos.core.service import Broker, Consumer, Subscription, Taken
from atomos.core.service.reading import ReadingSettings
from atomos.testing.conformance.broker import Connect
from atomos.testing.processes import wait_until

from ..messaging_samples import Post, cloud_event

SUBSCRIPTION = Subscription("post.deliveries", "post")
SECONDS = 30.0


class BackPressure:
    """Subclass it with the fixture `connect`; a topic of that name is the test's own."""

    def test_a_full_application_leaves_the_rest_with_the_broker_and_hears_all_of_it_in_order(
        self, connect: Connect, log_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broker = connect()
        asked = what_is_asked_for(broker, monkeypatch)
        post = Post(log_database, broker, reading=ReadingSettings("post", batch=10, waiting=25, lease=1.0))
        post.deliveries._now = lambda: None
        post.deliveries.enrol(["post.hear"])
        control = SqlControl(log_database, post.codec)
        control.pause("post.hear", "ana", "nobody handles what was read")
        worker = post.worker()
        published = [cloud_event(number) for number in range(105)]

        def stored() -> int:
            return int(post.look("select count(*) from atomos_message where kind = 'received'")[0][0])

        worker.start()
        try:
            wait_until(lambda: _is_read(post), SECONDS, "somebody to read")
            assert list(broker.publish(SUBSCRIPTION.topic, published)) == [None] * 105
            wait_until(lambda: stored() > 25, SECONDS, "as much to be read as may wait")
            asked.clear()
            wait_until(lambda: asked.count(0) >= 3, SECONDS, "it to say several times that it has no room")
            assert stored() <= 25 + 10
            control.resume("post.hear", "ana")
            wait_until(lambda: len(post.heard.numbers) == 105, SECONDS, "all of it to be heard")
        finally:
            worker.stop()
        assert post.heard.numbers == list(range(105))


def what_is_asked_for(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages its consumers are asked for from now on, at the most, each time."""
    asked: list[int] = []
    consume = broker.consume

    def watched(subscription: Subscription) -> Consumer:
        consumer = consume(subscription)
        receive = consumer.receive

        def asking(most: int, seconds: float) -> Sequence[Taken]:
            asked.append(most)
            return receive(most, seconds)

        monkeypatch.setattr(consumer, "receive", asking)
        return consumer

    monkeypatch.setattr(broker, "consume", watched)
    return asked


def _is_read(post: Post) -> bool:
    return bool(post.look("select id from atomos_lease where recipient = 'subscription:post.deliveries'"))
