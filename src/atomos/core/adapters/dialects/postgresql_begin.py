"""The beginning of a transaction on PostgreSQL that also says whether a message is stored, in one round trip."""

from __future__ import annotations

from psycopg.pq import Escaping, ExecStatus, TransactionStatus
from sqlalchemy import Connection

from ..postgres import PREPARED, driver_of

_KNOWN = "select 1 from atomos_message where id = "
# It may be prepared already, which only the server knows; asked so, it does not log an error.
_PREPARE = f"""
DO $$ BEGIN
  EXECUTE 'prepare atomos_known (uuid) as {_KNOWN}$1';
EXCEPTION WHEN duplicate_prepared_statement THEN
END $$;
"""


def begin(connection: Connection, message_id: str) -> bool:
    """Begin a writer's transaction, and say whether a message is stored: then it may have ended again.

    The driver would send `BEGIN` and the statement one after the other. Whatever goes wrong is left to it, and so
    are its errors.
    """
    with driver_of(connection) as driver:
        if driver.info.transaction_status == TransactionStatus.IDLE:
            escaped = Escaping(driver.pgconn).escape_literal(message_id.encode())
            prepare = b"" if connection.info.get(PREPARED) else _PREPARE.encode()
            said = driver.pgconn.exec_(prepare + b"BEGIN; EXECUTE atomos_known(" + escaped + b")")
            if said.status == ExecStatus.TUPLES_OK:
                connection.info[PREPARED] = True
                if is_known := said.ntuples > 0:
                    # The driver would take back all that is prepared with it.
                    driver.pgconn.exec_(b"ROLLBACK")
                return is_known
            connection.info.pop(PREPARED, None)
            driver.rollback()
        return driver.execute(_KNOWN + "%s", [message_id]).fetchone() is not None
