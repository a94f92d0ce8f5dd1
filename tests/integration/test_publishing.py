"""Publishing: batches from the log, confirmed before they are completed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.service import Broker, NotRouted, NotTaken, TooLarge, Unavailable, Worker
from atomos.core.service.errors import MissingExtra

from .messaging_samples import Advertised, Post, Posted, Registered, ScriptedBroker


@pytest.fixture
def broker() -> ScriptedBroker:
    return ScriptedBroker()


@pytest.fixture
def post(log_database: Database, broker: ScriptedBroker) -> Post:
    return Post(log_database, broker)


def send(post: Post, *numbers: int, box: str = "a", kind: Any = Posted) -> None:
    for number in numbers:
        post.bus.send_later(kind(box=box, number=number))


def test_what_is_published_arrives_as_a_cloud_event(post: Post, broker: ScriptedBroker) -> None:
    id_ = post.bus.send_later(Posted(box="red", number=7))
    assert post.drain() == 1

    (message,) = broker.kept["post.posted"]
    said = json.loads(message.body)
    assert message.content_type == "application/cloudevents+json"
    assert (message.id, message.key) == (id_, "red")
    assert said["specversion"] == "1.0"
    assert (said["id"], said["source"], said["type"]) == (id_, "/post", "post.posted")
    assert (said["correlationid"], said["partitionkey"]) == (id_, "red")
    assert said["data"] == {"box": "red", "number": 7}


def test_a_batch_is_published_at_once_and_in_order(post: Post, broker: ScriptedBroker) -> None:
    for number in range(40):
        send(post, number, box="abc"[number % 3])
    assert post.drain() == 40

    assert broker.calls == [40]
    assert broker.numbers("post.posted") == list(range(40))
    assert set(post.states("topic:post.posted")) == {("done", 1)}


def test_an_event_that_an_entrypoint_emits_is_published_too(post: Post, broker: ScriptedBroker) -> None:
    post.bus.emit(Posted(box="a", number=1))
    post.drain()

    assert broker.numbers("post.posted") == [1]


@pytest.mark.parametrize(
    ("refusal", "tries"), [(NotRouted("nobody subscribed"), 5), (TooLarge("more than it takes"), 1)]
)
def test_what_will_never_be_taken_parks_its_key_and_only_that(
    post: Post, broker: ScriptedBroker, refusal: Any, tries: int
) -> None:
    broker.answer = lambda said: refusal if said["data"]["number"] == 1 else None
    send(post, 1, 2)
    send(post, 3, box="b")
    for _ in range(tries):
        post.drain()
        post.clock.move(minutes=1)
    send(post, 4)
    post.drain()

    assert post.states("topic:post.posted") == [("parked", tries), ("done", 1), ("done", 1), ("ready", 0)]
    # 2 was on its way already when the broker refused 1.
    assert broker.numbers("post.posted") == [2, 3]


def test_a_message_that_was_not_taken_is_tried_again(post: Post, broker: ScriptedBroker) -> None:
    broker.answer = lambda said: NotTaken("the queue is full") if said["data"]["number"] == 1 else None
    send(post, 1)
    send(post, 2, box="b")
    post.drain()
    assert post.states("topic:post.posted") == [("retrying", 1), ("done", 1)]

    broker.answer = lambda _: None
    post.clock.move(minutes=1)
    post.drain()
    assert broker.numbers("post.posted") == [2, 1]


def test_in_step_nothing_of_a_key_passes_what_was_refused(post: Post, broker: ScriptedBroker) -> None:
    broker.answer = lambda said: NotTaken("full") if said["data"]["number"] == 2 else None
    send(post, 1, 2, 3, 4, kind=Registered)
    send(post, 5, 6, box="b", kind=Registered)
    post.drain()
    assert sorted(broker.numbers("post.registered")) == [1, 5, 6]

    broker.answer = lambda _: None
    post.clock.move(minutes=1)
    post.drain()
    assert [n for n in broker.numbers("post.registered") if n < 5] == [1, 2, 3, 4]


def test_what_nobody_has_to_read_is_dropped_when_nobody_does(post: Post, broker: ScriptedBroker) -> None:
    broker.answer = lambda _: NotRouted("nobody subscribed")
    send(post, 1, kind=Advertised)
    post.drain()

    assert post.states("topic:post.advertised") == [("done", 1)]


def test_while_the_broker_is_away_nothing_is_given_up_and_nothing_counts(
    post: Post, broker: ScriptedBroker
) -> None:
    def away(_: Any) -> None:
        raise Unavailable("the broker does not answer")

    broker.answer = away
    send(post, 1, 2)
    send(post, 3, box="b")
    for _ in range(15):
        post.clock.move(minutes=10)
        post.drain()
    assert {attempts for _, attempts in post.states("topic:post.posted")} == {0}
    assert broker.numbers("post.posted") == []

    broker.answer = lambda _: None
    post.clock.move(minutes=10)
    post.drain()
    assert sorted(broker.numbers("post.posted")) == [1, 2, 3]
    assert [n for n in broker.numbers("post.posted") if n < 3] == [1, 2]


def test_an_unexpected_error_counts_and_is_no_loss_either(post: Post, broker: ScriptedBroker) -> None:
    errors = [ZeroDivisionError()]

    def breaks_once(_: Any) -> None:
        if errors:
            raise errors.pop()

    broker.answer = breaks_once
    send(post, 1)
    post.drain()
    assert post.states("topic:post.posted") == [("retrying", 1)]
    ((said,),) = post.look("select errors from atomos_delivery")
    assert "ZeroDivisionError" in str(said)

    post.clock.move(minutes=1)
    post.drain()
    assert broker.numbers("post.posted") == [1]
    assert post.states("topic:post.posted") == [("done", 2)]


def test_a_message_that_cannot_be_sent_is_given_up_and_the_others_go_on(
    post: Post, broker: ScriptedBroker
) -> None:
    def break_at(event: dict[str, Any]) -> None:
        if event["data"]["number"] == 2:
            raise RuntimeError("the library does not take it")

    broker.answer = break_at
    for number in range(6):
        send(post, number, box="ab"[number % 2])
    for _ in range(5):
        post.drain()
        post.clock.move(minutes=1)

    assert broker.numbers("post.posted") == [0, 1, 3, 5]
    assert [status for status, _ in post.states("topic:post.posted")] == [
        "done", "done", "parked", "done", "ready", "done",
    ]  # fmt: skip


def test_a_message_that_nobody_subscribed_to_is_tried_again_before_it_is_parked(
    post: Post, broker: ScriptedBroker
) -> None:
    answers = [NotRouted("no such queue"), NotRouted("no such queue")]
    broker.answer = lambda _: answers.pop() if answers else None
    send(post, 1)
    worker = post.worker()
    for _ in range(3):
        worker.drain()
        post.clock.move(seconds=10)

    assert broker.numbers("post.posted") == [1]
    assert broker.declared == 3, "it may be a server that came back empty"


def test_what_is_needed_is_declared_before_anything_is_published(post: Post, broker: ScriptedBroker) -> None:
    broker.answer = lambda _: None if broker.declared else NotRouted("no such exchange")
    send(post, 1)
    post.drain()

    assert post.states("topic:post.posted") == [("done", 1)]


def test_what_cannot_be_declared_is_no_fault_of_a_message(
    post: Post, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(_: object) -> None:
        raise TypeError("what is there was made in another way")

    with monkeypatch.context() as patched:
        patched.setattr(broker, "declare", differs)
        send(post, 1, 2)
        for _ in range(4):
            with pytest.raises(Unavailable, match="cannot be declared: TypeError: what is there"):
                post.drain()
            post.clock.move(minutes=1)
    assert {attempts for _, attempts in post.states("topic:post.posted")} == {0}

    post.drain()
    assert broker.numbers("post.posted") == [1, 2]


def test_a_library_that_is_missing_is_said_when_a_worker_is_made(post: Post) -> None:
    def missing() -> Broker:
        raise MissingExtra("redis", "broker.url is a Redis")

    with pytest.raises(MissingExtra, match="atomos-framework"):
        Worker(post.bus, post.deliveries, post.wake, broker=missing)
