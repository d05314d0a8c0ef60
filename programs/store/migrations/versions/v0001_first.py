"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY: TypeEngine[str] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER: TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RUNNING = sa.text("state IN ('running', 'paused')")


def upgrade() -> None:
    op.create_table(
        "apps",
        sa.Column("id", KEY, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_apps"),
    )
    op.create_table(
        "budgets",
        sa.Column("app", KEY, nullable=False),
        sa.Column("day", KEY, nullable=False),
        sa.Column("spent_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("reserved_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app", "day", name="pk_budgets"),
    )
    op.create_table(
        "counters",
        sa.Column("name", KEY, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "events",
        sa.Column("sequence", NUMBER, autoincrement=False, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("app", KEY, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("room", KEY, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_events"),
        sa.UniqueConstraint("id", name="uq_events_id"),
    )
    op.create_index("ix_events_app_sequence", "events", ["app", "sequence"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key", KEY, nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_ms", "idempotency", ["created_ms"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("app", KEY, nullable=False),
        sa.Column("day", KEY, nullable=False),
        sa.Column("purpose", KEY, nullable=False),
        sa.Column("provider", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app", "day", "purpose", "provider", "model", name="pk_ledger"),
    )
    op.create_table(
        "states",
        sa.Column("kind", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_states"),
    )
    op.create_table(
        "validations",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("app", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_validations"),
        sa.UniqueConstraint("app", "id", "version", name="uq_validations_app_id_version"),
    )
    op.create_index("ix_validations_app_number", "validations", ["app", "number"], unique=False)
    op.create_table(
        "deployments",
        sa.Column("app", KEY, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.id"], name="fk_deployments_app", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("app", name="pk_deployments"),
    )
    op.create_table(
        "examples",
        sa.Column("app", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.id"], name="fk_examples_app", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("app", "id", name="pk_examples"),
    )
    op.create_table(
        "programs",
        sa.Column("app", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("waiver", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.id"], name="fk_programs_app", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("app", "version", name="pk_programs"),
        sa.UniqueConstraint("app", "id", name="uq_programs_app_id"),
    )
    op.create_table(
        "rollouts",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("app", KEY, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.id"], name="fk_rollouts_app", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name="pk_rollouts"),
        sa.UniqueConstraint("id", name="uq_rollouts_id"),
    )
    op.create_index("ix_rollouts_app_number", "rollouts", ["app", "number"], unique=False)
    op.create_index(
        "uq_rollouts_current", "rollouts", ["app"], unique=True, sqlite_where=RUNNING, postgresql_where=RUNNING
    )
    op.create_table(
        "runs",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("app", KEY, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.id"], name="fk_runs_app", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name="pk_runs"),
        sa.UniqueConstraint("id", name="uq_runs_id"),
    )
    op.create_index("ix_runs_app_number", "runs", ["app", "number"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_runs_app_number", table_name="runs")
    op.drop_table("runs")
    op.drop_index("uq_rollouts_current", table_name="rollouts", sqlite_where=RUNNING, postgresql_where=RUNNING)
    op.drop_index("ix_rollouts_app_number", table_name="rollouts")
    op.drop_table("rollouts")
    op.drop_table("programs")
    op.drop_table("examples")
    op.drop_table("deployments")
    op.drop_index("ix_validations_app_number", table_name="validations")
    op.drop_table("validations")
    op.drop_table("states")
    op.drop_table("ledger")
    op.drop_index("ix_idempotency_created_ms", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_index("ix_events_app_sequence", table_name="events")
    op.drop_table("events")
    op.drop_table("counters")
    op.drop_table("budgets")
    op.drop_table("apps")
