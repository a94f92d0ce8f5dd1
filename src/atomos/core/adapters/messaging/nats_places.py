"""Where a service is in a stream: the durable consumer that keeps its place, of which each reader makes its own."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from nats.js import api
from nats.js.errors import BadRequestError, NotFoundError

from ...service.ports import Unavailable
from .names import READER_SIGN
from .nats_link import Session

ACK_WAIT_SECONDS = 300.0
"""A consumer gives again what was not acknowledged within so many seconds."""

_IN_USE = 10058
_WINDOW_SECONDS = 120.0


class Place(NamedTuple):
    """A subscription: its stream, and the service whose place is kept; `most` is how many it may hold."""

    stream: str
    subject: str
    service: str
    most: int

    def consumer(self, number: int) -> str:
        """Name the consumer of a reader: the first is `service+1`. Zero is one that was made elsewhere: `service`."""
        return f"{self.service}{READER_SIGN}{number}" if number else self.service


async def make_stream(session: Session, stream: str, subject: str, keep_seconds: float) -> None:
    """Make a stream, unless it is there; then it stays as it is."""
    config = api.StreamConfig(
        name=stream,
        subjects=[subject],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        max_age=keep_seconds,
    )
    if 0 < keep_seconds < _WINDOW_SECONDS:
        config.duplicate_window = keep_seconds
    try:
        await session.streams.stream_info(stream)
    except NotFoundError:
        try:
            await session.streams.add_stream(config)
        except BadRequestError as error:
            if error.err_code != _IN_USE:
                raise


async def keep_place(session: Session, place: Place) -> None:
    """Make the first consumer of a service, unless it has one: it begins with what the stream still holds."""
    if await _newest(session, place) is None:
        await _make(session, place, 1, 1)


async def take_place(session: Session, place: Place) -> str:
    """Make the consumer of a new reader, which begins after what its service has acknowledged; give its name.

    What the reader before it held comes at once, first and in order, and nothing of it is the other one's any more:
    its consumer is gone. The new one is made before, so that the place is never lost.
    """
    found = await _newest(session, place)
    number, start = 0, 1
    if found is not None:
        number = found
        start = _start(await session.streams.consumer_info(place.stream, place.consumer(number)))
    await _make(session, place, number + 1, start)
    for older in await _numbers(session, place):
        if older <= number:
            await _remove(session, place, older)
    return place.consumer(number + 1)


async def made_elsewhere(session: Session, place: Place) -> api.ConsumerInfo:
    """Give the consumer that was made for a service. Raises `Unavailable` where there is none."""
    try:
        found: api.ConsumerInfo = await session.streams.consumer_info(place.stream, place.service)
    except NotFoundError as error:
        raise Unavailable(
            f"NATS has no stream {place.stream} with a durable consumer {place.service}: "
            "make it, or set broker.declare."
        ) from error
    return found


def _start(info: api.ConsumerInfo) -> int:
    """Give the number of the first message that was not acknowledged."""
    # A consumer that has acknowledged nothing says zero, wherever it began.
    floor = info.ack_floor.stream_seq if info.ack_floor is not None else 0
    return max(floor + 1, info.config.opt_start_seq or 1)


async def _make(session: Session, place: Place, number: int, start: int) -> None:
    config = api.ConsumerConfig(
        durable_name=place.consumer(number),
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_policy=api.AckPolicy.ALL,
        ack_wait=ACK_WAIT_SECONDS,
        max_ack_pending=place.most,
    )
    await session.streams.add_consumer(place.stream, config)


async def _remove(session: Session, place: Place, number: int) -> None:
    try:
        await session.streams.delete_consumer(place.stream, place.consumer(number))
    except NotFoundError:
        return


async def _newest(session: Session, place: Place) -> int | None:
    return max(await _numbers(session, place), default=None)


async def _numbers(session: Session, place: Place) -> list[int]:
    """Give the numbers of a service's consumers."""
    names: list[str] = []
    while True:
        page = await _page(session, place.stream, len(names))
        names += page["consumers"] or []
        if not page["consumers"] or len(names) >= page["total"]:
            break
    begin = place.service + READER_SIGN
    numbers = [
        int(each[len(begin) :]) for each in names if each.startswith(begin) and each[len(begin) :].isdecimal()
    ]
    return [*numbers, *(0 for each in names if each == place.service)]


async def _page(session: Session, stream: str, offset: int) -> dict[str, Any]:
    # Names are complete also while a part of a cluster is away; the list with what they are is not.
    asked = json.dumps({"offset": offset}).encode()
    answer = await session.client.request(f"$JS.API.CONSUMER.NAMES.{stream}", asked, timeout=session.timeout)
    page = json.loads(answer.data)
    if error := page.get("error"):
        raise Unavailable(f"NATS could not name the consumers of {stream}: {error.get('description')}.")
    return {"consumers": [], "total": 0, **page}
