"""An index to find everything that a principal caused."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create index atomos_message_principal on atomos_message (principal, recorded_at, id)")


def downgrade() -> None:
    op.drop_index("atomos_message_principal")
