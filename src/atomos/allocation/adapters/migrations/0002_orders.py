"""Lines that wait belong to their product, and have no batch; orders with a deadline, and what they want."""

import sqlalchemy as sa
from alembic import op

from atomos.core.adapters import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

POSTGRESQL = (
    "alter table allocation_line alter column batch drop not null",
    "alter table allocation_line add column is_followed boolean not null default false",
    "alter table allocation_line alter constraint allocation_line_batch_fkey deferrable initially deferred",
    "alter table allocation_line add constraint allocation_line_sku_fkey foreign key (sku) "
    "references allocation_product (sku)",
)

POSTGRESQL_BACK = (
    "alter table allocation_line drop constraint allocation_line_sku_fkey",
    "alter table allocation_line alter constraint allocation_line_batch_fkey not deferrable",
    "alter table allocation_line drop column is_followed",
    "alter table allocation_line alter column batch set not null",
)

# SQLite cannot change a column: the table is made again, with its rows.
_NEW = """
create table allocation_line_new (
  number integer not null primary key autoincrement,
  batch varchar(100),
  order_id varchar(100) not null,
  sku varchar(100) not null,
  quantity integer not null,
  is_followed boolean not null default 0,
  foreign key (batch) references allocation_batch (reference) deferrable initially deferred,
  foreign key (sku) references allocation_product (sku),
  constraint allocation_line_once unique (sku, order_id))
"""
_OLD = """
create table allocation_line_new (
  number integer not null primary key autoincrement,
  batch varchar(100) not null,
  order_id varchar(100) not null,
  sku varchar(100) not null,
  quantity integer not null,
  foreign key (batch) references allocation_batch (reference),
  constraint allocation_line_once unique (sku, order_id))
"""
_MOVED = (
    "insert into allocation_line_new (number, batch, order_id, sku, quantity) "
    "select number, batch, order_id, sku, quantity from allocation_line",
    "drop table allocation_line",
    "alter table allocation_line_new rename to allocation_line",
    "create index ix_allocation_line_batch on allocation_line (batch)",
)


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in (_NEW, *_MOVED) if is_sqlite else POSTGRESQL:
        op.execute(statement)
    op.create_table(
        "allocation_order",
        sa.Column("order_id", sa.String(100), primary_key=True),
        sa.Column("deadline", Instant(), nullable=False),
        sa.Column("is_reported", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "allocation_order_line",
        sa.Column("order_id", sa.String(100), sa.ForeignKey("allocation_order.order_id"), primary_key=True),
        sa.Column("sku", sa.String(100), primary_key=True),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("batch", sa.String(100)),
    )


def downgrade() -> None:
    for table in ("allocation_order_line", "allocation_order"):
        op.drop_table(table)
    op.execute("delete from allocation_line where batch is null")  # there was no place for who waits
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in (_OLD, *_MOVED) if is_sqlite else POSTGRESQL_BACK:
        op.execute(statement)
