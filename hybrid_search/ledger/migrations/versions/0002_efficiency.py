"""Add pruner, tuned settings, warm start and spared trials, and the table of test openings.

Revision 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("search", sa.Column("pruner", sa.String(100), nullable=False, server_default="none"))
    op.add_column("search", sa.Column("tuned", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("search", sa.Column("warm_start", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("trial", sa.Column("spared", sa.Integer))
    op.create_table(
        "opening",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("search_id", sa.Integer, sa.ForeignKey("search.id", ondelete="CASCADE"), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("opened", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("opening_by_search", "opening", ["search_id"])
