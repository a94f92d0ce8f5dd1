"""Vacuum on PostgreSQL: done rows and ended leases leave dead ones behind, which every claim would walk over."""

from __future__ import annotations

from .database import Database

# So many dead rows are left alone: leases are few, and each claim reads all of them several times. What a vacuum has to
# leave, because a transaction is open that may still see it, would have the next one begin at once: so there is a
# second between two for each 100,000 dead rows, which take it a small part of that. The one with few rows goes first.
TOO_MANY = """
select most.name from (values ('atomos_lease', 1000), ('atomos_delivery', 50000)) most (name, dead)
join pg_class c on c.oid = to_regclass(most.name)
cross join lateral (
  select pg_stat_get_dead_tuples(c.oid) dead,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) vacuumed) s
where s.dead >= most.dead and pg_has_role(c.relowner, 'usage')
  and coalesce(s.vacuumed < statement_timestamp()
               - greatest(interval '1 second', s.dead * interval '10 microseconds'), true)
  and not exists (
    select from pg_locks l where l.relation = c.oid and l.mode = 'ShareUpdateExclusiveLock' and l.granted
      and l.database = (select oid from pg_database where datname = current_database()))
order by most.dead
"""
"""Names the tables that have too many dead rows, and that nobody vacuums or has vacuumed just now."""

# Not `truncate`, which would lock everyone out; and where somebody changes or vacuums the table, there is a next time.
_VACUUM = "vacuum (skip_locked, truncate false) "


def vacuum(database: Database) -> None:
    """Vacuum deliveries and leases, where too many rows of them are dead, whoever left them.

    PostgreSQL's statistics count those, some seconds late, and from zero after a crash. It takes the role that
    owns the tables; another's are left to PostgreSQL itself. Raises `Unavailable` when the database is away.
    """
    with database.look() as connection:
        tables = connection.exec_driver_sql(TOO_MANY).scalars().all()
        if not tables:
            return
        connection.exec_driver_sql("set statement_timeout = 0")
        try:
            for table in tables:
                connection.exec_driver_sql(_VACUUM + table)
            connection.exec_driver_sql("reset statement_timeout")
        except BaseException:
            connection.invalidate()  # it would be given to somebody else without a time limit
            raise
