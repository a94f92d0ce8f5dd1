"""The statement that writes the log on PostgreSQL: messages, deliveries and a completion in one round trip."""

# ruff: noqa: S608 - the statement is put together from constants of this module, values are always bound

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from ...service.delivery import Fence
from ..postgres import run_as_it_is
from .dialect import DeliveryRow, MessageRow, Now

# PostgreSQL takes 65,535 parameters a statement at the most.
_ROWS_A_STATEMENT = 1000

_MESSAGE = f"({', '.join(['%s'] * len(MessageRow._fields))})"
_DELIVERY = f"({', '.join(['%s'] * len(DeliveryRow._fields))})"

_FENCED = """fenced as (
  update atomos_delivery d
  set status = 'done', attempts = attempts + 1,
      completed_at = coalesce(%s::timestamptz, statement_timestamp())
  from (select seqs from atomos_lease where id = %s for key share) l
  where d.recipient = %s and d.seq = %s and d.seq = any(l.seqs) and d.status = 'ready'
  returning d.seq)"""


def write(
    connection: Connection,
    messages: Sequence[MessageRow],
    deliveries: Sequence[DeliveryRow],
    completes: Fence | None,
    now: Now,
) -> bool:
    """Insert messages and deliveries, and complete a delivery: in one statement, where they are not many.

    False: the delivery is not held any more.
    """
    rows = max(len(messages), len(deliveries), completes is not None)
    for start in range(0, rows, _ROWS_A_STATEMENT):
        part = slice(start, start + _ROWS_A_STATEMENT)
        fence = completes if start == 0 else None
        if not _write(connection, messages[part], deliveries[part], fence, now):
            return False
    return True


def _completes_values(completes: Fence | None, now: Now) -> tuple[Any, ...]:
    """Give the values of the fenced completion, in the order of its statement."""
    return () if completes is None else (now, completes.lease, completes.recipient, completes.seq)


def _write(
    connection: Connection,
    messages: Sequence[MessageRow],
    deliveries: Sequence[DeliveryRow],
    completes: Fence | None,
    now: Now,
) -> bool:
    statement = _write_statement(len(messages), len(deliveries), completes is not None)
    values = [*_completes_values(completes, now), *chain.from_iterable((*messages, *deliveries))]
    found = run_as_it_is(connection, statement, values).fetchone()
    return completes is None or (found is not None and found[0] == 1)


@lru_cache(maxsize=256)
def _write_statement(messages: int, deliveries: int, fenced: bool) -> bytes:
    columns = ", ".join(MessageRow._fields), ", ".join(DeliveryRow._fields)
    parts = [_FENCED] if fenced else []
    if messages:
        parts.append(
            f"m as (insert into atomos_message ({columns[0]}) values {', '.join([_MESSAGE] * messages)})"
        )
    if deliveries:
        rows = ", ".join([_DELIVERY] * deliveries)
        parts.append(f"d as (insert into atomos_delivery ({columns[1]}) values {rows})")
    statement = f"with {', '.join(parts)} select {'count(*) from fenced' if fenced else '1'}"
    pieces = statement.split("%s")
    numbered = (f"{piece}${number}" for number, piece in enumerate(pieces[:-1], 1))
    return "".join((*numbered, pieces[-1])).encode()
