"""Deliveries in full: timers, probing, lost leases, what workers have and read, indexes to look things up by."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Rows are done within seconds of being ready: waiting for a fifth of a large table would let the claim walk
# over all that died meanwhile.
POSTGRESQL = """
alter table atomos_delivery add column timer text;
alter table atomos_delivery add column losses integer not null default 0;
update atomos_delivery set losses = 2 where alone;
alter table atomos_delivery drop column alone;
alter table atomos_recipient add column probe_at timestamptz;
alter table atomos_worker add column recipients text[] not null default '{}';
alter table atomos_worker add column reads text[] not null default '{}';
alter table atomos_worker add column stuck text[] not null default '{}';
create index atomos_delivery_timer on atomos_delivery (timer, ordering_key)
  where status = 'scheduled' and timer is not null;
create index atomos_delivery_suspect on atomos_delivery (recipient, seq) where status = 'ready' and losses > 0;
create index atomos_delivery_failed on atomos_delivery (recipient, seq) where status in ('dead', 'parked');
create index atomos_message_conversation on atomos_message (correlation_id);
create index atomos_message_recorded on atomos_message using brin (recorded_at) with (autosummarize = on);
alter table atomos_delivery set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
alter table atomos_lease set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
"""

SQLITE = """
alter table atomos_delivery add column timer text;
alter table atomos_delivery add column losses integer not null default 0;
update atomos_delivery set losses = 2 where alone;
alter table atomos_delivery drop column alone;
alter table atomos_recipient add column probe_at integer;
alter table atomos_worker add column recipients text not null default '[]';
alter table atomos_worker add column reads text not null default '[]';
alter table atomos_worker add column stuck text not null default '[]';
create index atomos_delivery_timer on atomos_delivery (timer, ordering_key)
  where status = 'scheduled' and timer is not null;
create index atomos_delivery_suspect on atomos_delivery (recipient, seq) where status = 'ready' and losses > 0;
create index atomos_delivery_failed on atomos_delivery (recipient, seq) where status in ('dead', 'parked');
create index atomos_message_conversation on atomos_message (correlation_id);
create index atomos_message_recorded on atomos_message (recorded_at);
"""

INDEXES = (
    "atomos_delivery_timer",
    "atomos_delivery_suspect",
    "atomos_delivery_failed",
    "atomos_message_conversation",
    "atomos_message_recorded",
)
COLUMNS = {
    "atomos_delivery": ("timer", "losses"),
    "atomos_recipient": ("probe_at",),
    "atomos_worker": ("recipients", "reads", "stuck"),
}


ALONE = """
alter table atomos_delivery add column alone {kind} not null default false;
update atomos_delivery set alone = true where losses > 0;
"""


def upgrade() -> None:
    execute(SQLITE if is_sqlite() else POSTGRESQL)


def downgrade() -> None:
    for index in INDEXES:
        op.drop_index(index)
    execute(ALONE.format(kind="integer" if is_sqlite() else "boolean"))
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column)


def is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def execute(statements: str) -> None:
    for statement in filter(str.strip, statements.split(";")):
        op.execute(statement)
