"""Lineage that runs tell: one row for each edge and day, so that what any past hour knew can be asked again."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        """
CREATE TABLE lineage (
    environment text NOT NULL,
    upstream text NOT NULL,
    downstream text NOT NULL,
    since timestamptz NOT NULL,  -- beginning of the day (UTC), or the reset within it
    told_at timestamptz NOT NULL,  -- receipt of the first message that told it from then on
    PRIMARY KEY (environment, downstream, upstream, since)
)"""
    )
    op.execute("CREATE INDEX lineage_told ON lineage (environment, told_at)")
