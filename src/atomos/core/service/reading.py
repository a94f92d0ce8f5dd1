"""Reading: one thread for each topic that is read; of all workers in the installation one reads it at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from time import monotonic
from typing import NamedTuple

import structlog

from .declaring import Declaring
from .delivery import LEASE_SECONDS, NO_ROWS, Deliveries
from .errors import LeaseLost
from .failpoints import failpoint
from .failures import said
from .messaging import Broker, Consumer, Subscription, Taken
from .plans import Flow
from .ports import Unavailable
from .receiving import Reception
from .routes import subscription_recipient

_LOG = structlog.get_logger("atomos.broker")

_WAIT_SECONDS = 0.5
# Who has read for longer than the longest begins with the first again.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_FULL_PAUSE = 0.5


class ReadingSettings(NamedTuple):
    """How topics are read. `service` is whose place in them it is; times in seconds.

    `batch` is how many messages are in hand at most; while `waiting` deliveries of a topic's events wait, no more of it
    is taken. `lease` is after how long another worker reads on when this one is gone, as for its deliveries; whoever
    does not read asks every third of it.
    """

    service: str = "atomos"
    batch: int = 100
    waiting: int = 10_000
    lease: float = LEASE_SECONDS


class Turn:
    """One worker's turn to read a topic: it lasts as long as its lease, which the worker's heartbeat renews."""

    def __init__(self, topic: str, lease: int) -> None:
        self.topic = topic
        self.lease = lease
        self.is_lost = False
        self._began: float | None = None

    @property
    def busy(self) -> float:
        """For how many seconds what was taken together has been translated and written; zero: nothing is."""
        began = self._began
        return 0.0 if began is None else monotonic() - began

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Note that messages are being translated and written."""
        self._began = monotonic()
        try:
            yield
        finally:
            self._began = None


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
        declaring: Declaring,
    ) -> None:
        self._broker = broker
        self._reception = reception
        self._deliveries = deliveries
        self._worker = worker
        self._settings = settings
        self._declaring = declaring
        self._subscriptions = declaring.topology.subscriptions
        self._listeners = {topic: _listeners(flow, topic) for topic in flow.routes.subscriptions()}
        self._stopping = threading.Event()
        self._turns: dict[str, Turn] = {}
        self._threads = [
            threading.Thread(target=self._go_on, args=(each,), name=f"atomos-read-{each.topic}", daemon=True)
            for each in self._subscriptions
        ] or [threading.Thread(target=self._declare, name="atomos-declare", daemon=True)]

    def start(self) -> None:
        """Begin to read, each topic in a thread of its own; where none is read, only declare."""
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
        self._declaring.once()
        return sum(self._read_what_there_is(each) for each in self._subscriptions)

    def leases(self) -> list[int]:
        """Name the leases of the turns that this worker has: they are to be renewed."""
        return [each.lease for each in tuple(self._turns.values())]

    def renewed(self, asked: Collection[int], found: Collection[int]) -> None:
        """Hear which leases that were asked for are still there; a turn without its lease is over."""
        for turn in tuple(self._turns.values()):
            if turn.lease in asked and turn.lease not in found:
                turn.is_lost = True
            elif (busy := turn.busy) > self._settings.lease:
                # Others would be as slow: it keeps its turn, and whoever operates it hears of it.
                _LOG.warning("reader.slow", topic=turn.topic, worker=self._worker, seconds=round(busy))

    def _go_on(self, subscription: Subscription) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            began = monotonic()
            try:
                self._declaring.once()
                self._read(subscription)
                self._stopping.wait(self._settings.lease / 3)  # somebody else reads it, or nobody may
            except BaseException as error:  # noqa: BLE001 - a reader outlives whatever happens to its broker
                if monotonic() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                shown = None if isinstance(error, (Unavailable, LeaseLost)) else error
                _LOG.error("reader.failed", topic=subscription.topic, error=said(error), exc_info=shown)
                self._stopping.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)

    def _declare(self) -> None:
        while not self._stopping.is_set():
            try:
                self._declaring.once()
            except Exception as error:  # noqa: BLE001 - whoever publishes says it, for each message
                _LOG.warning("broker.not_declared", error=said(error))
                self._stopping.wait(_LONGEST_PAUSE)
            else:
                return

    def _read(self, subscription: Subscription) -> None:
        """Read while it is this worker's turn, and nobody has paused it."""
        topic = subscription.topic
        with self._turn(topic) as turn:
            if turn is None:
                return
            try:
                with closing(self._broker().consume(subscription)) as consumer:
                    _LOG.info("reader.began", topic=topic, worker=self._worker)
                    self._read_on(consumer, turn)
            except Exception:
                self._declaring.again()
                raise

    def _read_on(self, consumer: Consumer, turn: Turn) -> None:
        recipient, is_full = subscription_recipient(turn.topic), False
        while not self._stopping.is_set():
            if turn.is_lost:
                _LOG.warning("reader.lost", topic=turn.topic, worker=self._worker)
                return
            if self._deliveries.is_paused(recipient):
                _LOG.info("reader.paused", topic=turn.topic, worker=self._worker)
                return
            was_full, is_full = is_full, self._is_full(turn.topic)
            if is_full and not was_full:
                _LOG.warning("reader.full", topic=turn.topic, waiting=self._settings.waiting)
            elif was_full and not is_full:
                _LOG.info("reader.goes_on", topic=turn.topic)
            if is_full:
                self._stopping.wait(_FULL_PAUSE)
                consumer.receive(0, 0.0)  # the connection must not be taken for dead
            else:
                self._take(consumer, turn, consumer.receive(self._settings.batch, _WAIT_SECONDS))

    def _read_what_there_is(self, subscription: Subscription) -> int:
        new = 0
        with self._turn(subscription.topic) as turn:
            if turn is not None:
                with closing(self._broker().consume(subscription)) as consumer:
                    while taken := consumer.receive(self._settings.batch, self._broker().settles):
                        new += self._take(consumer, turn, taken)
        return new

    @contextmanager
    def _turn(self, topic: str) -> Iterator[Turn | None]:
        """Have the turn to read a topic, and give it back; None: another worker has it, or it is paused."""
        lease = self._deliveries.take_turn(subscription_recipient(topic), self._worker)
        if lease is None:
            yield None
            return
        self._turns[topic] = turn = Turn(topic, lease)
        try:
            yield turn
        finally:
            del self._turns[topic]
            with suppress(Exception):  # otherwise it runs out by itself
                self._deliveries.keep(lease, NO_ROWS)

    def _take(self, consumer: Consumer, turn: Turn, taken: Sequence[Taken]) -> int:
        if not taken:
            return 0
        failpoint("receiving.before")
        with turn.taking():
            new = self._reception.receive(turn.topic, [each.message for each in taken], turn.lease)
        failpoint("receiving.after")
        consumer.acknowledge(taken)
        return new

    def _is_full(self, topic: str) -> bool:
        return self._deliveries.is_more_than(self._listeners[topic], self._settings.waiting)


def _listeners(flow: Flow, topic: str) -> tuple[str, ...]:
    rows = flow.routes.subscriptions()[topic]
    plans = [flow.events[row.message] for row in rows]
    return tuple(sorted({each.name for plan in plans for each in plan.listeners}))
