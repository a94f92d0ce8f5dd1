"""Receiving: what a broker hands over is in the log once, and what cannot be understood is parked."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.operations import SqlControl, SqlInspection
from atomos.core.service import LeaseLost, Principal, Subscription, Topology, WireMessage, receiving
from atomos.core.service.delivery import NO_ROWS
from atomos.core.service.operations import DeliveryFilter
from atomos.core.service.receiving import conversation_of

from .messaging_samples import Counted, CountingMeter, Delivered, Post, Posted, cloud_event

DELIVERIES = "post.deliveries"


@pytest.fixture
def post(log_database: Database) -> Post:
    post = Post(log_database)
    post.broker.declare(Topology((), (Subscription(DELIVERIES, "post"), Subscription("erp.counts", "post"))))
    return post


def publish(post: Post, *messages: WireMessage, topic: str = DELIVERIES) -> None:
    assert list(post.broker.publish(topic, messages)) == [None] * len(messages)


def parked(post: Post, topic: str = DELIVERIES) -> list[str]:
    rows = post.look(
        f"select errors from atomos_delivery where recipient = 'subscription:{topic}' and status = 'parked'"  # noqa: S608
    )
    return [str(errors) for (errors,) in rows]


def test_what_is_read_is_heard_with_its_conversation(post: Post) -> None:
    told = {
        "correlationid": "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    publish(post, cloud_event(7, "red", id="0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4f", **told))
    post.drain()

    ((event, envelope),) = post.heard.events
    assert event == Delivered(box="red", number=7)
    assert envelope.correlation_id == told["correlationid"]
    assert envelope.causation_id == "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4f"
    assert (envelope.principal, envelope.traceparent) == ("broker", told["traceparent"])
    assert envelope.ordering_key == "red"


def test_a_repeat_is_dropped_by_source_and_id(post: Post) -> None:
    publish(post, cloud_event(1), cloud_event(1), cloud_event(2))
    post.drain()
    publish(post, cloud_event(2), cloud_event(1), cloud_event(3))
    post.drain()
    publish(post, cloud_event(1, source="/another", data={"box": "a", "number": 4}))
    post.drain()

    assert post.heard.numbers == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "written", ["urn:uuid:{}", "{{{}}}", "{:S}"], ids=["as a URN", "in braces", "without dashes"]
)
def test_an_id_that_is_a_uuid_in_another_spelling_is_that_uuid(post: Post, written: str) -> None:
    uuid = "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4f"
    spelled = written.replace("{:S}", uuid.replace("-", "").upper()).format(uuid)
    publish(
        post, cloud_event(1, id=spelled, correlationid=spelled), cloud_event(2, id=uuid, correlationid=uuid)
    )
    post.drain()

    ((event, envelope),) = post.heard.events
    assert event == Delivered(box="a", number=1)
    assert (envelope.causation_id, envelope.correlation_id) == (uuid, uuid)
    assert parked(post) == []


def test_a_conversation_that_is_no_uuid_is_one_whoever_continues_it(post: Post) -> None:
    publish(post, cloud_event(1, correlationid="conv-1"))
    publish(post, cloud_event(2, correlationid="conv-1", source="/another"))
    post.drain()

    assert {envelope.correlation_id for _, envelope in post.heard.events} == {conversation_of("conv-1")}


def test_a_text_that_says_how_nul_is_written_is_a_text(post: Post) -> None:
    box = "\\u0000 and C:\\\\u0000"
    publish(post, cloud_event(1, box))
    post.drain()

    ((event, _),) = post.heard.events
    assert event == Delivered(box=box, number=1)


def test_of_a_body_that_is_too_large_the_beginning_is_kept_and_how_to_tell_the_rest(
    log_database: Database, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "LARGEST", 1_000)
    monkeypatch.setattr(receiving, "KEPT_OF_LARGER", 100)
    whole, larger = WireMessage(b"w" * 1_000), WireMessage(b"x" * 1_001)
    publish(post, whole, cloud_event(1), larger, cloud_event(2))
    post.drain()

    assert post.heard.numbers == [1, 2]
    reasons = " ".join(parked(post))
    assert "1001 bytes" in reasons and sha256(larger.body).hexdigest() in reasons
    rows = post.look("select payload from atomos_message where kind = 'raw'")
    kept = [each if isinstance(each, dict) else json.loads(each) for (each,) in rows]
    assert {each["size"]: len(b64decode(each["body"])) for each in kept} == {None: 1_000, 1_001: 100}


def test_the_order_of_a_key_is_kept(post: Post) -> None:
    publish(post, *(cloud_event(n, "abc"[n % 3]) for n in range(300)))
    post.drain()

    for box in "abc":
        numbers = [event.number for event, _ in post.heard.events if event.box == box]  # type: ignore[attr-defined]
        assert numbers == sorted(numbers)
    assert len(post.heard.events) == 300


def test_an_older_version_is_read_through_its_upcaster(post: Post) -> None:
    publish(post, cloud_event(1, type="post.delivered", data={"crate": "old", "number": 5}))
    post.drain()

    assert post.heard.events[0][0] == Delivered(box="old", number=5)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (WireMessage(b"{not JSON", "application/cloudevents+json"), "no CloudEvent in JSON"),
        (WireMessage(b"\xff\x00", None), "no CloudEvent"),
        (WireMessage(b"{}", "application/json"), "no CloudEvent"),
        (WireMessage(b"[]", "application/cloudevents-batch+json"), "batch"),
        (cloud_event(1, specversion="0.3"), "specversion"),
        (cloud_event(1, type="post.unknown"), "post.unknown"),
        (cloud_event(1, type="post.delivered.v3"), "version 2"),
        (cloud_event(1, id=""), "id is empty"),
        (cloud_event(1, id=5), "id"),
        (cloud_event(1, partitionkey="x" * 501), "partitionkey"),
        (cloud_event(1, data={"box": "a", "number": "many"}), "number"),
        (cloud_event(1, data={"box": "a\0", "number": 1}), "NUL"),
        (cloud_event(1, datacontenttype="text/xml"), "text/xml"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_cannot_be_understood_is_parked_with_the_reason_and_the_others_go_on(
    post: Post, message: WireMessage, reason: str
) -> None:
    publish(post, cloud_event(10), message, cloud_event(11))
    post.drain()
    publish(post, message, cloud_event(12))
    post.drain()

    assert post.heard.numbers == [10, 11, 12]
    (said,) = parked(post)
    assert reason in said


def test_the_bytes_of_what_was_not_understood_are_kept_and_read_again_when_someone_says_so(
    log_database: Database, post: Post
) -> None:
    old = Post(log_database, routes=without_upcasts())
    message = cloud_event(3, type="post.delivered", data={"crate": "c", "number": 3})
    publish(post, message)
    old.drain()
    assert len(parked(post)) == 1
    ((payload,),) = post.look("select payload from atomos_message where kind = 'raw'")
    document = payload if isinstance(payload, dict) else json.loads(payload)
    assert document["topic"] == DELIVERIES

    ((id_,),) = post.look("select cast(id as text) from atomos_message where kind = 'raw'")
    assert SqlControl(log_database, post.codec).retry(DeliveryFilter(("parked",), message=id_), "ana") == 1
    post.drain()
    publish(post, message)  # a repeat of what was read in the meantime
    post.drain()

    assert post.heard.numbers == [3]
    assert parked(post) == []


def test_a_sender_without_the_permission_is_parked(log_database: Database) -> None:
    stranger = Post(log_database, sender=Principal("partner", frozenset({"post:read"})))
    stranger.broker.declare(Topology((), (Subscription(DELIVERIES, "post"),)))
    publish(stranger, cloud_event(1))
    stranger.drain()

    assert stranger.heard.numbers == []
    (said,) = parked(stranger)
    assert "post:write" in said
    assert "partner" in said


def test_a_foreign_message_is_translated_and_told_apart_by_what_the_route_names(post: Post) -> None:
    def foreign(**said: Any) -> WireMessage:
        return WireMessage(json.dumps(said).encode(), "application/json")

    first = foreign(id=1, box="a", n=5)
    publish(post, first, first, foreign(id=2, box="a", n=6), foreign(test=True, id=3), topic="erp.counts")
    publish(post, foreign(id=4, box="a"), foreign(box="a", n=7), topic="erp.counts")
    post.drain()

    assert [event for event, _ in post.heard.events] == [
        Counted(box="a", number=5),
        Counted(box="a", number=6),
    ]
    assert len(parked(post, "erp.counts")) == 2


def test_what_one_service_publishes_another_reads_with_one_conversation(
    log_database: Database, post: Post
) -> None:
    post.broker.declare(Topology((), (Subscription("post.posted", "reader"),)))
    id_ = post.bus.send_later(Posted(box="red", number=1))
    post.drain()
    consumer = post.broker.consume(Subscription("post.posted", "reader"))
    (taken,) = consumer.receive(10, 1.0)

    assert json.loads(taken.message.body)["correlationid"] == id_


def test_a_reader_whose_turn_is_over_writes_nothing(post: Post) -> None:
    reception = post.bus.reception
    assert reception is not None
    recipient = f"subscription:{DELIVERIES}"
    post.deliveries.enrol([recipient])
    lease = post.deliveries.take_turn(recipient, "one")
    assert lease is not None
    assert post.deliveries.take_turn(recipient, "two") is None

    post.clock.move(seconds=post.reading.lease + 1)
    newer = post.deliveries.take_turn(recipient, "two")
    assert newer is not None
    with pytest.raises(LeaseLost):
        reception.receive(DELIVERIES, [cloud_event(1)], lease)
    assert reception.receive(DELIVERIES, [cloud_event(1)], newer) == 1


def test_a_paused_subscription_is_not_read(log_database: Database, post: Post) -> None:
    post.drain()
    SqlControl(log_database, post.codec).pause(f"subscription:{DELIVERIES}", "ana", "stock-taking")
    publish(post, cloud_event(1))
    post.drain()
    assert post.heard.numbers == []

    SqlControl(log_database, post.codec).resume(f"subscription:{DELIVERIES}", "ana")
    post.drain()
    assert post.heard.numbers == [1]


def test_the_audit_finds_nothing_wrong_with_what_came_from_elsewhere(
    log_database: Database, post: Post
) -> None:
    told = {"correlationid": "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"}
    publish(post, cloud_event(1, id="0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4f", **told), cloud_event(2, type="x"))
    post.drain()

    assert SqlInspection(log_database).audit(frozenset()).damages == ()


def without_upcasts() -> Any:
    from dataclasses import replace

    from .messaging_samples import ROUTES

    return replace(ROUTES, upcasts={})


def test_the_first_of_two_that_are_one_keeps_its_place(post: Post) -> None:
    publish(post, cloud_event(1), cloud_event(2), cloud_event(1), cloud_event(3))
    post.drain()

    assert post.heard.numbers == [1, 2, 3]


def test_what_is_published_and_read_is_metered_once_each(log_database: Database) -> None:
    meter = CountingMeter()
    post = Post(log_database, meter=meter)
    post.broker.declare(Topology((), (Subscription(DELIVERIES, "post"), Subscription("post.posted", "x"))))
    publish(post, cloud_event(1), cloud_event(1), cloud_event(2, type="unknown"))
    post.bus.send_later(Posted(box="a", number=1))
    post.drain()

    assert meter.counts["subscription:post.deliveries"] == {"ok": 1, "rejected": 1}
    assert meter.counts["topic:post.posted"] == {"ok": 1}


HOSTILE = {
    "NUL in a header": WireMessage(b"x", "text/\0plain", {"a": "b\0c", "d\0": "e"}),
    "half a character": WireMessage(b"x", "\ud800", {"a": "\ud800"}),
    "NUL in the conversation": cloud_event(1, correlationid="a\0b"),
    "half a character in the data": WireMessage(
        b'{"specversion":"1.0","id":"5","source":"x","type":"post.delivered.v2","data":{"box":"\\ud800"}}'
    ),
    "more than a number": WireMessage(
        b'{"specversion":"1.0","id":"6","source":"x","type":"post.delivered.v2","data":{"number":1e400}}'
    ),
    "a number that no database has": cloud_event(1, data={"box": "a", "number": 10**60}),
    "deeper than deep": WireMessage(b"[" * 100_000, "application/cloudevents+json"),
    "bytes": WireMessage(bytes(range(256)), "application/cloudevents+json"),
    "a long trace": cloud_event(1, traceparent="x" * 100_000),
}
"""What somebody may send who means no good, or cannot write."""


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_anybody_sends_keeps_the_others_waiting(post: Post, name: str) -> None:
    reception, recipient = post.bus.reception, f"subscription:{DELIVERIES}"
    assert reception is not None
    post.deliveries.enrol([recipient])
    lease = post.deliveries.take_turn(recipient, "one")
    assert lease is not None

    reception.receive(DELIVERIES, [cloud_event(10), HOSTILE[name], cloud_event(11)], lease)
    post.deliveries.keep(lease, NO_ROWS)
    post.drain()

    assert [number for number in post.heard.numbers if number in (10, 11)] == [10, 11]
    kinds = [kind for (kind,) in post.look("select kind from atomos_message")]
    assert len(kinds) == 3


def test_what_the_database_refuses_is_kept_as_it_came(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    append = post.log.append

    def refuse(records: Any, *given: Any, **named: Any) -> None:
        if any(record.kind == "received" and record.message.number == 2 for record in records):
            raise ValueError("more than the database takes")
        append(records, *given, **named)

    monkeypatch.setattr(post.log, "append", refuse)
    publish(post, cloud_event(1), cloud_event(2), cloud_event(3))
    post.drain()

    assert post.heard.numbers == [1, 3]
    assert len(post.look("select id from atomos_message where kind = 'raw'")) == 1
