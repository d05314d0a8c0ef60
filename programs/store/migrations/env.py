"""Alembic's entry: runs the migrations on the connection that `programs.store.engine` gives, in its transaction."""

from __future__ import annotations

from alembic import context

from programs.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # true of SQLite as well, since the engine sends its own BEGIN
)
with context.begin_transaction():
    context.run_migrations()
