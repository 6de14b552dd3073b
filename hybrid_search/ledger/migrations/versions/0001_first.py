"""The first schema: searches, trials, measurements, rungs, proposals.

Revision 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
SEED = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # up to 2^32


def upgrade() -> None:
    op.create_table(
        "search",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("space", sa.JSON, nullable=False),
        sa.Column("objectives", sa.JSON, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("sampler", sa.String(100), nullable=False),
        sa.Column("seed", SEED, nullable=False),
        sa.Column("target", sa.Integer, nullable=False),
        sa.Column("max_flops", sa.Float),
        sa.Column("max_params", sa.Float),
        sa.Column("input_size", sa.JSON, nullable=False),
        sa.Column("classes", sa.Integer, nullable=False),
        sa.Column("evaluation", sa.String(200), nullable=False),
        sa.Column("created", TIME, nullable=False),
    )
    op.create_table(
        "trial",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("search_id", sa.Integer, sa.ForeignKey("search.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("architecture", sa.JSON, nullable=False),
        sa.Column("choices", sa.JSON, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("seed", SEED, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("rung", sa.Integer, nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("finished", TIME),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("failure_kind", sa.String(20)),
        sa.Column("failure_text", sa.Text),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("weights", sa.String(500)),
        sa.UniqueConstraint("search_id", "number"),
    )
    op.create_index("trial_by_digest", "trial", ["search_id", "digest"])
    op.create_index("trial_by_state", "trial", ["search_id", "state"])
    op.create_index("ix_trial_changed", "trial", ["changed"])
    op.create_table(
        "measurement",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("seed", SEED, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
    )
    op.create_table(
        "rung",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("rung", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("search_id", sa.Integer, sa.ForeignKey("search.id", ondelete="CASCADE"), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("choices", sa.JSON, nullable=False),
        sa.Column("excess", sa.Float, nullable=False),
        sa.Column("created", TIME, nullable=False),
    )
    op.create_index("proposal_by_search", "proposal", ["search_id"])


def downgrade() -> None:
    for table in ("proposal", "rung", "measurement", "trial", "search"):
        op.drop_table(table)
