"""Topics in a database: what was published, and how far each service has read."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

POSTGRESQL = """
create table atomos_topic_message (
  seq bigint generated always as identity primary key,
  topic text not null, id text, key text, content_type text, headers text not null, body bytea not null,
  published_at timestamptz not null default statement_timestamp());
create index atomos_topic_message_topic on atomos_topic_message (topic, seq);
create table atomos_topic_reader (
  topic text not null, service text not null, position bigint not null, primary key (topic, service));
"""

# Times are whole microseconds since 1970; headers are JSON.
SQLITE = """
create table atomos_topic_message (
  seq integer primary key autoincrement,
  topic text not null, id text, key text, content_type text, headers text not null, body blob not null,
  published_at integer not null);
create index atomos_topic_message_topic on atomos_topic_message (topic, seq);
create table atomos_topic_reader (
  topic text not null, service text not null, position integer not null, primary key (topic, service));
"""


def upgrade() -> None:
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL
    for statement in filter(str.strip, statements.split(";")):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("atomos_topic_reader")
    op.drop_table("atomos_topic_message")
