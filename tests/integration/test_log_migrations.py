"""The log's migrations keep what is known of lost leases, on both databases, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import text

from atomos.core.adapters import CORE, Database
from atomos.core.adapters.migrations.histories import _config
from atomos.core.service.envelope import new_id

PUT = """
insert into atomos_delivery (message_id, recipient, status, {column}) values ('{id}', 'mail', 'ready', {value})
"""


class Migrated:
    """A log that is moved between versions."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def to(self, revision: str) -> None:
        """Bring the log's tables to a version."""
        with self.database.transaction() as connection:
            move = command.downgrade if revision == "0001" else command.upgrade
            move(_config(CORE, connection), revision)

    def put(self, column: str, *values: object) -> None:
        """Store deliveries with a value each."""
        with self.database.transaction() as connection:
            for value in values:
                connection.execute(text(PUT.format(column=column, id=new_id(), value=value)))

    def values(self, column: str) -> list[int]:
        """What the deliveries have, in order."""
        with self.database.look() as connection:
            found = connection.execute(text(f"select {column} from atomos_delivery order by seq"))  # noqa: S608
            return [int(value) for (value,) in found]


@pytest.fixture
def migrated(database_url: str) -> Iterator[Migrated]:
    migrated = Migrated(database_url)
    yield migrated
    migrated.database.close()


def test_what_went_alone_goes_alone(migrated: Migrated) -> None:
    migrated.to("0001")
    migrated.put("alone", False, True)
    migrated.to("0002")
    assert migrated.values("losses") == [0, 2]


def test_on_the_way_back_whatever_was_lost_goes_alone(migrated: Migrated) -> None:
    migrated.put("losses", 0, 1, 2)
    migrated.to("0001")
    assert migrated.values("alone") == [0, 1, 1]
    migrated.to("0002")
    assert migrated.values("losses") == [0, 2, 2]
