"""Receiving: writes what a broker handed over to the log, once each, before it is acknowledged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from hashlib import sha256
from time import perf_counter
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import structlog

from ..domain.errors import AtomosError
from ..domain.messages import Event, Message
from .delivery import Claimed, Delivery, MessageLog, Record
from .envelope import Envelope, Principal, derived_id, hashed_id, new_id
from .errors import NotPermitted, Repeated
from .failures import is_the_users
from .messaging import WireMessage
from .plans import Flow
from .ports import Clock
from .routes import subscription_recipient
from .translating import NotUnderstood

_LOG = structlog.get_logger("atomos.broker")

RECEIVED = "received"
"""The kind of record that is an event of another service."""

_ADDED_ON_THE_WAY = "x-"
"""Headers of this prefix are a broker's own, and differ when it hands a message over again."""

LARGEST = 32 * 2**20
"""A body of more bytes is not read: PostgreSQL needs longer and longer to hand such a row over, from some 60 MB on
longer than a claim may take, and stores no JSON of more than 256 MB at all."""

KEPT_OF_LARGER = 2**20
"""So many bytes are kept of a larger body."""


class Arrived(NamedTuple):
    """An event that another service published.

    `source` and `id` tell it from every other (CloudEvents), `id` None where nothing does; `key` is what order is
    kept by, None for none. `correlation` is the conversation that it continues, None begins one.
    """

    event: Event[Any]
    source: str
    id: str | None
    key: str | None = None
    correlation: str | None = None
    traceparent: str | None = None


class RawMessage(Message):
    """What came from a topic and was not understood, as it came: a body of bytes, and its headers.

    It is kept for whoever decides: `atomos deliveries retry` has it read once more, by the build of that time. `size`
    (in bytes) and `sha256` are of the whole body where `body` is only the beginning of it, None where it is all.
    """

    wire_name: ClassVar[str] = "atomos.raw-message"
    wire_version: ClassVar[int] = 1

    topic: str
    body: bytes
    content_type: str | None
    headers: Mapping[str, str]
    size: int | None = None
    sha256: str | None = None


class WireForm(ABC):
    """How events are written for other services, and read from them."""

    @abstractmethod
    def write(self, claimed: Claimed) -> WireMessage:
        """Write a delivery's event; `claimed.message` is there."""

    @abstractmethod
    def read(self, topic: str, message: WireMessage) -> Arrived | None:
        """Read what came from a topic; None: nobody here has to hear of it. Raises `NotUnderstood`."""


def conversation_of(name: str) -> str:
    """Give the id of a conversation: a UUID as it is, in whichever spelling; of another name the one made of it."""
    return _uuid(name) or hashed_id("conversation", name)


class Reception:
    """Takes messages in for the application; `sender` is who is said to have sent them, and may or may not."""

    def __init__(self, flow: Flow, form: WireForm, log: MessageLog, clock: Clock, sender: Principal) -> None:
        self._flow = flow
        self._form = form
        self._log = log
        self._clock = clock
        self._sender = sender
        topics = flow.routes.subscriptions()
        self._meters = {topic: flow.meter(subscription_recipient(topic)) for topic in topics}

    def receive(self, topic: str, messages: Sequence[WireMessage], reader: int) -> int:
        """Store messages with their deliveries, in their order and one transaction; say how many were new.

        What was stored before is left out. What cannot be understood is stored as it came, with a delivery that
        will be parked: nothing waits for it. Raises `LeaseLost` when the lease `reader` is somebody else's.
        """
        try:
            return self._store(topic, messages, [self._record(topic, each) for each in messages], reader)
        except AtomosError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the database says it of one message
            # Something in it is more than the database takes. It must not keep the others waiting.
            if len(messages) > 1:
                return sum(self.receive(topic, [each], reader) for each in messages)
            _LOG.warning("message.not_understood", topic=topic, error=repr(error), exc_info=error)
            return self._store(topic, messages, [self._raw(topic, messages[0])], reader)

    def _store(
        self, topic: str, messages: Sequence[WireMessage], read: Sequence[Record | None], reader: int
    ) -> int:
        started = perf_counter()
        records: dict[str, Record] = {}
        for record in filter(None, read):
            records.setdefault(record.envelope.id, record)
        known = self._log.known(tuple(records)) if records else frozenset()
        new = [record for id_, record in records.items() if id_ not in known]
        if new:
            self._log.append(new, reader=reader)
        each = (perf_counter() - started) / max(1, len(messages))
        for record in new:
            self._meters[topic].handled("ok" if record.kind == RECEIVED else "rejected", each)
        return len(new)

    def read_again(self, claimed: Claimed, raw: RawMessage) -> bool:
        """Read what was not understood once more, and store it as if it came now; False: nobody has to hear of it.

        Raises `NotUnderstood` or `NotPermitted` as before; then it stays parked.
        """
        if raw.size is not None:
            raise NotUnderstood(
                f"{_larger(raw.size)} The first {len(raw.body)} are kept; sha256 of all: {raw.sha256}."
            )
        message = WireMessage(raw.body, raw.content_type, raw.headers)
        arrived = self._form.read(raw.topic, message)
        if arrived is None:
            return False
        record = self._arrived(raw.topic, arrived)
        if self._log.known((record.envelope.id,)):
            raise Repeated(f"{record.envelope.id} came in another way.")
        self._log.append([record], claimed.fence)
        return True

    def _record(self, topic: str, message: WireMessage) -> Record | None:
        try:
            _check_size(message.body)
            arrived = self._form.read(topic, message)
            return None if arrived is None else self._arrived(topic, arrived)
        except (NotUnderstood, NotPermitted) as error:
            _LOG.warning("message.not_understood", topic=topic, error=str(error))
        except BaseException as error:
            if is_the_users(error):
                raise
            # A translation that fails must not keep the others waiting; when it is read again it says the same.
            _LOG.warning("message.not_understood", topic=topic, error=repr(error), exc_info=error)
        return self._raw(topic, message)

    def _arrived(self, topic: str, arrived: Arrived) -> Record:
        event, plan = arrived.event, self._flow.events[type(arrived.event)]
        if plan.permission is not None and not self._sender.may(plan.permission):
            kind, permission = type(event).__name__, plan.permission
            raise NotPermitted(f"{kind} requires {permission}, which {self._sender.name} does not have.")
        id_ = new_id() if arrived.id is None else _id_of(topic, arrived.source, arrived.id)
        cause = _uuid(arrived.id)
        envelope = Envelope(
            id_,
            id_ if arrived.correlation is None else conversation_of(arrived.correlation),
            cause,
            self._clock.now(),
            arrived.key,
            self._sender.name,
            arrived.traceparent,
        )
        return Record(RECEIVED, envelope, event, plan.deliveries(event, arrived.key))

    def _raw(self, topic: str, message: WireMessage) -> Record:
        id_ = _id_of_raw(topic, message)
        envelope = Envelope(id_, id_, None, self._clock.now(), None, self._sender.name, None)
        said, body = message.content_type, message.body
        is_whole = len(body) <= LARGEST
        raw = RawMessage(
            topic=topic,
            body=body if is_whole else body[:KEPT_OF_LARGER],
            content_type=None if said is None else _storable(said),
            headers={_storable(name): _storable(text) for name, text in message.headers.items()},
            size=None if is_whole else len(body),
            sha256=None if is_whole else sha256(body).hexdigest(),
        )
        return Record("raw", envelope, raw, (Delivery(subscription_recipient(topic)),))


def _check_size(body: bytes) -> None:
    if len(body) > LARGEST:
        raise NotUnderstood(_larger(len(body)))


def _larger(size: int) -> str:
    return f"Its body has {size} bytes, and more than {LARGEST} are not read: have it published anew, in smaller parts."


def _id_of(topic: str, source: str, id_: str) -> str:
    # Ids of UUIDs keep the time in them: the primary key stays append-mostly.
    if (uuid := _uuid(id_)) is not None:
        return derived_id(uuid, "subscription", topic, source)
    return hashed_id("subscription", topic, source, id_)


def _id_of_raw(topic: str, message: WireMessage) -> str:
    said = (f"{name}={text}" for name, text in sorted(message.headers.items()))
    kept = [each for each in said if not each.startswith(_ADDED_ON_THE_WAY)]
    return hashed_id("raw", topic, message.body.hex(), message.content_type or "", *kept)


def _storable(text: str) -> str:
    """Write a text so that every database takes it: the character NUL, and halves of others, as their codes."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")


def _uuid(text: str | None) -> str | None:
    """Write a UUID in the one way that every database takes, however it was written (urn:uuid:, in braces)."""
    try:
        return None if text is None else str(UUID(text))
    except ValueError:
        return None
