"""Repositories on SQLAlchemy, and the read model that projections keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from sqlalchemy import Result, Select, Table
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase

from ..domain.model import Aggregate
from ..service.errors import ForeignTable
from ..service.ports import Repository
from .unit_of_work import SqlUnitOfWork

T = TypeVar("T", bound=Aggregate)


class SqlRepository(Repository[T], Generic[T]):
    """The aggregates of one mapped class: `class SqlProducts(SqlRepository[Product], Products)`.

    What it hands out is locked on PostgreSQL until the transaction ends.
    """

    aggregate: ClassVar[type[Aggregate]]
    """The class; taken from the brackets where it is not said."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Read the aggregate's class."""
        super().__init_subclass__(**options)
        for base in cls.__dict__.get("__orig_bases__", ()):
            named = get_args(base)
            if (
                get_origin(base) is SqlRepository
                and isinstance(named[0], type)
                and "aggregate" not in vars(cls)
            ):
                cls.aggregate = named[0]

    def __init__(self, uow: SqlUnitOfWork) -> None:
        self._uow = uow

    def find(self, identity: str) -> T | None:
        """Give the aggregate for a change, by its primary key, or None."""
        return self._tracked(self._uow.session.get(self.aggregate, identity, with_for_update=True))

    def add(self, aggregate: T) -> None:
        """Take in a new aggregate."""
        self._uow.session.add(aggregate)
        self._uow.track(aggregate)

    def _first(self, statement: Select[Any]) -> T | None:
        """Give the aggregate that a statement selects, for a change, or None."""
        locked = statement.with_for_update(of=self.aggregate)
        return self._tracked(self._uow.session.scalars(locked).first())

    def _tracked(self, found: Any) -> T | None:
        if found is not None:
            self._uow.track(found)
        return found  # type: ignore[no-any-return]


class ReadModel:
    """The tables of a context's views, for the projections that keep them; any other table is refused."""

    def __init__(self, session: Session, tables: Iterable[Table]) -> None:
        self._session = session
        # By name: containers copy what they are given, and a copied table is another object.
        self._tables = frozenset(table.fullname for table in tables)

    def execute(
        self, statement: UpdateBase | Select[Any], values: Mapping[str, Any] | None = None
    ) -> Result[Any]:
        """Run one statement on tables of the views, with the values of its columns. Raises `ForeignTable`."""
        touched = [statement.table] if isinstance(statement, UpdateBase) else statement.get_final_froms()
        if foreign := {str(table) for table in touched} - self._tables:
            names = ", ".join(sorted(foreign))
            raise ForeignTable(f"A projection used {names}, which is not among the tables of the views.")
        # On the connection: rows of views are no objects of the session.
        return self._session.connection().execute(statement, values)
