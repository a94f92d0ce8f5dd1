"""The log's statements, in the SQL of each database."""

from __future__ import annotations

from sqlalchemy import Connection

from .dialect import ClaimedRow, DeliveryRow, LogDialect, MessageRow, Register
from .postgresql import PostgresLog
from .sqlite import SqliteLog

__all__ = ["ClaimedRow", "DeliveryRow", "LogDialect", "MessageRow", "Register", "dialect_of"]

_DIALECTS: dict[str, LogDialect] = {"postgresql": PostgresLog(), "sqlite": SqliteLog()}


def dialect_of(connection: Connection) -> LogDialect:
    """Give the statements for a connection's database."""
    return _DIALECTS[connection.dialect.name]
