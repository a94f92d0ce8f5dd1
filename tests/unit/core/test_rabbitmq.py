"""RabbitMQ without a server: what is written and read, and what is said."""

from __future__ import annotations

import struct
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.method_framing import frame_handler
from hypothesis import given
from hypothesis import strategies as st

from atomos.core.adapters.messaging.rabbitmq import RabbitBroker
from atomos.core.adapters.messaging.rabbitmq.frames import Frames
from atomos.core.adapters.messaging.rabbitmq.link import _forgiving, place_of
from atomos.core.adapters.messaging.rabbitmq.topology import arguments_for
from atomos.core.adapters.messaging.rabbitmq.wire import incoming
from atomos.core.service.errors import MissingExtra
from atomos.core.service.messaging import Subscription, Topology, WireMessage

LARGEST_FRAME = 4096
DELIVER = struct.pack(">HH", 60, 60)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
names = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
messages = st.builds(
    WireMessage,
    st.binary(max_size=3 * LARGEST_FRAME),
    st.none() | texts,
    st.dictionaries(names, texts, max_size=5),
    st.none() | texts,
    st.none() | texts,
)


def frames_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Divide what is written into frames."""
    frames = []
    while data:
        kind, channel, size = struct.unpack_from(">BHI", data)
        assert data[7 + size] == 0xCE
        frames.append((kind, channel, data[7 : 7 + size]))
        data = data[8 + size :]
    return frames


def read(frames: list[tuple[int, int, bytes]], handler: Any = frame_handler) -> Any:
    """Read the frames that follow a method, as the library does when they are delivered."""
    arrived: list[Any] = []
    on_frame = handler(SimpleNamespace(bytes_recv=0), lambda *said: arrived.append(said[3]))
    for frame in [(1, 7, DELIVER), *frames]:
        on_frame(frame)
    [message] = arrived
    return message


@given(messages)
def test_what_is_written_is_what_the_library_reads(message: WireMessage) -> None:
    method, *rest = frames_of(Frames(7, LARGEST_FRAME, "shop", "shop.line").written(message))

    assert method == (1, 7, struct.pack(">HHH", 60, 40, 0) + b"\4shop\x09shop.line\1")
    assert all(len(payload) + 8 <= LARGEST_FRAME for _, _, payload in rest)
    arrived = read(rest)
    assert incoming(arrived) == message
    assert arrived.properties["delivery_mode"] == 2


@pytest.mark.parametrize(
    "message",
    [
        WireMessage(b"", "x" * 256),
        WireMessage(b"", id="ä" * 128),
        WireMessage(b"", headers={"n" * 256: ""}),
        WireMessage(b"", headers={"n": "x" * LARGEST_FRAME}),
        WireMessage(b"", key="x" * LARGEST_FRAME),
    ],
)
def test_what_has_no_room_in_front_of_the_body_is_refused(message: WireMessage) -> None:
    with pytest.raises(ValueError, match=r"is longer than 255 bytes|there is room for 4088"):
        Frames(1, LARGEST_FRAME, "shop", "shop.line").written(message)


def table(*entries: tuple[bytes, bytes]) -> bytes:
    written = b"".join(bytes([len(name)]) + name + value for name, value in entries)
    return len(written).to_bytes(4, "big") + written


def header(size: int, flags: int, properties: bytes) -> tuple[int, int, bytes]:
    return 2, 7, struct.pack(">HHQH", 60, 0, size, flags) + properties


FOREIGN = table(
    (b"CE-Type", b"S\0\0\0\1a"),
    (b"count", b"l" + struct.pack(">q", 5)),
    (b"yes", b"t\1"),
    (b"bytes", b"x\0\0\0\2\xffa"),
    (b"at", b"T" + struct.pack(">Q", 0)),
    (b"nothing", b"V"),
    (b"more", b"F" + table((b"a", b"t\0"))),
    (b"list", b"A" + (2).to_bytes(4, "big") + b"t\0"),
    (b"x-delivery-count", b"l" + struct.pack(">q", 3)),
)


def test_headers_of_others_become_texts_and_those_of_the_server_go() -> None:
    arrived = incoming(read([header(2, 1 << 13, FOREIGN), (3, 7, b"{}")]))

    assert arrived == WireMessage(
        b"{}",
        headers={
            "ce-type": "a",
            "count": "5",
            "yes": "true",
            "bytes": "\ufffda",
            "at": "1970-01-01T00:00:00Z",
        },
    )


@pytest.mark.parametrize(
    "properties",
    [
        table((b"at", b"T" + b"\xff" * 8)),
        table((b"what", b"?")),
        table((b"cut", b"S\0\0")),
        b"\xff\xff\xff\xff",
        table(*[(b"a", b"F" + table((b"b", b"F" + table((b"at", b"T" + b"\x7f" * 8)))))]),
    ],
    ids=["no-time", "no-type", "cut", "endless", "nested"],
)
def test_of_a_message_whose_properties_cannot_be_read_the_body_arrives(properties: bytes) -> None:
    arrived = incoming(read([header(2, 1 << 13, properties), (3, 7, b"{}")], _forgiving))

    assert arrived.body == b"{}"
    assert arrived.content_type is None


def test_tables_in_tables_without_end_are_not_read() -> None:
    deep = b""
    for _ in range(15_000):
        deep = b"\1aF" + len(deep).to_bytes(4, "big") + deep
    properties = len(deep).to_bytes(4, "big") + deep

    assert incoming(read([header(2, 1 << 13, properties), (3, 7, b"{}")], _forgiving)) == WireMessage(b"{}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://ana:p%40ss@mq.example:1234/my%2Fshop", ("mq.example:1234", "ana", "p@ss", "my/shop")),
        ("amqp://localhost", ("localhost:5672", "guest", "guest", "/")),
        ("amqp://ana:x@[::1]/", ("[::1]:5672", "ana", "x", "/")),
        ("amqps://ana:x@mq.example/shop", ("mq.example:5671", "ana", "x", "shop")),
    ],
)
def test_a_url_says_where_who_and_which_virtual_host(url: str, expected: tuple[str, ...]) -> None:
    options = place_of(url, 1, 1).options

    assert (options["host"], options["userid"], options["password"], options["virtual_host"]) == expected


@pytest.mark.parametrize(
    "url", ["amqp://ana:s3cret#x@mq.example/", "amqp://ana:s3/cret@h", "http://ana:s3cret@h/"]
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="is not amqp://USER:PASSWORD@HOST") as refused:
        RabbitBroker(url)
    assert "cret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_certificate_is_checked_unless_the_url_says_otherwise() -> None:
    assert place_of("amqps://mq.example/", 1, 1).options["ssl"]["cert_reqs"].name == "CERT_REQUIRED"
    assert place_of("amqps://mq.example/", 1, 1).options["ssl"]["server_hostname"] == "mq.example"
    given = place_of("amqps://h/?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/ca.pem", 1, 1).options["ssl"]
    assert (given["cert_reqs"].name, given["ca_certs"]) == ("CERT_NONE", "/ca.pem")
    assert place_of("amqp://mq.example/", 1, 1).options["ssl"] is False


@pytest.mark.parametrize(
    ("version", "has_limit"),
    [("3.10.8", False), ("3.13.7", False), ("4.0.1", True), ("12.1", True), ("", False)],
)
def test_only_a_server_that_has_a_limit_of_deliveries_is_told_that_there_is_none(
    version: str, has_limit: bool
) -> None:
    arguments = arguments_for({"version": version})

    assert arguments["x-queue-type"] == "quorum"
    assert arguments.get("x-delivery-limit") == (-1 if has_limit else None)


def test_what_has_to_be_there_is_explained() -> None:
    broker = RabbitBroker("amqp://localhost/", exchange="shop")

    assert broker.explain(Topology(("a.b",), (Subscription("a.b", "billing"),))) == [
        "The durable exchange 'shop' of the type topic.",
        "The durable queue 'shop.billing.a.b' (x-queue-type=quorum, x-single-active-consumer=true; on RabbitMQ 4 and "
        "later also x-delivery-limit=-1), bound to the exchange 'shop' with the routing key 'a.b'.",
    ]


def test_without_a_prefix_the_exchange_of_the_server_is_used() -> None:
    [exchange, queue] = RabbitBroker("amqp://localhost/", exchange="").explain(
        Topology(("a.b",), (Subscription("a.b", "billing"),))
    )

    assert "'amq.topic'" in exchange
    assert "queue 'billing.a.b'" in queue


def test_without_its_libraries_it_says_which_extra_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kombu", None)
    with pytest.raises(MissingExtra, match=r"run `pip install 'atomos-framework\[rabbitmq\]'`"):
        RabbitBroker("amqp://localhost/")
