"""The log's statements, in the SQL of each database."""

from __future__ import annotations

from sqlalchemy import Connection

from .dialect import Answered, ClaimedRow, DeliveryRow, LogDialect, MessageRow, Register
from .postgresql import PostgresLog
from .sqlite import SqliteLog

__all__ = [
    "Answered",
    "ClaimedRow",
    "DeliveryRow",
    "LogDialect",
    "MessageRow",
    "Register",
    "dialect_named",
    "dialect_of",
]

_DIALECTS: dict[str, LogDialect] = {"postgresql": PostgresLog(), "sqlite": SqliteLog()}


def dialect_of(connection: Connection) -> LogDialect:
    """Give the statements for a connection's database."""
    return dialect_named(connection.dialect.name)


def dialect_named(name: str) -> LogDialect:
    """Give the statements for a database by its name in SQLAlchemy."""
    return _DIALECTS[name]
