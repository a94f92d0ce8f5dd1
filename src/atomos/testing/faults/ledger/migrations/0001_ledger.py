"""Accounts, entries, balances."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_account",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("entered", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ledger_entry_account", "ledger_entry", ["account"])
    op.create_table(
        "ledger_balance",
        sa.Column("account", sa.String(100), primary_key=True),
        sa.Column("deposits", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    for table in ("ledger_balance", "ledger_entry", "ledger_account"):
        op.drop_table(table)
