"""Reading a stream of NATS with a consumer: messages are asked for, come in order, and are acknowledged in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, NoRespondersError
from nats.js import api
from nats.js.errors import NotFoundError

from ...service.messaging import Consumer, Taken
from ...service.ports import Unavailable
from .nats_lining import Lining
from .nats_link import Link, Session, Work
from .nats_places import Place
from .nats_wire import message_of

T = TypeVar("T")

ASK_SECONDS = 30.0
"""So long the server waits for messages that were asked for, before it is asked again."""

_REST_SECONDS = 0.05
_OVER = ("404", "408")
_ACKNOWLEDGED = b"+ACK"


class NatsConsumer(Consumer):
    """Reads with one consumer of a stream, over one connection; when that is lost, it is over."""

    def __init__(
        self, link: Link, session: Session, place: Place, consumer: str, found: api.ConsumerInfo | None
    ) -> None:
        self._link, self._session, self._place, self._consumer = link, session, place, consumer
        self._one_by_one = found is not None and found.config.ack_policy != api.AckPolicy.ALL
        self._lining, self._came_last = _beginning(found)
        self._address = session.client.new_inbox()
        self._subscribed: Subscription | None = None
        self._asked = 0
        # How many of those that were asked for have not come.
        self._open = 0
        # How many were behind the one that came last.
        self._behind = 0
        self._ended: str | None = None
        self._is_closed = False
        self._news = asyncio.Event()

    async def begin(self) -> None:
        """Subscribe to what will be asked for."""
        self._subscribed = await self._session.client.subscribe(f"{self._address}.*", cb=self._hear)

    def receive(self, most: int, seconds: float) -> Sequence[Taken]:
        """Take the next messages; empty after so many seconds, and when it is closed meanwhile.

        Raises `Unavailable`.
        """
        self._check_open()
        longest = seconds + self._link.timeout
        messages = self._do(lambda _: self._receive(most, seconds), longest)
        return [Taken(message_of(each.data, each.headers), each.reply) for each in messages]

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        """Acknowledge these, and wait for the server to say so. Raises `Unavailable`."""
        if not taken:
            return
        self._check_open()
        self._do(lambda session: self._acknowledge(session, [each.tag for each in taken]), self._link.timeout)

    def close(self) -> None:
        """Stop reading: the next reader gets at once what was not acknowledged."""
        self._is_closed = True
        self._link.call(self._leave)

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable(
                f"The reader of {self._place.stream} as {self._consumer} is closed: read it anew."
            )

    def _do(self, work: Work[T], seconds: float) -> T:
        try:
            return self._link.run(work, on=self._session, seconds=seconds)
        except Unavailable:
            self.close()
            raise

    async def _receive(self, most: int, seconds: float) -> Sequence[Msg]:
        if most == 0:  # NATS would take it for one
            return []
        until = monotonic() + seconds
        while not self._is_closed and not self._lining.ready:
            if self._ended is not None:
                raise Unavailable(self._ended)
            if self._open <= 0:
                await self._ask(most)
            if not await self._hears(until - monotonic()):
                await self._look()
                break
        await self._rest(most)
        return [] if self._is_closed else self._lining.take(most)

    async def _rest(self, most: int) -> None:
        """Wait for those that follow the first: the server says of each how many are still behind it."""
        while len(self._lining.ready) and len(self._lining.ready) < most and self._open > 0 and self._behind:
            if not await self._hears(_REST_SECONDS):
                break

    async def _hears(self, seconds: float) -> bool:
        """Whether anything comes within so many seconds."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                return await self._news.wait()
        return False

    async def _ask(self, most: int) -> None:
        self._asked += 1
        self._open = min(most, self._place.most)
        asked = {"batch": self._open, "expires": int(ASK_SECONDS * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._place.stream}.{self._consumer}"
        await self._session.client.publish(
            subject, json.dumps(asked).encode(), f"{self._address}.{self._asked}"
        )

    async def _look(self) -> None:
        """Find out whether the consumer is still there: where it is not, nobody answers who asks for messages."""
        try:
            info = await self._session.streams.consumer_info(self._place.stream, self._consumer)
        except NotFoundError as error:
            raise Unavailable(self._gone()) from error
        self._lining.left(info.num_ack_pending or 0)

    async def _acknowledge(self, session: Session, replies: Sequence[str]) -> None:
        if self._one_by_one:
            for reply in replies[:-1]:
                await session.client.publish(reply, _ACKNOWLEDGED)
        try:
            await session.client.request(replies[-1], _ACKNOWLEDGED, timeout=self._link.timeout)
        except NoRespondersError as error:
            raise Unavailable(self._gone()) from error

    async def _hear(self, message: Msg) -> None:
        if message.reply:
            self._open -= 1
            self._add(message)
        elif message.subject == f"{self._address}.{self._asked}":
            status = (message.headers or {}).get("Status")
            self._open = 0
            if status not in _OVER:
                self._ended = self._gone()
        self._news.set()

    def _add(self, message: Msg) -> None:
        told = message.metadata
        self._came_last += 1
        self._behind = told.num_pending
        if told.sequence.consumer == self._came_last:
            self._lining.add(message)
        else:
            # It may be older than what has come, so that nothing more is handed on.
            self._ended = f"Somebody else reads {self._place.stream} as {self._consumer}: read it anew."

    def _gone(self) -> str:
        return (
            f"The consumer {self._consumer} of {self._place.stream} is gone, or another reader has its place."
        )

    async def _leave(self) -> None:
        self._news.set()
        if self._subscribed is not None:
            with suppress(Error):
                await self._subscribed.unsubscribe()


def _beginning(found: api.ConsumerInfo | None) -> tuple[Lining, int]:
    """Give the order, and the number of the last delivery: of a consumer's own all are its."""
    if found is None or found.delivered is None or found.ack_floor is None:
        return Lining(), 0
    lining = Lining(found.ack_floor.stream_seq, found.delivered.stream_seq, found.num_ack_pending or 0)
    return lining, found.delivered.consumer_seq
