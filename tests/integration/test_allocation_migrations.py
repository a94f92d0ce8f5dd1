"""Allocation's migrations keep what is in the tables, on both databases, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from atomos.allocation.adapters.storage import HISTORY

from .moving import Migrated

LINES = "select number, batch, order_id, sku, quantity from allocation_line order by number"
OLD = (
    "insert into allocation_product (sku, version) values ('CHAIR', 3)",
    "insert into allocation_batch (reference, sku, quantity) values ('b1', 'CHAIR', 10)",
    "insert into allocation_line (batch, order_id, sku, quantity) values ('b1', 'z', 'CHAIR', 2)",
    "insert into allocation_line (batch, order_id, sku, quantity) values ('b1', 'a', 'CHAIR', 3)",
)


class MigratedAllocation(Migrated):
    """Allocation's tables."""

    history = HISTORY

    def rows(self, statement: str = LINES) -> list[Any]:
        """What a statement finds."""
        return super().rows(statement)


@pytest.fixture
def migrated(database_url: str) -> Iterator[MigratedAllocation]:
    migrated = MigratedAllocation(database_url)
    migrated.to("0001")
    migrated.run(*OLD)
    yield migrated
    migrated.database.close()


def test_lines_keep_their_numbers_and_batches_and_new_ones_come_after_them(
    migrated: MigratedAllocation,
) -> None:
    before = migrated.rows()
    migrated.to("0002")
    assert migrated.rows() == before
    assert migrated.rows("select distinct is_followed from allocation_line") in ([(False,)], [(0,)])
    migrated.run("insert into allocation_line (order_id, sku, quantity) values ('w', 'CHAIR', 1)")
    assert migrated.rows()[-1][1:] == (None, "w", "CHAIR", 1)


def test_on_the_way_back_only_what_waits_is_lost(migrated: MigratedAllocation) -> None:
    before = migrated.rows()
    migrated.to("0002")
    migrated.run("insert into allocation_line (order_id, sku, quantity) values ('w', 'CHAIR', 1)")
    migrated.to("0001")
    assert migrated.rows() == before
    migrated.to("0002")
    assert migrated.rows() == before


def test_the_tables_are_what_the_model_is_mapped_to(migrated: MigratedAllocation) -> None:
    migrated.to("0002")
    with migrated.database.transaction() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in _tables()}
        )
        assert HISTORY.metadata is not None
        assert compare_metadata(context, HISTORY.metadata) == []


def _tables() -> set[str]:
    import atomos.allocation.adapters.views

    return set(atomos.allocation.adapters.views.METADATA.tables)
