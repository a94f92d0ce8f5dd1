"""The unit of work on SQLAlchemy: one session, one transaction, the log's rows inside it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from time import monotonic
from typing import ClassVar

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from ..domain.errors import AtomosError
from ..domain.model import Aggregate
from ..service.delivery import Fence, Record
from ..service.errors import NotOpen
from ..service.failpoints import failpoint
from ..service.handling import Handling
from ..service.unit_of_work import UnitOfWork
from .database import BEGUN, Database
from .message_log import SqlMessageLog

_TAKEN_SECONDS = 1.0
"""A transaction that was begun and left alone for longer is given up: the database may have ended it."""


class SqlUnitOfWork(UnitOfWork):
    """An atomic update of a database. A context's subclass adds its repositories, which use `session`.

    `begins_itself` is for a subclass that says how its transaction begins, such as its isolation level, with the
    first use of `session`. Otherwise, where a message may be a repeat, it may have begun with the look-up.
    """

    begins_itself: ClassVar[bool] = False

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
        session = self._begun(handling) or self._database.session()
        self._open.callback(session.close)
        self._session = handling.session = session

    def _begun(self, handling: Handling) -> Session | None:
        session, handling.begun = handling.begun, None
        if session is None:
            return None
        is_ours = session.get_bind() is self._database.writer and not self.begins_itself
        if is_ours and monotonic() - session.info[BEGUN] < _TAKEN_SECONDS:
            return session  # type: ignore[no-any-return]
        session.close()
        return None

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
