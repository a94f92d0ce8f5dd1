"""Publishing to RabbitMQ: many messages are sent, and then their confirmations are waited for, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple

import amqp
from amqp.exceptions import NotFound, PreconditionFailed

from ....service.messaging import NotRouted, NotTaken, Outcome, TooLarge, WireMessage
from .frames import Frames
from .link import Link, Place

_WRITTEN_AT_ONCE = 1024 * 1024
"""So many bytes have to go out within the timeout."""


class Publication(NamedTuple):
    """What became of messages that were sent together.

    `unconfirmed` are the places of those of which nothing is known, because the server `refused` something.
    """

    outcomes: list[Outcome]
    unconfirmed: set[int]
    refused: BaseException | None


class PublishingLink(Link):
    """A connection whose channel confirms what is published."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "publisher")
        self.is_broken = False
        self._tag = 0
        # What is not confirmed yet, by the number that the server counts it by: its place in `_sent`.
        self._unconfirmed: dict[int, int] = {}
        self._sent: Sequence[WireMessage] = ()
        self._outcomes: list[Outcome] = []
        self._returned = 0
        self._is_blocked = False
        self.connection.on_blocked = lambda _: self._be_blocked(True)
        self.connection.on_unblocked = lambda: self._be_blocked(False)
        self.channel.confirm_select()
        self.channel.events["basic_ack"].add(self._acked)
        self.channel.events["basic_nack"].add(self._nacked)
        self.channel.events["basic_return"].add(self._given_back)

    def check(self) -> None:
        """Ask something that changes nothing, and wait for the answer."""
        self.channel.confirm_select()

    def publish(self, exchange: str, topic: str, messages: Sequence[WireMessage]) -> Publication:
        """Publish messages in this order, and wait for every confirmation. Raises the connection's errors."""
        self.is_broken = True
        self._sent = messages
        self._outcomes = [None] * len(messages)
        self._returned = 0
        refused: BaseException | None = None
        try:
            self._send(exchange, topic)
            self._wait()
        except (NotFound, PreconditionFailed) as error:
            refused = error
        unconfirmed, self._unconfirmed = set(self._unconfirmed.values()), {}
        self.is_broken = refused is not None
        return Publication(self._outcomes, unconfirmed, refused)

    def _send(self, exchange: str, topic: str) -> None:
        frames = Frames(self.channel.channel_id, self.connection.frame_max, exchange, topic)
        written = []
        for place, message in enumerate(self._sent):
            try:
                written.append(frames.written(message))
            except ValueError as error:
                self._outcomes[place] = TooLarge(f"RabbitMQ cannot carry it: {error}.")
                continue
            self._tag += 1
            self._unconfirmed[self._tag] = place
        data = memoryview(b"".join(written))
        for start in range(0, len(data), _WRITTEN_AT_ONCE):
            self.connection.transport.write(data[start : start + _WRITTEN_AT_ONCE])
            # It counts as a heartbeat.
            self.connection.bytes_sent += 1

    def _wait(self) -> None:
        until = monotonic() + self.place.timeout
        while self._unconfirmed:
            if (left := until - monotonic()) <= 0 or not self.read(left):
                why = ", because it is short of memory or of disk" if self._is_blocked else " in time"
                raise self.place.away(f"it did not confirm {len(self._unconfirmed)} messages{why}")

    def _be_blocked(self, is_blocked: bool) -> None:
        self._is_blocked = is_blocked

    def _acked(self, tag: int, multiple: bool) -> None:
        self._confirm(tag, multiple, lambda: None)

    def _nacked(self, tag: int, multiple: bool) -> None:
        self._confirm(
            tag, multiple, lambda: NotTaken("RabbitMQ refused it: a queue is full, or could not store it.")
        )

    def _confirm(self, tag: int, multiple: bool, outcome: Callable[[], Outcome]) -> None:
        tags = [each for each in self._unconfirmed if each <= tag] if multiple else [tag]
        for each in tags:
            place = self._unconfirmed.pop(each, None)
            # What was returned is confirmed as well: that the server is done with it.
            if place is not None and self._outcomes[place] is None:
                self._outcomes[place] = outcome()

    def _given_back(self, _error: object, exchange: str, topic: str, message: amqp.Message) -> None:
        # They come in the order in which they were sent, and say not which they are; equal ones are interchangeable.
        for place in range(self._returned, len(self._sent)):
            if _is_same(self._sent[place], message):
                self._returned = place + 1
                self._outcomes[place] = NotRouted(
                    f"No queue takes what is published to the exchange {exchange!r} with the routing key {topic!r}."
                )
                return


def _is_same(sent: WireMessage, returned: amqp.Message) -> bool:
    return bool(sent.id == returned.properties.get("message_id") and sent.body == (returned.body or b""))
