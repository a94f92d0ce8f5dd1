"""Products in a database: tables, mapping, repository, unit of work."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Date, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint, select
from sqlalchemy.orm import registry, relationship

from atomos.core.adapters import Database, History, SqlMessageLog, SqlRepository, SqlUnitOfWork

from ..domain.model import Batch, Product, PromisedLine
from ..service.ports import AllocationUnitOfWork, Products

METADATA = MetaData()

PRODUCTS = Table(
    "allocation_product",
    METADATA,
    Column("sku", String(100), primary_key=True),
    Column("version", Integer, nullable=False),
)

BATCHES = Table(
    "allocation_batch",
    METADATA,
    Column("reference", String(100), primary_key=True),
    Column("sku", ForeignKey(PRODUCTS.c.sku), nullable=False, index=True),
    Column("quantity", Integer, nullable=False),
    Column("eta", Date),
)

# The number tells which line is the newest. SQLite would give the number of a purged newest line again.
LINES = Table(
    "allocation_line",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("batch", ForeignKey(BATCHES.c.reference), nullable=False, index=True),
    Column("order_id", String(100), nullable=False),
    Column("sku", String(100), nullable=False),
    Column("quantity", Integer, nullable=False),
    UniqueConstraint("sku", "order_id", name="allocation_line_once"),
    sqlite_autoincrement=True,
)

HISTORY = History("allocation", Path(__file__).parent / "migrations", METADATA)


def _map_model() -> None:
    """Map the domain's classes to the tables; the domain does not know."""
    mapper = registry()
    mapper.map_imperatively(PromisedLine, LINES)
    mapper.map_imperatively(
        Batch,
        BATCHES,
        properties={
            "lines": relationship(
                PromisedLine, order_by=LINES.c.number, cascade="all, delete-orphan", lazy="selectin"
            )
        },
    )
    mapper.map_imperatively(
        Product,
        PRODUCTS,
        properties={"batches": relationship(Batch, cascade="all, delete-orphan", lazy="selectin")},
        # The unit of work raises it: SQLAlchemy would do so only when the product's own row changes.
        version_id_col=PRODUCTS.c.version,
        version_id_generator=False,
    )


# With the module, and so once in a process: two first requests at the same instant would both do it.
_map_model()


class SqlProducts(SqlRepository[Product], Products):
    """Products in a database."""

    aggregate = Product

    def find_by_batch(self, reference: str) -> Product | None:
        """Give the product that has this batch, for a change, or None."""
        sku = select(BATCHES.c.sku).where(BATCHES.c.reference == reference).scalar_subquery()
        return self._first(select(Product).where(PRODUCTS.c.sku == sku))


class SqlAllocationUnitOfWork(SqlUnitOfWork, AllocationUnitOfWork):
    """An atomic update of products in a database."""

    def __init__(self, database: Database, log: SqlMessageLog) -> None:
        super().__init__(database, log)
        self.products = SqlProducts(self)
