"""The timeline picture of each incident, and when it is to be drawn."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("""
CREATE TABLE pictures (
    incident_id uuid PRIMARY KEY REFERENCES incidents (id) ON DELETE CASCADE,
    due_at timestamptz,
    tries int NOT NULL DEFAULT 0,
    failed text NOT NULL DEFAULT '',
    content bytea,
    drawn_at timestamptz
);
CREATE INDEX pictures_due ON pictures (due_at) WHERE due_at IS NOT NULL;
""")
