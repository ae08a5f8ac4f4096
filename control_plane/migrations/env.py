"""Alembic's entry: runs the revisions on the connection that `migrate` opened."""

from alembic import context

from control_plane.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
context.run_migrations()
