"""The log: two tables, and three small registers beside them."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# No index on seq alone: planners take it through all done rows. No foreign key from deliveries to messages:
# both are written by one statement, and removed together.
POSTGRESQL = """
create table atomos_message (
  id uuid constraint atomos_message_pkey primary key,
  kind text not null, name text not null, version integer not null,
  payload jsonb not null, fingerprint text not null, answer jsonb,
  ordering_key text, correlation_id uuid not null, causation_id uuid,
  principal text not null, traceparent text,
  deliveries integer not null,
  recorded_at timestamptz not null default statement_timestamp());
create table atomos_delivery (
  seq bigint generated always as identity,
  message_id uuid not null, recipient text not null, ordering_key text,
  status text not null, attempts integer not null default 0, alone boolean not null default false,
  until timestamptz, completed_at timestamptz, errors jsonb not null default '[]',
  constraint atomos_delivery_pkey primary key (message_id, recipient));
create index atomos_delivery_ready on atomos_delivery (recipient, seq) include (ordering_key)
  where status = 'ready';
create index atomos_delivery_due on atomos_delivery (until) where status in ('scheduled', 'retrying');
create index atomos_delivery_held on atomos_delivery (recipient, ordering_key) where status in ('retrying', 'parked');
create table atomos_lease (
  id bigint generated always as identity primary key,
  worker text not null, recipient text not null, until timestamptz not null,
  seqs bigint[] not null, keys text[] not null);
create table atomos_recipient (
  name text primary key,
  paused_at timestamptz, paused_by text, paused_why text,
  probing boolean not null default false, at_once integer);
create table atomos_worker (
  id text primary key, host text not null, pid integer not null, version text not null,
  started timestamptz not null, seen timestamptz not null);
"""

# Times are whole microseconds since 1970; ids are canonical text; documents and lists are JSON.
SQLITE = """
create table atomos_message (
  id text primary key not null,
  kind text not null, name text not null, version integer not null,
  payload text not null, fingerprint text not null, answer text,
  ordering_key text, correlation_id text not null, causation_id text,
  principal text not null, traceparent text,
  deliveries integer not null, recorded_at integer not null);
create table atomos_delivery (
  seq integer primary key autoincrement,
  message_id text not null, recipient text not null, ordering_key text,
  status text not null, attempts integer not null default 0, alone integer not null default 0,
  until integer, completed_at integer, errors text not null default '[]',
  unique (message_id, recipient));
create index atomos_delivery_ready on atomos_delivery (recipient, seq, ordering_key) where status = 'ready';
create index atomos_delivery_due on atomos_delivery (until) where status in ('scheduled', 'retrying');
create index atomos_delivery_held on atomos_delivery (recipient, ordering_key) where status in ('retrying', 'parked');
create table atomos_lease (
  id integer primary key autoincrement,
  worker text not null, recipient text not null, until integer not null,
  seqs text not null, keys text not null);
create table atomos_recipient (
  name text primary key not null,
  paused_at integer, paused_by text, paused_why text,
  probing integer not null default 0, at_once integer);
create table atomos_worker (
  id text primary key not null, host text not null, pid integer not null, version text not null,
  started integer not null, seen integer not null);
"""

TABLES = ("atomos_message", "atomos_delivery", "atomos_lease", "atomos_recipient", "atomos_worker")


def upgrade() -> None:
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL
    for statement in filter(str.strip, statements.split(";")):
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
