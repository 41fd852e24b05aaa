"""Measured courses that alerts brought, and those that an incident's last score looked at. Only what brings some has
rows here."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE courses (environment text NOT NULL, fingerprint text NOT NULL, series jsonb NOT NULL,"
        " received_at timestamptz NOT NULL, PRIMARY KEY (environment, fingerprint))"
    )
    op.execute(
        "CREATE TABLE scored_courses (incident_id uuid PRIMARY KEY REFERENCES incidents (id)"
        " ON DELETE CASCADE, series jsonb NOT NULL,"
        " scored_at timestamptz NOT NULL)"
    )
