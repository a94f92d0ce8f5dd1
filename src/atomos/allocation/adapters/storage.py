"""Products and orders in a database: tables, mapping, repositories, unit of work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    exists,
    false,
    select,
)
from sqlalchemy.orm import registry, relationship

from atomos.core.adapters import (
    Database,
    History,
    Instant,
    SqlMessageLog,
    SqlRepository,
    SqlUnitOfWork,
    map_aggregate,
)
from atomos.core.domain import Entity

from ..domain.model import Batch, Product, ProductLine
from ..domain.order import Order, WantedLine
from ..service.ports import AllocationUnitOfWork, Orders, Products

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

_BATCH = ForeignKey(BATCHES.c.reference, deferrable=True, initially="DEFERRED")

# A line without a batch waits. The number tells who came first; SQLite would give that of a purged newest line
# again. Lines and batches are both the product's, so that either may be written first: the key is checked at commit.
LINES = Table(
    "allocation_line",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("batch", _BATCH, index=True),
    Column("order_id", String(100), nullable=False),
    Column("sku", ForeignKey(PRODUCTS.c.sku), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("is_followed", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("sku", "order_id", name="allocation_line_once"),
    sqlite_autoincrement=True,
)

ORDERS = Table(
    "allocation_order",
    METADATA,
    Column("order_id", String(100), primary_key=True),
    Column("deadline", Instant, nullable=False),
    Column("is_reported", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

WANTED = Table(
    "allocation_order_line",
    METADATA,
    Column("order_id", ForeignKey(ORDERS.c.order_id), primary_key=True),
    Column("sku", String(100), primary_key=True),
    Column("quantity", Integer, nullable=False),
    Column("batch", String(100)),
)

HISTORY = History("allocation", Path(__file__).parent / "migrations", METADATA)


def _map_model() -> None:
    """Map the domain's classes to the tables; the domain does not know."""
    mapper = registry()
    mapper.map_imperatively(ProductLine, LINES)
    mapper.map_imperatively(Batch, BATCHES)
    map_aggregate(
        Product,
        PRODUCTS,
        properties={
            "batches": _children(Batch),
            "lines": _children(ProductLine, order_by=LINES.c.number),
        },
    )
    mapper.map_imperatively(WantedLine, WANTED)
    map_aggregate(Order, ORDERS, properties={"lines": _children(WantedLine, order_by=WANTED.c.sku)})


def _children(kind: type[Entity], **order: Any) -> Any:
    return relationship(kind, cascade="all, delete-orphan", lazy="selectin", **order)


# With the module, and so once in a process: two first requests at the same instant would both do it.
_map_model()


class SqlProducts(SqlRepository[Product], Products):
    """Products in a database."""

    def find_by_batch(self, reference: str) -> Product | None:
        """Give the product that has this batch, for a change, or None."""
        sku = select(BATCHES.c.sku).where(BATCHES.c.reference == reference).scalar_subquery()
        return self._first(select(Product).where(PRODUCTS.c.sku == sku))


class SqlOrders(SqlRepository[Order], Orders):
    """Orders in a database."""

    def want(self, order_id: str, sku: str) -> bool:
        """Whether an order still has a line of a SKU. Without a lock: who cancels one holds the product's."""
        line = exists().where(WANTED.c.order_id == order_id, WANTED.c.sku == sku)
        return bool(self._uow.session.scalar(select(line)))


class SqlAllocationUnitOfWork(SqlUnitOfWork, AllocationUnitOfWork):
    """An atomic update of products and orders in a database."""

    def __init__(self, database: Database, log: SqlMessageLog) -> None:
        super().__init__(database, log)
        self.products = SqlProducts(self)
        self.orders = SqlOrders(self)
