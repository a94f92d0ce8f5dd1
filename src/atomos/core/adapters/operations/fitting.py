"""What waits in the tables and does not fit a build: found among what is live, whatever has been done already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from ...service.operations import Misfit
from ..log_sql import LogSql

# Each branch repeats the condition of a partial index, so that no row that is over is read.
_WAITING = """
select d.recipient, m.name, m.version, count(*) waiting from (
  select message_id, recipient from atomos_delivery where status = 'ready'
  union all
  select message_id, recipient from atomos_delivery where status in ('scheduled', 'retrying')
  union all
  select message_id, recipient from atomos_delivery where status in ('retrying', 'parked') and status = 'parked'
) d join atomos_message m on m.id = d.message_id
group by d.recipient, m.name, m.version
"""

_REGISTER = "select name from atomos_recipient order by name"


def misfits(log: LogSql, recipients: Collection[str], reads: Collection[str]) -> list[Misfit]:
    """Compare what waits, and the register, with a build."""
    strange: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    for row in log.rows(_WAITING):
        if row.recipient not in recipients:
            strange[row.recipient] += row.waiting
        if f"{row.name} {row.version}" not in reads:
            unread[f"{row.name} {row.version}"] += row.waiting
    only_registered = [
        row.name for row in log.rows(_REGISTER) if row.name not in recipients and row.name not in strange
    ]
    return [
        *(Misfit("recipient", name, n, _waits(n, "this recipient")) for name, n in sorted(strange.items())),
        *(
            Misfit("message", form, n, _waits(n, "a build that reads it"))
            for form, n in sorted(unread.items())
        ),
        *(Misfit("register", name, 0, "registered, and nothing waits for it") for name in only_registered),
    ]


def _waits(count: int, whom: str) -> str:
    return f"{count} deliveries wait for {whom}" if count > 1 else f"a delivery waits for {whom}"
