"""Maps aggregates to tables, imperatively: the domain does not know."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import registry

from ..domain.model import Aggregate


def map_aggregate(aggregate: type[Aggregate], table: Table, **options: Any) -> None:
    """Map an aggregate to its table, whose column `version` guards it; `options` are those of `map_imperatively`.

    Once in a process, and so with the module: two first requests at the same instant would both do it. Raises
    `ValueError` for a table without that column.
    """
    if "version" not in table.c:
        raise ValueError(
            f"The table {table.fullname} of the aggregate {aggregate.__name__} has no column version; add "
            'Column("version", Integer, nullable=False).'
        )
    # The unit of work raises the version: SQLAlchemy would do so only when the aggregate's own row changes.
    registry().map_imperatively(
        aggregate, table, version_id_col=table.c.version, version_id_generator=False, **options
    )
