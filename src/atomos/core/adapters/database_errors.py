"""What the errors of databases mean in the words of the service layer."""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy import exc as sqlalchemy
from sqlalchemy.orm import exc as orm

from ..domain.errors import AtomosError
from ..service.errors import Conflict, ReadOnly, Repeated
from ..service.ports import Unavailable

# One statement inserts messages with their deliveries: either key may be the one that meets a repeat.
_LOG_KEYS = ("atomos_message_pkey", "atomos_delivery_pkey")
_SQLITE_LOG_KEYS = ("atomos_message.id", "atomos_delivery.message_id")

_CONFLICTS = {
    "40001": "the transaction could not be serialised",
    "40P01": "two transactions waited for each other",
    "55P03": "a lock was not to be had in time",
}
_READ_ONLY = "25006"
_UNIQUE = "23505"
# Connection, shut down, resources, and the time limits that we set: classes and codes of SQLSTATE.
_LOST = ("08", "57P", "53", "57014", "25P03", "25P04")


def explain(error: BaseException, place: str) -> AtomosError | None:
    """Say what an error means, or None where it means nothing of its own; `place` is where it arose."""
    if isinstance(error, AtomosError):
        return error
    if isinstance(error, orm.StaleDataError):
        return Conflict(f"{place}: the aggregate was changed by someone else meanwhile.")
    if isinstance(error, sqlalchemy.TimeoutError):
        return Unavailable("No database connection was free in time; the pool is exhausted.")
    cause = error.orig if isinstance(error, sqlalchemy.DBAPIError) else error
    if isinstance(cause, psycopg.Error):
        return _postgresql(cause, place)
    return _sqlite(cause, place) if isinstance(cause, sqlite3.Error) else None


def _postgresql(error: psycopg.Error, place: str) -> AtomosError | None:
    state = error.sqlstate or ""
    if state == _UNIQUE:
        constraint = error.diag.constraint_name
        return (
            Repeated(place)
            if constraint in _LOG_KEYS
            else Conflict(f"{place}: {constraint}: someone was first.")
        )
    if state in _CONFLICTS:
        return Conflict(f"{place}: {_CONFLICTS[state]}.")
    if state == _READ_ONLY:
        return ReadOnly(f"{place} tried to write.")
    if state.startswith(_LOST) or (not state and isinstance(error, psycopg.OperationalError)):
        said = str(error).strip().partition("\n")[0]
        return Unavailable(f"The database cannot be reached: {said or type(error).__name__}.")
    return None


def _sqlite(error: sqlite3.Error, place: str) -> AtomosError | None:
    said = str(error)
    name = getattr(error, "sqlite_errorname", "")
    if name in ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"):
        return (
            Repeated(place)
            if any(key in said for key in _SQLITE_LOG_KEYS)
            else Conflict(f"{place}: {said}: someone was first.")
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Conflict(f"{place}: the database was busy for too long.")
    if name.startswith("SQLITE_READONLY"):
        return ReadOnly(f"{place} tried to write.")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR")):
        return Unavailable(f"The database cannot be used: {said}.")
    return None
