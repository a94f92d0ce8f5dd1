"""The beginning of a transaction on PostgreSQL that also says whether a message is stored, in one round trip."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, Escaping, ExecStatus, TransactionStatus
from sqlalchemy import Connection

from ..postgres import driver_of, forget_prepared, is_prepared, note_prepared

_STORED = "select 1 from atomos_message where id = "
# It may be prepared already, which only the server knows; asked so, it does not log an error.
_PREPARE = f"""
DO $$ BEGIN
  EXECUTE 'prepare atomos_known (uuid) as {_STORED}$1';
EXCEPTION WHEN duplicate_prepared_statement THEN
END $$;
"""
_NOT_PREPARED = b"26000"


def begin(connection: Connection, message_id: str) -> bool:
    """Begin a writer's transaction, and say whether a message is stored.

    The driver would send `BEGIN` and the statement one after the other. It does so still where something else has
    begun the transaction or says how it begins, and where the look-up cannot be prepared.
    """
    with driver_of(connection) as driver:
        prepared = is_prepared(connection)
        if prepared is False or not _begins_plainly(driver):
            return _look_up(driver, message_id)
        escaped = Escaping(driver.pgconn).escape_literal(message_id.encode())
        prepare = b"" if prepared else _PREPARE.encode()
        said = driver.pgconn.exec_(prepare + b"BEGIN; EXECUTE atomos_known(" + escaped + b")")
        if said.status == ExecStatus.TUPLES_OK:
            note_prepared(connection, is_prepared=True)
            return said.ntuples > 0
        has_begun = driver.info.transaction_status == TransactionStatus.INERROR
        driver.rollback()
        if has_begun and said.error_field(DiagnosticField.SQLSTATE) != _NOT_PREPARED:
            raise error_from_result(said)
        forget_prepared(connection)
        if not has_begun:
            note_prepared(connection, is_prepared=False)
        return _look_up(driver, message_id)


def _begins_plainly(driver: psycopg.Connection[Any]) -> bool:
    said = driver.isolation_level, driver.read_only, driver.deferrable
    return said == (None, None, None) and driver.info.transaction_status == TransactionStatus.IDLE


def _look_up(driver: psycopg.Connection[Any], message_id: str) -> bool:
    return driver.execute(_STORED + "%s", [message_id]).fetchone() is not None
