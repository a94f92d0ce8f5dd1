"""A transaction that was begun for the unit of work that comes next, and may be taken, or left alone."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic

from sqlalchemy import Engine
from sqlalchemy.orm import Session

_LEFT_SECONDS = 1.0
"""One that was left alone for longer is given up: the server ends it sooner or later."""


class Begun:
    """A session in a transaction that has read and written nothing of the application's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._since = monotonic()

    def take(self, engine: Engine) -> Session | None:
        """Give the session to a unit of work on an engine; None: it is another's, or was left alone for too long."""
        if self._session.get_bind() is engine and monotonic() - self._since < _LEFT_SECONDS:
            return self._session
        self.close()
        return None

    def close(self) -> None:
        """End it, where nobody has. That it cannot be ended in good order is no error: nothing was done in it."""
        try:
            self._session.close()
        except Exception:  # noqa: BLE001 - whatever it is, the connection goes
            with suppress(Exception):
                self._session.invalidate()
