"""API keys."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

POSTGRESQL = """
create table atomos_key (
  id text primary key, owner text not null, scopes text[] not null, digest text not null,
  created_at timestamptz not null, expires_at timestamptz, revoked_at timestamptz, used_at timestamptz)
"""

SQLITE = """
create table atomos_key (
  id text primary key not null, owner text not null, scopes text not null, digest text not null,
  created_at integer not null, expires_at integer, revoked_at integer, used_at integer)
"""


def upgrade() -> None:
    op.execute(SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL)


def downgrade() -> None:
    op.drop_table("atomos_key")
