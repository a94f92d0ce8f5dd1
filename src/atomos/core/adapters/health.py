"""What can be seen of the log's health: how long deliveries wait, for whom nobody works, which transaction is open."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .database import Database
from .log_sql import LogSql, Now

# The first of each recipient, by its partial index; nothing is counted. What is in a lease is being worked on.
_FIRST = """
from atomos_delivery d where d.recipient = r.name and d.status = 'ready'
  and d.seq not in (select s.value from atomos_lease l, {seqs} where l.recipient = r.name)
order by d.seq limit 1
"""
_WAITING = f"""
select name, since from (
  select r.name, coalesce(
    (select d.until {_FIRST}),
    (select m.recorded_at from atomos_message m where m.id = (select d.message_id {_FIRST}))) since
  from atomos_recipient r where r.paused_at is null) r
where since is not null order by since
"""  # noqa: S608 - put together from constants
_WORKERS = "select recipients from atomos_worker where seen >= :seen"
_OPEN = """
select pid, application_name, state, extract(epoch from statement_timestamp() - xact_start)::float age
from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
  and xact_start < statement_timestamp() - make_interval(secs => :limit)
order by xact_start limit 3
"""
_PREPARED = """
select gid, owner, extract(epoch from statement_timestamp() - prepared)::float age from pg_prepared_xacts
where database = current_database() and prepared < statement_timestamp() - make_interval(secs => :limit)
order by prepared limit 3
"""
_MOST_NAMED = 3


class HealthLimits(NamedTuple):
    """From when on something is worth a warning, in seconds.

    `waiting` is for a delivery that nobody works on, `transaction` for one that is open, `alive` for a worker
    that was not seen.
    """

    waiting: float = 60.0
    transaction: float = 60.0
    alive: float = 30.0


class LogHealth:
    """Looks at the log; each look says in one sentence what is not as it should be, or None.

    They cost the same with ten rows and with ten million. `now` is the time that tests give, None the database's.
    """

    def __init__(self, database: Database, limits: HealthLimits = HealthLimits(), now: Now = None) -> None:  # noqa: B008
        self._database = database
        self._limits = limits
        self._now = now

    def answers(self) -> None:
        """Ask for nothing. Raises what the database says, or whoever cannot reach it."""
        with self._database.look() as connection:
            connection.exec_driver_sql("select 1")

    def waiting(self) -> str | None:
        """Name the recipients whose oldest delivery has been waiting for too long; not those that are paused."""
        with self._database.look() as connection:
            log = LogSql(connection, self._now)
            late = [f"{name} for {age:.0f} s" for name, age in _ages(log) if age > self._limits.waiting]
        if not late:
            return None
        return f"deliveries have been waiting: {_some(late)} (limit {self._limits.waiting:g} s)"

    def without_worker(self) -> str | None:
        """Name the recipients that deliveries wait for, and that no live worker has."""
        alive = timedelta(seconds=self._limits.alive)
        with self._database.look() as connection:
            log = LogSql(connection, self._now)
            seen = log.at(log.now() - alive)
            served = {name for row in log.rows(_WORKERS, seen=seen) for name in log.listed(row.recipients)}
            left = [name for name, age in _ages(log) if name not in served and age > self._limits.alive]
        return (
            f"no live worker has {_some(left)}, and deliveries wait; start `atomos worker`" if left else None
        )

    def open_transaction(self) -> str | None:
        """Name transactions that have been open for too long; None on SQLite, which does not say."""
        if self._database.dialect == "sqlite":
            return None
        limit = self._limits.transaction
        with self._database.look() as connection:
            log = LogSql(connection, None)
            opened = [
                f"pid {row.pid} ({row.application_name or 'no name'}, {row.state}) for {row.age:.0f} s"
                for row in log.rows(_OPEN, limit=limit)
            ]
            prepared = [
                f"prepared {row.gid} of {row.owner} for {row.age:.0f} s"
                for row in log.rows(_PREPARED, limit=limit)
            ]
        if not (found := opened + prepared):
            return None
        return f"a transaction is open, which keeps done rows in the way of claims: {_some(found)}"


def _ages(log: LogSql) -> list[tuple[str, float]]:
    """Give for how many seconds the oldest delivery of each recipient has been waiting, the longest first."""
    now: datetime = log.now()
    found: list[Any] = list(log.rows(_WAITING))
    return [(row.name, (now - log.moment(row.since)).total_seconds()) for row in found]


def _some(names: Collection[str]) -> str:
    first = ", ".join(list(names)[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{first} and {more} more" if more > 0 else first
