"""The log's migrations keep what is known of lost leases, on both databases, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from atomos.core.adapters import CORE
from atomos.core.service.envelope import new_id

from .moving import Migrated

PUT = """
insert into atomos_delivery (message_id, recipient, status, {column}) values ('{id}', 'mail', 'ready', {value})
"""


class MigratedLog(Migrated):
    """The log's tables."""

    history = CORE

    def put(self, column: str, *values: object) -> None:
        """Store deliveries with a value each."""
        self.run(*(PUT.format(column=column, id=new_id(), value=value) for value in values))

    def values(self, column: str) -> list[int]:
        """What the deliveries have, in order."""
        return [int(value) for (value,) in self.rows(f"select {column} from atomos_delivery order by seq")]  # noqa: S608


@pytest.fixture
def migrated(database_url: str) -> Iterator[MigratedLog]:
    migrated = MigratedLog(database_url)
    yield migrated
    migrated.database.close()


def test_what_went_alone_goes_alone(migrated: MigratedLog) -> None:
    migrated.to("0001")
    migrated.put("alone", False, True)
    migrated.to("0002")
    assert migrated.values("losses") == [0, 2]


def test_on_the_way_back_whatever_was_lost_goes_alone(migrated: MigratedLog) -> None:
    migrated.put("losses", 0, 1, 2)
    migrated.to("0001")
    assert migrated.values("alone") == [0, 1, 1]
    migrated.to("0002")
    assert migrated.values("losses") == [0, 2, 2]
