"""Learning counts from here on: what people confirmed before is forgotten on request, never deleted."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("ALTER TABLE installation ADD COLUMN learn_since timestamptz NOT NULL DEFAULT '-infinity'")
