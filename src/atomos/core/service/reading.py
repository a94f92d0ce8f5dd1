"""Reading: one thread for each topic that is read; of all workers in the installation one reads it at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

import structlog

from .delivery import NO_ROWS, Deliveries
from .errors import LeaseLost
from .failpoints import failpoint
from .handover import said
from .messaging import Broker, Consumer, Subscription, Taken, Topology
from .plans import Flow
from .ports import Unavailable
from .receiving import Reception
from .routes import JoinedRoutes, subscription_recipient

_LOG = structlog.get_logger("atomos.broker")

_WAIT_SECONDS = 0.5
# Who has read for longer than the longest begins with the first again.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_FULL_PAUSE = 0.5


class ReadingSettings(NamedTuple):
    """How topics are read. `service` is whose place in them it is; times in seconds.

    `batch` is how many messages are in hand at most; while `waiting` deliveries of a topic's events wait, no more of it
    is taken. `lease` is after how long another worker reads on when this one is gone; it is renewed every third of it.
    """

    service: str = "atomos"
    batch: int = 100
    waiting: int = 10_000
    lease: float = 15.0


class Lost(Exception):
    """Another worker reads the topic now."""


class Readers:
    """Reads the topics of an application, each in a thread of its own, until it is stopped."""

    def __init__(
        self,
        broker: Callable[[], Broker],
        reception: Reception,
        deliveries: Deliveries,
        worker: str,
        settings: ReadingSettings,
        flow: Flow,
    ) -> None:
        self._broker = broker
        self._reception = reception
        self._deliveries = deliveries
        self._worker = worker
        self._settings = settings
        self._topology = topology_of(flow.routes, settings.service)
        self._subscriptions = self._topology.subscriptions
        self._listeners = {topic: _listeners(flow, topic) for topic in flow.routes.subscriptions()}
        self._stopping = threading.Event()
        self._is_declared = False
        self._declaring = threading.Lock()
        self._threads = [
            threading.Thread(target=self._go_on, args=(each,), name=f"atomos-read-{each.topic}", daemon=True)
            for each in self._subscriptions
        ]

    def start(self) -> None:
        """Begin to read, each topic in a thread of its own."""
        for thread in self._threads:
            thread.start()

    def stop(self, until: float) -> None:
        """Take nothing more, and wait for what is being written, until an instant of the monotonic clock."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - monotonic()))

    def read_all(self) -> int:
        """Read what there is, in this thread, until nothing comes any more; say how many messages were new."""
        self._declare()
        return sum(self._read_what_there_is(each) for each in self._subscriptions)

    def _go_on(self, subscription: Subscription) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            began = monotonic()
            try:
                self._declare()
                if not self._read(subscription):
                    self._stopping.wait(self._settings.lease / 3)  # somebody else reads it
            except Exception as error:  # noqa: BLE001 - a reader outlives whatever happens to its broker
                if monotonic() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                shown = None if isinstance(error, (Unavailable, LeaseLost)) else error
                _LOG.error("reader.failed", topic=subscription.topic, error=said(error), exc_info=shown)
                self._stopping.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)

    def _declare(self) -> None:
        with self._declaring:
            if not self._is_declared:
                self._broker().declare(self._topology)
                self._is_declared = True

    def _read(self, subscription: Subscription) -> bool:
        """Read while this worker is the one that reads; False: another one is."""
        recipient = subscription_recipient(subscription.topic)
        lease = self._deliveries.take_turn(recipient, self._worker)
        if lease is None:
            return False
        turn = _Turn(self._deliveries, lease, self._settings.lease)
        try:
            consumer = self._broker().consume(subscription)
            try:
                _LOG.info("reader.began", topic=subscription.topic, worker=self._worker)
                while not self._stopping.is_set():
                    turn.keep()
                    if self._is_full(subscription.topic):
                        self._stopping.wait(_FULL_PAUSE)
                        consumer.receive(0, 0.0)  # the connection must not be taken for dead
                    else:
                        taken = consumer.receive(self._settings.batch, _WAIT_SECONDS)
                        turn.keep()
                        self._take(subscription, consumer, taken, lease)
            except Lost:
                _LOG.warning("reader.lost", topic=subscription.topic, worker=self._worker)
            finally:
                consumer.close()
        except Exception:
            self._is_declared = False  # it may be another server, or an emptied one
            raise
        finally:
            with suppress(Exception):  # otherwise it runs out by itself
                self._deliveries.keep(lease, NO_ROWS)
        return True

    def _read_what_there_is(self, subscription: Subscription) -> int:
        recipient, new = subscription_recipient(subscription.topic), 0
        if (lease := self._deliveries.take_turn(recipient, self._worker)) is None:
            return 0
        consumer = self._broker().consume(subscription)
        try:
            while taken := consumer.receive(self._settings.batch, self._broker().settles):
                new += self._take(subscription, consumer, taken, lease)
        finally:
            consumer.close()
            self._deliveries.keep(lease, NO_ROWS)
        return new

    def _take(
        self, subscription: Subscription, consumer: Consumer, taken: Sequence[Taken], lease: int
    ) -> int:
        if not taken:
            return 0
        failpoint("receiving.before")
        new = self._reception.receive(subscription.topic, [each.message for each in taken], lease)
        failpoint("receiving.after")
        consumer.acknowledge(taken)
        return new

    def _is_full(self, topic: str) -> bool:
        return self._deliveries.is_more_than(self._listeners[topic], self._settings.waiting)


def topology_of(routes: JoinedRoutes, service: str) -> Topology:
    """Say what an application publishes to, and reads as this service."""
    read = tuple(Subscription(topic, service) for topic in routes.subscriptions())
    return Topology(routes.topics(), read)


def _listeners(flow: Flow, topic: str) -> tuple[str, ...]:
    rows = flow.routes.subscriptions()[topic]
    plans = [flow.events[row.message] for row in rows]
    return tuple(sorted({each.name for plan in plans for each in plan.listeners}))


class _Turn:
    """The lease of whoever reads a topic: renewed in time, or lost."""

    def __init__(self, deliveries: Deliveries, lease: int, seconds: float) -> None:
        self._deliveries = deliveries
        self._lease = lease
        self._seconds = seconds
        self._renewed = monotonic()

    def keep(self) -> None:
        if monotonic() - self._renewed < self._seconds / 3:
            return
        asked = monotonic()
        if self._lease not in self._deliveries.renew([self._lease]):
            raise Lost
        self._renewed = asked
