"""What Alembic runs for any history: on the connection that it is given, with the history's own version table."""

from typing import Any

from alembic import context

connection = context.config.attributes["connection"]
history = context.config.attributes["history"]


def _own(name: str | None, kind: str, _parents: Any) -> bool:
    # Autogenerate would propose to drop the tables of every other history.
    return kind != "table" or (history.metadata is not None and name in history.metadata.tables)


context.configure(
    connection=connection,
    version_table=history.version_table,
    target_metadata=history.metadata,
    include_name=_own,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
