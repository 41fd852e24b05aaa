"""What people do at the vendors comes back: how far each destination was looked at, and what was seen there."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
-- what people have done about an incident, by way of its records
ALTER TABLE incidents ADD COLUMN hands jsonb;

-- how each record stood when somebody last told us
CREATE TABLE stances (
    record_id uuid PRIMARY KEY REFERENCES records (id) ON DELETE CASCADE,
    vendor_id text NOT NULL DEFAULT '',
    stance jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stances_vendor ON stances (vendor_id) WHERE vendor_id <> '';

-- events of service desks that were taken, posted or polled, so that none counts twice
CREATE TABLE record_events (
    source text NOT NULL,
    event text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, event)
);
CREATE INDEX record_events_age ON record_events (seen_at);

-- how far each destination was looked at
CREATE TABLE looks (
    destination text PRIMARY KEY,
    watermark text NOT NULL DEFAULT '',
    polled_at timestamptz,
    poll_failed text NOT NULL DEFAULT '',
    surveyed_at timestamptz,
    survey_failed text NOT NULL DEFAULT ''
);

-- what reconciliation found and nobody has mended yet
CREATE TABLE discrepancies (
    destination text NOT NULL,
    finding text NOT NULL,
    external_id text NOT NULL,
    number text NOT NULL DEFAULT '',
    url text NOT NULL DEFAULT '',
    incident_id uuid,
    says text NOT NULL DEFAULT '',
    found_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (destination, finding, external_id)
);
"""


def upgrade() -> None:
    op.execute(TABLES)
