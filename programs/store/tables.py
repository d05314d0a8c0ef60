"""Every table of the store, the same on SQLite and PostgreSQL. The migrations are compared with it by a test.

Structs are kept whole, as JSON text, beside the few columns that are searched: a new field of a struct needs no
migration. Key columns compare by code point on both databases, so cursors and orders are the same.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEY: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by itself only for the type INTEGER.
NUMBER: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")


def _of_app(*, primary_key: bool = False) -> Column[Any]:
    return Column("app", KEY, ForeignKey("apps.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


apps = Table(
    "apps",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("body", Text, nullable=False),
)

examples = Table(
    "examples",
    metadata,
    _of_app(primary_key=True),
    Column("id", KEY, primary_key=True),
    Column("body", Text, nullable=False),
)

programs = Table(
    "programs",
    metadata,
    _of_app(primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("id", KEY, nullable=False),
    Column("kind", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("waiver", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("app", "id"),
)

deployments = Table(
    "deployments",
    metadata,
    _of_app(primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

_RUNNING = text("state IN ('running', 'paused')")

rollouts = Table(
    "rollouts",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("id", KEY, nullable=False, unique=True),
    _of_app(),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_rollouts_app_number", "app", "number"),
    # Two rollouts of one app at once would fight over the deployment: the database itself refuses the second.
    Index("uq_rollouts_current", "app", unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING),
)

runs = Table(
    "runs",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("id", KEY, nullable=False, unique=True),
    _of_app(),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_runs_app_number", "app", "number"),
)

states = Table(
    "states",
    metadata,
    Column("kind", KEY, primary_key=True),
    Column("key", KEY, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", KEY, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("epoch", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("sequence", NUMBER, primary_key=True, autoincrement=False),
    Column("id", KEY, nullable=False, unique=True),
    Column("app", KEY, nullable=False),
    Column("type", KEY, nullable=False),
    Column("room", KEY, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_events_app_sequence", "app", "sequence"),
)

validations = Table(
    "validations",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("app", KEY, nullable=False),
    Column("id", KEY, nullable=False),
    Column("version", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("app", "id", "version"),
    Index("ix_validations_app_number", "app", "number"),
)

# Counting the checks themselves takes seconds once there are millions; every page asks for these.
validation_counts = Table(
    "validation_counts",
    metadata,
    Column("app", KEY, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("verdict", KEY, primary_key=True),
    Column("n", BigInteger, nullable=False),
)

budgets = Table(
    "budgets",
    metadata,
    Column("app", KEY, primary_key=True),
    Column("day", KEY, primary_key=True),
    Column("spent_nano_usd", BigInteger, nullable=False),
    Column("reserved_nano_usd", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("app", KEY, primary_key=True),
    Column("day", KEY, primary_key=True),
    Column("purpose", KEY, primary_key=True),
    Column("provider", KEY, primary_key=True),
    Column("model", KEY, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("nano_usd", BigInteger, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Index("ix_idempotency_created_ms", "created_ms"),
)
