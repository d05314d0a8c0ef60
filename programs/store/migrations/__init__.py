"""Alembic's folder: the schema's history, run by `Store.open`."""
