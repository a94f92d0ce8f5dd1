"""What must hold in the log's tables of any application once everything is over; each broken one in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos

_SHOWN = 3

_LEFT = {
    "is waiting still": """
        select recipient, message_id, status, attempts from atomos_delivery
        where status in ('ready', 'scheduled', 'retrying')""",
    # Who reads a topic has a lease without rows, for as long as it reads.
    "is a lease that nobody ended": """
        select worker, recipient from atomos_lease where cast(seqs as text) not in ('[]', '{}')""",
}

_LED_TO_ONE = "is a trigger's delivery that was done and did not lead to one command"
_COMMANDS = "select cast(causation_id as text), name from atomos_message where kind = 'command'"
_DECIDED = """
    select cast(message_id as text), recipient from atomos_delivery
    where recipient like 'trigger:%' and status = 'done'"""


def broken_invariants(atomos: Atomos) -> list[str]:
    """Name what is broken in the log's tables, with a few of the rows; an empty list is what is wanted.

    What `atomos audit` finds, and what is left though everything is over.
    """
    with atomos.container.core.database().snapshot(patient=True) as connection:
        found = {what: connection.execute(text(statement)).fetchall() for what, statement in _LEFT.items()}
        found[_LED_TO_ONE] = list(_undecided(connection))
    broken = [f"{len(rows)} times: {what}: {_shown(rows)}" for what, rows in found.items() if rows]
    audit = atomos.container.core.inspection().audit(atomos.bus.flow.deciding(), most=_SHOWN)
    return broken + [f"{each.found} times: {each.said} {'; '.join(each.rows)}" for each in audit.damages]


def _undecided(connection: Connection) -> Iterator[tuple[str, str]]:
    # Joined here: no index leads from a message to what it caused, and a planner may take each for each.
    led = Counter((cause, name) for cause, name in connection.execute(text(_COMMANDS)))
    for message, recipient in connection.execute(text(_DECIDED)):
        if led[message, recipient.rpartition(":")[2]] != 1:
            yield recipient, message


def _shown(rows: Sequence[Iterable[object]]) -> str:
    return "; ".join(" ".join(map(str, row)) for row in rows[:_SHOWN])
