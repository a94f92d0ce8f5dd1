"""The message log on SQL: what happened, what was answered, and who still has to hear of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, bindparam, text

from ..domain.errors import AtomosError
from ..service.delivery import Fence, MessageLog, Recalled, Record, Status, Stored
from ..service.errors import Conflict, LeaseLost, NewerBuild, NotLookedUp, Repeated, Reused
from ..service.failpoints import failpoint
from ..service.ports import Unavailable
from ..service.waking import Wake
from . import following
from .begun import Begun
from .codec import Codec, fingerprint
from .database import Database
from .database_errors import explain
from .dialects import Answered, DeliveryRow, MessageRow, dialect_named, dialect_of, postgresql_begin

_KNOWN = text("select cast(id as text) from atomos_message where id in :ids").bindparams(
    bindparam("ids", expanding=True)
)
_STORED = text("select name, version, cast(payload as text) from atomos_message where id = :id")


class SqlMessageLog(MessageLog):
    """Writes the log's rows, in the transaction of a unit of work or in one of its own.

    `wake` is told of each commit, so that workers look at once.
    """

    def __init__(self, database: Database, codec: Codec, wake: Wake) -> None:
        self._database = database
        self._codec = codec
        self._wake = wake

    def recall(self, message_id: str, message: Any) -> Recalled | None:
        """Find what the sender of this message was told, or None. Raises `Reused` when its content was another."""
        with self._explained():
            found = self._find(message_id)
        if found is None:
            return None
        if found[0] != fingerprint(message) and not self._is_the_same(message_id, message):
            raise Reused(f"{type(message).__name__} {message_id} was stored with another content.")
        if found[1] is None:
            return Recalled(None, answered=False)
        return Recalled(self._codec.decode_answer(type(message), found[1]))

    def refuse_repeat(self, message_id: str) -> None:
        """Look on the connection that the unit of work takes next, in a round trip of its own."""
        with self._looking():
            is_known = self._find(message_id) is not None
        if is_known:
            raise Repeated(f"{message_id} is stored.")

    def begin_unless_repeat(self, message_id: str) -> Begun | None:
        """Look with the statement that begins the transaction. On SQLite, who begins to write holds up the others."""
        if self._database.dialect == "sqlite":
            self.refuse_repeat(message_id)
            return None
        with ExitStack() as stack:
            with self._looking():
                session = self._database.session()
                stack.callback(session.close)
                is_known = postgresql_begin.begin(session.connection(), message_id)
                if is_known:
                    session.commit()  # with a rollback the driver would take back all that is prepared
            if is_known:
                raise Repeated(f"{message_id} is stored.")
            stack.pop_all()
        return Begun(session)

    def _find(self, message_id: str) -> tuple[str, str | None] | None:
        with self._database.glance() as driver:
            return dialect_named(self._database.dialect).recall(driver, message_id)

    def _is_the_same(self, message_id: str, message: Any) -> bool:
        # It may have been sent, or be sent again, by a build with another version of it.
        with self._database.look() as connection:
            name, version, payload = connection.execute(_STORED, {"id": message_id}).one()
        if name != message.wire_name or version == message.wire_version:
            return False
        if version > message.wire_version:
            raise NewerBuild(f"{name} {message_id} is stored in version {version}.")
        return fingerprint(self._codec.decode(name, version, payload)) == fingerprint(message)

    def known(self, message_ids: Sequence[str]) -> frozenset[str]:
        """Say which of these ids have a message that is stored."""
        with self._database.look() as connection:
            return frozenset(connection.execute(_KNOWN, {"ids": list(message_ids)}).scalars())

    def follow(self, message_id: str) -> Stored | None:
        """Find an event, and what it triggered; None where there is no such event."""
        with self._explained():
            return following.stored(self._database, message_id)

    def append(
        self, records: Sequence[Record], completes: Fence | None = None, *, reader: int | None = None
    ) -> None:
        """Store records in a transaction of their own, and complete a delivery with them."""
        with self._explained(), self._database.transaction() as connection:
            _hold(connection, reader)
            self.write(connection, records, completes)
            failpoint("append.before")
        failpoint("append.after")
        self.committed(records)

    def take_back(self, timer: str, why: str) -> bool:
        """Discard what is scheduled under a timer's title, in a transaction of its own."""
        with self._explained(), self._database.transaction() as connection:
            return self.discard(connection, timer, why)

    def discard(self, connection: Connection, timer: str, why: str) -> bool:
        """Discard what is scheduled under a timer's title, in the transaction of a connection."""
        return dialect_of(connection).discard(connection, timer, why, None)

    def explain(self, error: Exception, place: str) -> AtomosError | None:
        """Say what an error of the database means."""
        return explain(error, place)

    def write(self, connection: Connection, records: Sequence[Record], completes: Fence | None) -> None:
        """Write records in the transaction of a connection. Raises `LeaseLost` when `completes` is not held."""
        log, timers = dialect_of(connection), _timers(records)
        if keys := sorted(_foreign_keys(records) | timers.keys()):
            log.lock_keys(connection, keys)
        for timer, id_ in timers.items():
            # Under its lock, and in a statement of its own: of two that set one timer at once, one is left.
            log.discard(connection, timer, f"replaced by {id_}", None)
        messages = [self._message(record) for record in records if not record.stored]
        deliveries = [row for record in records for row in _deliveries(record)]
        obeyed = next((record for record in records if record.stored), None)
        written = log.write(connection, messages, deliveries, completes, self._answered(obeyed), None)
        if completes is not None and not written.held:
            raise LeaseLost(f"{completes.recipient} does not hold its delivery any more.")
        if obeyed is not None and not written.is_new:
            raise Repeated(f"{type(obeyed.message).__name__} {obeyed.envelope.id} was obeyed before.")

    def committed(self, records: Sequence[Record]) -> None:
        """Wake the workers for what is ready with these records: nobody, if nothing is."""
        deliveries = (each for record in records for each in record.deliveries)
        if recipients := {each.recipient for each in deliveries if each.until is None}:
            self._wake.announce(recipients)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except AtomosError:
            raise
        except Exception as error:
            if explained := self.explain(error, "the message log"):
                raise explained from error
            raise

    @contextmanager
    def _looking(self) -> Iterator[None]:
        try:
            with self._explained():
                yield
        except (Unavailable, Conflict) as error:  # a lock that is waited for in vain is none of the message
            raise NotLookedUp(str(error)) from error

    def _answered(self, obeyed: Record | None) -> Answered | None:
        if obeyed is None:
            return None
        return Answered(obeyed.envelope.id, self._codec.encode_answer(obeyed.answer))

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


def _hold(connection: Connection, reader: int | None) -> None:
    if reader is not None and not dialect_of(connection).holds(connection, reader):
        raise LeaseLost("Another worker reads this topic now.")


def _deliveries(record: Record) -> list[DeliveryRow]:
    return [
        DeliveryRow(
            record.envelope.id,
            each.recipient,
            each.ordering_key,
            Status.READY.value if each.until is None else Status.SCHEDULED.value,
            each.until,
            each.timer,
        )
        for each in record.deliveries
    ]


def _timers(records: Sequence[Record]) -> dict[str, str]:
    """Give the id of the message that every timer is set for, by its title."""
    return {each.timer: record.envelope.id for record in records for each in record.deliveries if each.timer}


def _foreign_keys(records: Sequence[Record]) -> set[str]:
    """Name the keys that no aggregate's lock guards: whoever numbers rows of such a key waits its turn."""
    return {
        f"{each.recipient} {each.ordering_key}"
        for record in records
        for each in record.deliveries
        if each.ordering_key is not None and each.ordering_key != record.envelope.ordering_key
    }
