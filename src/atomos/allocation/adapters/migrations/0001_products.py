"""Products, batches, promised lines, and the view of allocations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "allocation_product",
        sa.Column("sku", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "allocation_batch",
        sa.Column("reference", sa.String(100), primary_key=True),
        sa.Column("sku", sa.String(100), sa.ForeignKey("allocation_product.sku"), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("eta", sa.Date),
    )
    op.create_index("ix_allocation_batch_sku", "allocation_batch", ["sku"])
    op.create_table(
        "allocation_line",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("batch", sa.String(100), sa.ForeignKey("allocation_batch.reference"), nullable=False),
        sa.Column("order_id", sa.String(100), nullable=False),
        sa.Column("sku", sa.String(100), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.UniqueConstraint("sku", "order_id", name="allocation_line_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_allocation_line_batch", "allocation_line", ["batch"])
    op.create_table(
        "allocation_view",
        sa.Column("order_id", sa.String(100), primary_key=True),
        sa.Column("sku", sa.String(100), primary_key=True),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("batch", sa.String(100), nullable=False),
    )


def downgrade() -> None:
    for table in ("allocation_view", "allocation_line", "allocation_batch", "allocation_product"):
        op.drop_table(table)
