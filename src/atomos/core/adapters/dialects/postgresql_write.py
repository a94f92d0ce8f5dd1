"""The statement that writes the log on PostgreSQL: messages, deliveries, a completion, an answer in one round trip."""

# ruff: noqa: S608 - the statement is put together from constants of this module, values are always bound

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from sqlalchemy import Connection

from ...service.delivery import Fence
from ..postgres import run_as_it_is
from .dialect import Answered, DeliveryRow, MessageRow, Now, Written

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

_ANSWERED = """answered as (
  update atomos_message set answer = %s where id = %s and answer is null returning id)"""


def write(
    connection: Connection,
    messages: Sequence[MessageRow],
    deliveries: Sequence[DeliveryRow],
    completes: Fence | None,
    answered: Answered | None,
    now: Now,
) -> Written:
    """Do all in one statement, where the rows are not many."""
    written = _write(
        connection, messages[:_ROWS_A_STATEMENT], deliveries[:_ROWS_A_STATEMENT], completes, answered, now
    )
    for start in range(_ROWS_A_STATEMENT, max(len(messages), len(deliveries)), _ROWS_A_STATEMENT):
        part = slice(start, start + _ROWS_A_STATEMENT)
        _write(connection, messages[part], deliveries[part], None, None, now)
    return written


def _write(
    connection: Connection,
    messages: Sequence[MessageRow],
    deliveries: Sequence[DeliveryRow],
    completes: Fence | None,
    answered: Answered | None,
    now: Now,
) -> Written:
    statement = _write_statement(len(messages), len(deliveries), completes is not None, answered is not None)
    values = [
        *(() if completes is None else (now, completes.lease, completes.recipient, completes.seq)),
        *(() if answered is None else (answered.answer, answered.message_id)),
        *chain.from_iterable((*messages, *deliveries)),
    ]
    found = run_as_it_is(connection, statement, values).fetchone()
    return Written() if found is None else Written(*found)


@lru_cache(maxsize=256)
def _write_statement(messages: int, deliveries: int, fenced: bool, answered: bool) -> bytes:
    columns = ", ".join(MessageRow._fields), ", ".join(DeliveryRow._fields)
    parts = [*([_FENCED] if fenced else ()), *([_ANSWERED] if answered else ())]
    if messages:
        parts.append(
            f"m as (insert into atomos_message ({columns[0]}) values {', '.join([_MESSAGE] * messages)})"
        )
    if deliveries:
        rows = ", ".join([_DELIVERY] * deliveries)
        parts.append(f"d as (insert into atomos_delivery ({columns[1]}) values {rows})")
    met = (
        f"exists (select from {name})" if there else "true"
        for name, there in (("fenced", fenced), ("answered", answered))
    )
    statement = f"{'with ' if parts else ''}{', '.join(parts)} select {', '.join(met)}"
    pieces = statement.split("%s")
    numbered = (f"{piece}${number}" for number, piece in enumerate(pieces[:-1], 1))
    return "".join((*numbered, pieces[-1])).encode()
