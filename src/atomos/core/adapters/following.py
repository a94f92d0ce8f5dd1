"""What the log has of an event that is handled later, in one look."""

from __future__ import annotations

from ..service.delivery import Status, Step, Stored
from .database import Database
from .log_sql import snapshot

_EVENT = """
select name, principal, cast(answer as text) answer, correlation_id from atomos_message
where id = :id and kind = 'event'
"""

_COMMANDS = """
select id, name, cast(answer as text) answer from atomos_message
where correlation_id = :correlation and causation_id = :id and kind = 'command' order by id
"""

_STEPS = """
select status, cast(errors as text) errors from atomos_delivery
where message_id in :messages and (recipient like 'trigger:%' or recipient like 'command:%') order by seq
"""


def stored(database: Database, message_id: str) -> Stored | None:
    """Find an event, and the commands that it led to; None where there is none."""
    with snapshot(database, None) as log:
        found = log.rows(_EVENT, id=message_id)
        if not found:
            return None
        event = found[0]
        commands = log.rows(_COMMANDS, id=message_id, correlation=event.correlation_id)
        steps = log.rows(_STEPS, messages=(message_id, *(each.id for each in commands)))
    return Stored(
        event.name,
        event.principal,
        event.answer,
        [Step(Status(each.status), log.listed(each.errors)) for each in steps],
        [(each.name, each.answer) for each in commands],
    )
