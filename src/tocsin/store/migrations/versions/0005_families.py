"""Incidents of one cause are found by their parent; when messages could last be received is
known, and what of a record went out unconfirmed."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE INDEX incidents_children ON incidents (parent_id) WHERE parent_id IS NOT NULL")
    op.execute("ALTER TABLE installation ADD COLUMN intake_at timestamptz")
    op.execute("ALTER TABLE records ADD COLUMN tried jsonb NOT NULL DEFAULT '[]'")
