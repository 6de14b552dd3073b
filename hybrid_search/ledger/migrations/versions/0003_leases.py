"""Add the driver of a search, the leases of searches and running trials, and the table of failures.

Revision 0003.
"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("search", sa.Column("uid", sa.String(32), nullable=False, server_default=""))
    op.add_column("search", sa.Column("driver", sa.String(200)))
    op.add_column("search", sa.Column("driver_until", sa.DateTime(timezone=True)))
    op.add_column("trial", sa.Column("driver", sa.String(200)))
    op.add_column("trial", sa.Column("expires", sa.DateTime(timezone=True)))
    op.create_table(
        "failure",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("rung", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("failed", sa.DateTime(timezone=True), nullable=False),
    )
    connection = op.get_bind()
    search = sa.table("search", sa.column("id", sa.Integer), sa.column("uid", sa.String))
    for (found,) in connection.execute(sa.select(search.c.id)).all():
        connection.execute(sa.update(search).where(search.c.id == found).values(uid=uuid4().hex))
    # The failures that were kept so far: the last attempt of every failed trial.
    connection.execute(
        sa.text(
            "INSERT INTO failure (trial_id, attempt, kind, text, rung, worker, failed) "
            "SELECT id, attempt, COALESCE(failure_kind, 'bug'), COALESCE(failure_text, ''), rung, worker, "
            "COALESCE(finished, started) FROM trial WHERE state = 'failed'"
        )
    )
