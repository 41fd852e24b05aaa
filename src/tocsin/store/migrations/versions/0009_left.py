"""Find the ended episodes of an incident: its alerts may belong to a later one by now."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("CREATE INDEX occurrences_incident ON occurrences (incident_id)")
