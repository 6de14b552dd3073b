"""Add the full trainings of designs.

Revision 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "training",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("search_id", sa.Integer, sa.ForeignKey("search.id", ondelete="CASCADE")),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("design", sa.String(500), nullable=False),
        sa.Column("trial", sa.Integer),
        sa.Column("architecture", sa.JSON, nullable=False),
        sa.Column("input_size", sa.JSON, nullable=False),
        sa.Column("classes", sa.Integer, nullable=False),
        sa.Column("recipe", sa.String(500), nullable=False),
        sa.Column("seed", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("curve", sa.JSON, nullable=False),
        sa.Column("measurements", sa.JSON, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("weights", sa.String(500)),
        sa.Column("failure_kind", sa.String(20)),
        sa.Column("failure_text", sa.Text),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("training_by_search", "training", ["search_id"])
    op.create_index("training_by_uid", "training", ["uid"])
