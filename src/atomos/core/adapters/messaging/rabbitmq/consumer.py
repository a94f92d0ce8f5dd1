"""Reading a queue of RabbitMQ: messages come to us ahead, as many as may be held, and are acknowledged together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from amqp.exceptions import NotFound

from ....service.messaging import Consumer, Taken
from ....service.ports import Unavailable
from .link import Link, Place
from .wire import incoming

_LOOK_SECONDS = 0.25
_CLOSE_SECONDS = 2.0


class RabbitConsumer(Consumer):
    """Reads one queue, on a connection of its own.

    While it waits it answers the server's heartbeats. Whoever holds messages and neither receives nor acknowledges
    for about two heartbeats is taken for gone: the next consumer gets them.
    """

    def __init__(self, place: Place, queue: str, prefetch: int) -> None:
        self._place = place
        self._queue = queue
        self._is_closing = False
        self._in_use = threading.Lock()
        self._arrived: deque[Taken] = deque()
        with place.told():
            self._link = Link(place, f"reader of {queue}")
            try:
                self._begin(prefetch)
            except BaseException:
                self._link.close()
                raise

    def receive(self, most: int, seconds: float) -> Sequence[Taken]:
        """Take the next messages: what has come when the first has, and no more than `most`."""
        with self._using():
            self._wait(monotonic() + seconds)
            while self._arrived and len(self._arrived) < most and self._link.read(0):
                pass
            return [self._arrived.popleft() for _ in range(min(most, len(self._arrived)))]

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        """Acknowledge all up to the last of these. The server does not answer: what it missed comes again."""
        with self._using():
            if taken:
                self._link.channel.basic_ack(taken[-1].tag, multiple=True)

    def close(self) -> None:
        """Close the connection: what was not acknowledged goes to the next consumer at once."""
        self._is_closing = True
        # Whoever receives looks up every now and then.
        is_free = self._in_use.acquire(timeout=_CLOSE_SECONDS)
        try:
            self._link.close()
        finally:
            if is_free:
                self._in_use.release()

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._in_use:
            if self._is_closing:
                raise Unavailable(f"The consumer of {self._queue!r} is closed.")
            try:
                with self._place.told():
                    self._link.beat()
                    yield
            except BaseException:
                self._is_closing = True
                self._link.close()
                raise

    def _begin(self, prefetch: int) -> None:
        channel = self._link.channel
        channel.basic_qos(0, prefetch, False)
        try:
            channel.basic_consume(self._queue, callback=self._take_in, on_cancel=self._cancelled)
        except NotFound as error:
            raise Unavailable(
                f"RabbitMQ at {self._place.name} has no queue {self._queue!r}: make it, or set broker.declare."
            ) from error

    def _wait(self, until: float) -> None:
        look = min(_LOOK_SECONDS, self._place.heartbeat / 4)
        while not self._arrived and not self._is_closing:
            if not self._link.read(max(0.0, min(look, until - monotonic()))) and monotonic() >= until:
                return
            self._link.beat()

    def _take_in(self, message: Any) -> None:
        self._arrived.append(Taken(incoming(message), message.delivery_info["delivery_tag"]))

    def _cancelled(self, _tag: Any) -> None:
        raise self._place.away(f"it has ended the reading of {self._queue!r}, which may have been deleted")
