"""What a context says of its repositories: the aggregate, its table, and who is missing."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, inspect

from atomos.core.adapters import SqlRepository, map_aggregate
from atomos.core.domain import Aggregate, NotFound
from atomos.core.service import Repository
from atomos.testing import MemoryRepository, MemoryStore, MemoryUnitOfWork


class Bell(Aggregate):
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def identity(self) -> str:
        return self.name


class Chime(Bell):
    pass


class Silent(NotFound):
    """No bell has this name."""


class Mute(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"The bell {name} is mute.")


def name() -> Column[str]:
    return Column("name", String(20), primary_key=True)


def test_an_aggregate_is_guarded_by_the_version_of_its_table() -> None:
    table = Table("bell", MetaData(), name(), Column("version", Integer, nullable=False))
    map_aggregate(Bell, table)
    mapper = inspect(Bell)
    assert mapper.version_id_col is table.c.version
    assert mapper.version_id_generator is False


def test_a_table_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r'The table chime of the aggregate Chime .* add Column\("version"'):
        map_aggregate(Chime, Table("chime", MetaData(), name()))


def test_a_repository_reads_its_aggregate_from_the_brackets_unless_it_says_another() -> None:
    kind = TypeVar("kind", bound=Bell)

    class Bells(SqlRepository[Bell]):
        pass

    class Others(SqlRepository[Bell]):
        aggregate = Chime

    class Any_(SqlRepository[kind]):
        pass

    class Chimes(Bells):
        pass

    assert [each.aggregate for each in (Bells, Others, Chimes)] == [Bell, Chime, Bell]
    assert not hasattr(Any_, "aggregate")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Silent, "No bell has this name: ding."),
        (Mute, "The bell ding is mute."),
        (NotFound, "What was named does not exist: ding."),
    ],
)
def test_who_is_missing_is_named_by_the_errors_own_sentence_or_behind_its_docstring(
    error: Any, said: str
) -> None:
    class Bells(MemoryRepository[Bell]):
        missing = error

    bells: Repository[Bell] = Bells(MemoryUnitOfWork(MemoryStore()), Bell)
    with pytest.raises(error) as raised:
        bells.get("ding")
    assert str(raised.value) == said
