"""Add the seed of a failed retraining.

Revision 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("failure", sa.Column("seed", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
