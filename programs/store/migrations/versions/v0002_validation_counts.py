"""Counts of validation results by app, version and verdict, filled from the results that are there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY: TypeEngine[str] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "validation_counts",
        sa.Column("app", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("verdict", KEY, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app", "version", "verdict", name="pk_validation_counts"),
    )
    op.execute(
        "INSERT INTO validation_counts (app, version, verdict, n) "
        "SELECT app, version, verdict, COUNT(*) FROM validations GROUP BY app, version, verdict"
    )


def downgrade() -> None:
    op.drop_table("validation_counts")
