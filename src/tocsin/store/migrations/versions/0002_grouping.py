"""What grouping knows of an incident is kept beside it, whole, so that batches leave no trace in the grouping."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE incidents ADD COLUMN grouping jsonb")
