"""What must hold in the log's tables of any application once everything is over; each broken one in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos

_SHOWN = 3

_LEFT = {
    "is waiting still": """
        select recipient, message_id, status, attempts from atomos_delivery
        where status in ('ready', 'scheduled', 'retrying')""",
    "is a lease that nobody ended": "select worker, recipient from atomos_lease",
}

# One pass over both tables: no index leads from a message to what it caused.
_DECIDED = """
    with led as (
      select causation_id, name, count(*) commands from atomos_message where kind = 'command' group by 1, 2)
    select d.recipient, d.message_id from atomos_delivery d
    left join led on led.causation_id = d.message_id and d.recipient like 'trigger:%:' || led.name
    where d.recipient like 'trigger:%' and d.status = 'done'
    group by 1, 2 having coalesce(sum(led.commands), 0) <> 1"""

_INVARIANTS = {**_LEFT, "is a trigger's delivery that was done and did not lead to one command": _DECIDED}


def broken_invariants(atomos: Atomos) -> list[str]:
    """Name what is broken in the log's tables, with a few of the rows; an empty list is what is wanted.

    What `atomos audit` finds, and what is left though everything is over.
    """
    broken = []
    with atomos.container.core.database().look() as connection:
        for what, statement in _INVARIANTS.items():
            if rows := connection.execute(text(statement)).fetchall():
                shown = "; ".join(" ".join(map(str, row)) for row in rows[:_SHOWN])
                broken.append(f"{len(rows)} times: {what}: {shown}")
    audit = atomos.container.core.inspection().audit(atomos.bus.flow.deciding(), most=_SHOWN)
    return broken + [f"{each.found} times: {each.said} {'; '.join(each.rows)}" for each in audit.damages]
