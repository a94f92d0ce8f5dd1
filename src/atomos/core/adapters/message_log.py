"""The message log on SQL: what happened, what was answered, and who still has to hear of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from ..domain.errors import AtomosError
from ..service.delivery import Fence, MessageLog, Recalled, Record, Status
from ..service.errors import LeaseLost, Reused
from .codec import Codec, fingerprint
from .database import Database
from .database_errors import explain
from .dialects import DeliveryRow, MessageRow, dialect_of


class SqlMessageLog(MessageLog):
    """Writes the log's rows, in the transaction of a unit of work or in one of its own.

    `wake` is set after each commit, so that a worker in this process looks at once.
    """

    def __init__(self, database: Database, codec: Codec, wake: threading.Event) -> None:
        self._database = database
        self._codec = codec
        self._wake = wake

    def recall(self, message_id: str, message: Any) -> Recalled | None:
        """Find what the sender of this message was told, or None. Raises `Reused` when its content was another."""
        with self._database.look() as connection:
            found = dialect_of(connection).recall(connection, message_id)
        if found is None:
            return None
        if found[0] != fingerprint(message):
            raise Reused(f"{type(message).__name__} {message_id} was stored with another content.")
        return Recalled(None if found[1] is None else self._codec.decode_answer(type(message), found[1]))

    def append(self, records: Sequence[Record], completes: Fence | None = None) -> None:
        """Store records in a transaction of their own, and complete a delivery with them."""
        try:
            with self._database.transaction() as connection:
                self.write(connection, records, completes)
        except Exception as error:
            raise self.explain(error, "the message log") or error from error
        self.committed()

    def explain(self, error: Exception, place: str) -> AtomosError | None:
        """Say what an error of the database means."""
        return explain(error, place)

    def write(self, connection: Connection, records: Sequence[Record], completes: Fence | None) -> None:
        """Write records in the transaction of a connection. Raises `LeaseLost` when `completes` is not held."""
        log = dialect_of(connection)
        if keys := _foreign_keys(records):
            log.lock_keys(connection, keys)
        messages = [self._message(record) for record in records if not record.stored]
        deliveries = [row for record in records for row in _deliveries(record)]
        if not log.write(connection, messages, deliveries, completes, None):
            raise LeaseLost(
                f"{completes.recipient if completes else ''} does not hold its delivery any more."
            )
        for record in records:
            if record.stored:
                log.answer(connection, record.envelope.id, self._codec.encode_answer(record.answer))

    def committed(self) -> None:
        """Wake the worker."""
        self._wake.set()

    def _message(self, record: Record) -> MessageRow:
        envelope, message = record.envelope, record.message
        payload = self._codec.encode(message)
        return MessageRow(
            envelope.id,
            record.kind,
            message.wire_name,
            message.wire_version,
            payload,
            fingerprint(message),
            self._codec.encode_answer(record.answer) if record.answered else None,
            envelope.ordering_key,
            envelope.correlation_id,
            envelope.causation_id,
            envelope.principal,
            envelope.traceparent,
            len(record.deliveries),
        )


def _deliveries(record: Record) -> list[DeliveryRow]:
    return [
        DeliveryRow(
            record.envelope.id,
            each.recipient,
            each.ordering_key,
            Status.READY.value if each.until is None else Status.SCHEDULED.value,
            each.until,
        )
        for each in record.deliveries
    ]


def _foreign_keys(records: Sequence[Record]) -> list[str]:
    """Name the keys that no aggregate's lock guards, sorted: whoever numbers rows of such a key waits its turn."""
    keys = {
        f"{each.recipient} {each.ordering_key}"
        for record in records
        for each in record.deliveries
        if each.ordering_key is not None and each.ordering_key != record.envelope.ordering_key
    }
    return sorted(keys)
