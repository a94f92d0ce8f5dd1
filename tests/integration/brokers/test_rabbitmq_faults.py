"""What RabbitMQ may do to us: close connections, refuse, be frozen; and what our own processes may."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from atomos.core.adapters.messaging.names import queue_of
from atomos.core.adapters.messaging.rabbitmq import RabbitBroker
from atomos.core.adapters.messaging.rabbitmq.consumer import RabbitConsumer
from atomos.core.service.messaging import (
    NotRouted,
    NotTaken,
    Subscription,
    TooLarge,
    Topology,
    WireMessage,
)
from atomos.core.service.ports import Unavailable
from atomos.testing.brokers import RabbitServer
from atomos.testing.conformance.broker_steps import (
    numbers,
    publish,
    reading,
    receive,
    said,
    subscribe,
    taken_numbers,
)
from atomos.testing.databases import need_service
from atomos.testing.processes import free_port, wait_until

from .rabbit_leftovers import Passing

pytestmark = pytest.mark.services

TOPIC = "shop.line"
SUBSCRIPTION = Subscription(TOPIC, "shop")
LARGEST = 100_000
PASSWORD = "s3cret-p4ssword"

NONSENSE = b"\x09\xff\xff\x00\x00\x00\x00\xce"
"""A frame of no known kind: the server closes the connection on which it comes."""


class Certificate:
    """A certificate for the loopback, which signs itself, and the port of the server that shows it."""

    def __init__(self, folder: Path) -> None:
        # The server's user has to reach it.
        folder.chmod(0o755)
        self.port = free_port()
        self.path, self.key = folder / "certificate.pem", folder / "key.pem"
        what = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        who = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(self.key), "-out", str(self.path)]
        subprocess.run(["openssl", "req", *what, *who, *files], check=True, capture_output=True)
        self.key.chmod(0o644)

    @property
    def settings(self) -> dict[str, str]:
        files = {"cacertfile": self.path, "certfile": self.path, "keyfile": self.key}
        return {
            "listeners.ssl.local": f"127.0.0.1:{self.port}",
            "ssl_options.verify": "verify_none",
            **{f"ssl_options.{name}": str(path) for name, path in files.items()},
        }


@pytest.fixture(scope="module")
def certificate() -> Iterator[Certificate]:
    if shutil.which("openssl") is None:
        need_service("openssl", FileNotFoundError("there is no such command, and it makes the certificate"))
    with tempfile.TemporaryDirectory() as folder:
        yield Certificate(Path(folder))


@pytest.fixture(scope="module")
def rabbit(certificate: Certificate) -> Iterator[RabbitServer]:
    settings = {"max_message_size": str(LARGEST), **certificate.settings}
    with RabbitServer(settings=settings) as server:
        yield server


@pytest.fixture
def passing(rabbit: RabbitServer) -> Iterator[Passing]:
    passing = Passing(rabbit.url)
    yield passing
    passing.remove()


@pytest.fixture
def broker(passing: Passing) -> Iterator[RabbitBroker]:
    broker = passing.broker(timeout=5, heartbeat=1)
    yield broker
    broker.close()


def idle_ports(broker: RabbitBroker) -> list[int]:
    """Tell the connections that rest from each other: by our end's port."""
    return [link.connection.transport.sock.getsockname()[1] for link in broker._pool._idle]


# Connections.


def test_one_connection_serves_a_thread_after_the_other_and_no_two_at_once(broker: RabbitBroker) -> None:
    subscribe(broker, TOPIC)
    for start in range(5):
        publish(broker, TOPIC, numbers(10, start))
    [port] = idle_ports(broker)
    with broker._pool.link(), broker._pool.link():
        assert idle_ports(broker) == []
    assert port in idle_ports(broker)
    assert len(idle_ports(broker)) == 2


def test_a_connection_that_rested_longer_than_a_heartbeat_is_made_anew(broker: RabbitBroker) -> None:
    subscribe(broker, TOPIC)
    publish(broker, TOPIC, numbers(1))
    before = idle_ports(broker)
    broker._pool._idle[0].used_at -= 1.1

    publish(broker, TOPIC, numbers(1))

    assert len(idle_ports(broker)) == 1
    assert idle_ports(broker) != before


def test_a_connection_that_the_server_gave_up_is_found_out_before_it_is_used(broker: RabbitBroker) -> None:
    subscribe(broker, TOPIC)
    publish(broker, TOPIC, numbers(1))
    [link] = broker._pool._idle
    # As if it had just been used; we send no heartbeat, and the server closes it.
    link.used_at = time.monotonic() + 1000
    wait_until(lambda: not link.is_well(), 20, "the server to miss our heartbeats")

    publish(broker, TOPIC, numbers(1, start=1))

    with reading(broker, SUBSCRIPTION) as consumer:
        assert taken_numbers(receive(consumer, 2)) == [0, 1]


def test_a_publisher_whose_connection_the_server_closes_in_the_middle_is_told(broker: RabbitBroker) -> None:
    subscribe(broker, TOPIC)
    publish(broker, TOPIC, numbers(1))
    [link] = broker._pool._idle
    write = link.connection.transport.write
    link.connection.transport.write = lambda data: write(NONSENSE + bytes(data))

    with pytest.raises(Unavailable, match=r"^RabbitMQ at 127\.0\.0\.1:\d+ is not available: .*\.$"):
        broker.publish(TOPIC, numbers(3, start=1))

    assert idle_ports(broker) == []
    publish(broker, TOPIC, numbers(3, start=1))


def test_a_reader_whose_connection_the_server_closes_is_told_and_the_next_gets_it_all(
    broker: RabbitBroker,
) -> None:
    publish_after_subscribing(broker, 20)
    with reading(broker, SUBSCRIPTION) as consumer:
        assert isinstance(consumer, RabbitConsumer)
        receive(consumer, 10, acknowledge=False)
        consumer._link.connection.transport.write(NONSENSE)
        with pytest.raises(Unavailable):
            receive(consumer, 20, acknowledge=False)
        with pytest.raises(Unavailable, match="is closed"):
            consumer.receive(1, 0)

    with reading(broker, SUBSCRIPTION) as consumer:
        assert taken_numbers(receive(consumer, 20)) == list(range(20))


def test_a_reader_that_only_waits_stays_connected(broker: RabbitBroker) -> None:
    subscribe(broker, TOPIC)
    with reading(broker, SUBSCRIPTION) as consumer:
        assert list(consumer.receive(1, 4)) == []
        publish(broker, TOPIC, numbers(1))
        assert taken_numbers(receive(consumer, 1)) == [0]


def test_after_a_fork_both_publish_each_on_connections_of_its_own(broker: RabbitBroker) -> None:
    subscribe(broker, TOPIC)
    publish(broker, TOPIC, numbers(3))
    before = idle_ports(broker)

    def child() -> None:
        publish(broker, TOPIC, numbers(3, start=3))
        assert not set(idle_ports(broker)) & set(before)
        broker.close()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    assert process.exitcode == 0
    publish(broker, TOPIC, numbers(3, start=6))

    assert idle_ports(broker) == before
    with reading(broker, SUBSCRIPTION) as consumer:
        assert taken_numbers(receive(consumer, 9)) == list(range(9))


def test_over_tls_messages_come_and_go(passing: Passing, certificate: Certificate) -> None:
    url = f"amqps://guest:guest@127.0.0.1:{certificate.port}/?ssl_ca_certs={certificate.path}"
    broker = RabbitBroker(url, exchange=passing.exchange, heartbeat=1)
    subscribe(broker, TOPIC)
    large = WireMessage(bytes(LARGEST))
    publish(broker, TOPIC, [*numbers(500), large])

    with reading(broker, SUBSCRIPTION) as consumer:
        assert taken_numbers(receive(consumer, 500)) == list(range(500))
        assert [each.message for each in receive(consumer, 1)] == [large]
        assert list(consumer.receive(1, 3)) == []
    passing.remember(SUBSCRIPTION)
    broker.close()


def test_a_server_whose_certificate_nobody_vouches_for_is_not_believed(
    rabbit: RabbitServer, certificate: Certificate
) -> None:
    broker = RabbitBroker(f"amqps://guest:guest@127.0.0.1:{certificate.port}/", timeout=5)

    with pytest.raises(Unavailable, match="certificate"):
        broker.check()


# Refusals.


def test_what_a_full_queue_refuses_is_not_taken_and_the_rest_is_kept(
    broker: RabbitBroker, passing: Passing
) -> None:
    with passing.link() as link:
        full = {"x-max-length": 5, "x-overflow": "reject-publish"}
        link.channel.exchange_declare(passing.exchange, "topic", durable=True, auto_delete=False)
        link.channel.queue_declare(
            queue_of(passing.exchange, SUBSCRIPTION), durable=True, auto_delete=False, arguments=full
        )
    # What is there stays as it is.
    subscribe(broker, TOPIC)

    outcomes = broker.publish(TOPIC, numbers(12))

    assert [type(outcome) for outcome in outcomes] == [type(None)] * 5 + [NotTaken] * 7
    with reading(broker, SUBSCRIPTION) as consumer:
        assert taken_numbers(receive(consumer, 5)) == [0, 1, 2, 3, 4]
    assert list(broker.publish(TOPIC, numbers(1, start=5))) == [None]


def test_what_the_server_finds_too_large_is_refused_alone_though_we_did_not_know(
    broker: RabbitBroker,
) -> None:
    subscribe(broker, TOPIC)
    large = WireMessage(bytes(LARGEST + 1))

    outcomes = broker.publish(TOPIC, [*numbers(20), large, large, *numbers(20, start=20)])

    assert [at for at, outcome in enumerate(outcomes) if isinstance(outcome, TooLarge)] == [20, 21]
    assert [
        outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, TooLarge)
    ] == []
    with reading(broker, SUBSCRIPTION) as consumer:
        arrived: list[int] = []
        while taken := consumer.receive(100, 2):
            arrived += taken_numbers(taken)
            consumer.acknowledge(taken)
    # Neighbours of which nothing was known were sent again.
    assert list(dict.fromkeys(arrived)) == list(range(40))


def test_what_cannot_be_written_is_refused_alone(broker: RabbitBroker) -> None:
    subscribe(broker, TOPIC)

    outcomes = broker.publish(TOPIC, [numbers(1)[0], WireMessage(b"", "x" * 300), *numbers(1, start=1)])

    assert [type(outcome) for outcome in outcomes] == [type(None), TooLarge, type(None)]


def test_where_topology_is_managed_elsewhere_nothing_is_made(passing: Passing) -> None:
    broker = passing.broker(declare=False)
    broker.declare(Topology((TOPIC,), (SUBSCRIPTION,)))

    assert [type(outcome) for outcome in broker.publish(TOPIC, numbers(2))] == [NotRouted] * 2
    with pytest.raises(
        Unavailable, match=r"has no queue '.*\.shop\.shop\.line': make it, or set broker\.declare"
    ):
        broker.consume(SUBSCRIPTION)
    broker.close()


def test_a_reader_whose_queue_is_deleted_is_told(broker: RabbitBroker, passing: Passing) -> None:
    subscribe(broker, TOPIC)
    with reading(broker, SUBSCRIPTION) as consumer, passing.link() as link:
        link.channel.queue_delete(queue_of(passing.exchange, SUBSCRIPTION))
        with pytest.raises(Unavailable, match="may have been deleted"):
            consumer.receive(1, 20)


@pytest.mark.parametrize(
    "url",
    [
        lambda server: f"amqp://guest:{PASSWORD}@127.0.0.1:{server.port}/",
        lambda server: f"amqp://guest:{PASSWORD}@127.0.0.1:{free_port()}/",
        lambda server: f"amqp://guest:{PASSWORD}@no-such-host.invalid/",
    ],
    ids=["wrong password", "nobody there", "no such host"],
)
def test_an_error_says_where_and_never_shows_the_password(
    rabbit: RabbitServer, url: Callable[[RabbitServer], str]
) -> None:
    with pytest.raises(Unavailable, match=r"^RabbitMQ at \S+:\d+ is not available: .*\.$") as told:
        RabbitBroker(url(rabbit), timeout=5).check()
    assert PASSWORD not in "".join(traceback.format_exception(told.value))


def test_a_message_that_others_wrote_badly_ends_nothing(broker: RabbitBroker, passing: Passing) -> None:
    subscribe(broker, TOPIC)
    with passing.link() as link:
        link.connection.transport.write(
            published(link.channel.channel_id, passing.exchange, b"\2atT" + b"\x7f" * 8)
        )
        link.channel.exchange_declare(passing.exchange, "topic", passive=True)
    publish(broker, TOPIC, numbers(1))

    with reading(broker, SUBSCRIPTION) as consumer:
        taken = receive(consumer, 2)

    assert [each.message.body for each in taken] == [b"bad", b"0"]


def published(channel: int, exchange: str, table: bytes) -> bytes:
    """Write a message with any table of headers, byte by byte."""
    names = b"".join(bytes([len(name)]) + name.encode() for name in (exchange, TOPIC))
    method = struct.pack(">HHH", 60, 40, 0) + names + b"\0"
    header = struct.pack(">HHQHI", 60, 0, 3, 1 << 13, len(table)) + table
    frames = ((1, method), (2, header), (3, b"bad"))
    return b"".join(struct.pack(">BHI", kind, channel, len(each)) + each + b"\xce" for kind, each in frames)


# Silence.


@contextmanager
def frozen(server: RabbitServer) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def test_nobody_waits_for_ever_for_a_server_that_is_frozen(rabbit: RabbitServer, passing: Passing) -> None:
    broker = passing.broker(timeout=2, heartbeat=1)
    publish_after_subscribing(broker, 1)
    consumer = broker.consume(SUBSCRIPTION)
    asked: list[Callable[[], object]] = [
        lambda: broker.publish(TOPIC, numbers(1)),
        broker.check,
        lambda: broker.consume(SUBSCRIPTION),
        lambda: broker.declare(Topology((TOPIC,), (SUBSCRIPTION,))),
        lambda: [consumer.receive(1, 60) for _ in range(2)],
    ]
    with frozen(rabbit), ThreadPoolExecutor(len(asked)) as threads:
        began = time.monotonic()
        for waiting in [threads.submit(each) for each in asked]:
            with pytest.raises(Unavailable):
                waiting.result()
        broker.close()
        assert time.monotonic() - began < 15


def test_what_a_stopped_process_holds_comes_to_another_in_order_after_two_heartbeats(
    broker: RabbitBroker, passing: Passing
) -> None:
    publish_after_subscribing(broker, 50)
    holder = Path(__file__).with_name("rabbit_holder.py")
    command = [sys.executable, str(holder), passing.url, passing.exchange, TOPIC, "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "20\n"
            with reading(broker, SUBSCRIPTION) as consumer:
                assert list(consumer.receive(10, 3)) == []
                os.kill(process.pid, signal.SIGSTOP)
                began = time.monotonic()
                publish(broker, TOPIC, numbers(5, start=50))
                taken = receive(consumer, 55)
            assert taken_numbers(taken) == list(range(55))
            assert [said(each.message) for each in taken] == [said(each) for each in numbers(55)]
            assert time.monotonic() - began < 10
        finally:
            process.kill()


def publish_after_subscribing(broker: RabbitBroker, count: int) -> None:
    subscribe(broker, TOPIC)
    publish(broker, TOPIC, numbers(count))
