"""The unit of work on SQLAlchemy: one session, one transaction, the log's rows inside it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from ..domain.errors import AtomosError
from ..domain.model import Aggregate
from ..service.delivery import Fence, Record
from ..service.errors import NotOpen
from ..service.failpoints import failpoint
from ..service.handling import Handling
from ..service.unit_of_work import UnitOfWork
from .database import Database
from .message_log import SqlMessageLog


class SqlUnitOfWork(UnitOfWork):
    """An atomic update of a database. A context's subclass adds its repositories, which use `session`."""

    def __init__(self, database: Database, log: SqlMessageLog) -> None:
        super().__init__()
        self._database = database
        self._log = log
        self._open = ExitStack()
        self._session: Session | None = None
        self._written: Sequence[Record] = ()

    @property
    def session(self) -> Session:
        """The session of the transaction. Raises `NotOpen` before it begins."""
        if self._session is None:
            raise NotOpen(f"{type(self).__name__} was used before `with uow:`, which begins its transaction.")
        return self._session

    def _begin(self, handling: Handling | None) -> None:
        if handling is None:
            raise NotOpen(f"{type(self).__name__} was entered outside the handling of a command.")
        self._open.enter_context(self._database.turn())
        begun, handling.begun = handling.begun, None
        taken = None if begun is None else begun.take(self._database.writer)
        session = taken or self._database.session()
        self._open.callback(session.close)
        self._session = handling.session = session

    def _explain(self, error: Exception) -> AtomosError | None:
        return self._log.explain(error, self._handling.plan.place if self._handling else type(self).__name__)

    def _changed(self) -> bool:
        session = self.session
        return bool(
            session.new or session.deleted or any(session.is_modified(each) for each in session.dirty)
        )

    def _is_new(self, aggregate: Aggregate) -> bool:
        return not inspect(aggregate).persistent

    def _flush(self) -> None:
        self.session.flush()

    def _take_back(self, name: str, key: str) -> bool:
        if self._handling is None:
            return False
        envelope, message = self._handling.envelope, self._handling.message
        why = f"cancelled by {message.wire_name} {envelope.id}"
        return self._log.discard(self.session.connection(), self._handling.timer(name, key), why)

    def _write(self, records: Sequence[Record], completes: Fence | None) -> None:
        self._log.write(self.session.connection(), records, completes)
        self._written = records

    def _commit(self) -> None:
        self.session.commit()
        failpoint("commit.after")
        self._log.committed(self._written)

    def _end(self) -> None:
        self._open.close()
        if self._handling is not None:
            self._handling.session = None
