"""Publishing to JetStream: a batch is sent in its order, and then every confirmation is waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from ...service.messaging import NotRouted, NotTaken, Outcome, TooLarge, WireMessage
from .nats_link import Session
from .nats_wire import headers_of, size_of

_NO_RESPONDERS = "503"
_TOO_LARGE = 10054


async def publish(session: Session, subject: str, messages: Sequence[WireMessage]) -> list[Outcome]:
    """Publish messages in this order, and say what became of each."""
    batch = _Batch(subject, len(messages))
    address = session.listen(batch.hear)
    try:
        for number, message in enumerate(messages):
            headers = headers_of(message)
            size = size_of(message.body, headers)
            if size > session.client.max_payload:
                batch.settle(number, _too_large(size, session.client.max_payload))
            else:
                reply = f"{address}.{number}"
                await session.client.publish(subject, message.body, reply, headers or None)
        await batch.all
    finally:
        session.forget(address)
    if batch.unheard:
        await _find_out(session, batch)
    return batch.outcomes


class _Batch:
    """What became of each message of a batch; `all` is done when that is known of all."""

    def __init__(self, subject: str, count: int) -> None:
        self.subject = subject
        self.outcomes: list[Outcome] = [None] * count
        self.unheard: list[int] = []
        self.all: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = set(range(count))

    def hear(self, label: str, message: Msg) -> None:
        """Take a confirmation, or a refusal."""
        number = int(label)
        if (message.headers or {}).get("Status") == _NO_RESPONDERS:
            self.unheard.append(number)
            self.settle(number, None)
        else:
            self.settle(number, self._outcome(message.data))

    def settle(self, number: int, outcome: Outcome) -> None:
        """Note what became of a message."""
        self.outcomes[number] = outcome
        self._open.discard(number)
        if not self._open and not self.all.done():
            self.all.set_result(None)

    def _outcome(self, answer: bytes) -> Outcome:
        # Most are confirmations, also of what was there already.
        if b'"error"' not in answer:
            return None
        error = json.loads(answer)["error"]
        said = f"NATS did not take a message for {self.subject}: {error.get('description')}."
        return TooLarge(said) if error.get("err_code") == _TOO_LARGE else NotTaken(said)


async def _find_out(session: Session, batch: _Batch) -> None:
    """Say of those that no stream heard whether there is none, or whether it has no leader just now."""
    outcome: Outcome = NotTaken(f"The stream of {batch.subject} does not answer: it has no leader just now.")
    try:
        await session.streams.find_stream_name_by_subject(batch.subject)
    except NotFoundError:
        outcome = NotRouted(f"Nobody ever subscribed: there is no stream of {batch.subject}.")
    for number in batch.unheard:
        batch.outcomes[number] = outcome


def _too_large(size: int, most: int) -> TooLarge:
    return TooLarge(f"The message has {size:,} bytes with its headers; NATS takes {most:,} at the most.")
