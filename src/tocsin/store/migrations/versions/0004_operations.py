"""Destinations have a state of their own (paused, resting, calls left); what shadows would send, storms, files."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
-- how each destination stands: one row, shared by all hosts
CREATE TABLE destinations (
    name text PRIMARY KEY,
    kind text NOT NULL DEFAULT '',
    mode text NOT NULL DEFAULT 'live',
    paused_at timestamptz,
    paused_by text NOT NULL DEFAULT '',
    paused_why text NOT NULL DEFAULT '',
    failures int NOT NULL DEFAULT 0,
    at_once int NOT NULL DEFAULT 16,
    open_since timestamptz,
    openings int NOT NULL DEFAULT 0,
    rests_until timestamptz,
    rests_why text NOT NULL DEFAULT '',
    rests_detail text NOT NULL DEFAULT '',
    calls_per_minute float8,
    calls_per_hour float8,
    minute_left float8 NOT NULL DEFAULT 0,
    hour_left float8 NOT NULL DEFAULT 0,
    refilled_at timestamptz,
    alert_at timestamptz,
    alerted_at timestamptz
) WITH (fillfactor = 50);
INSERT INTO destinations (name, kind) SELECT DISTINCT destination, kind FROM records ON CONFLICT DO NOTHING;

-- what goes first: creates of pages, other creates, ends, updates, notes
ALTER TABLE records
    ADD COLUMN rank smallint NOT NULL GENERATED ALWAYS AS (CASE
        WHEN sent_version = 0 AND wanted->>'want' = 'page' THEN 0
        WHEN sent_version = 0 THEN 1
        WHEN sent_version < wanted_version AND wanted->>'status' = 'resolved' THEN 2
        WHEN sent_version < wanted_version THEN 3
        ELSE 4 END) STORED,
    ADD COLUMN warnings jsonb NOT NULL DEFAULT '[]';
CREATE INDEX records_next ON records (destination, rank, next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX records_leased ON records (destination, lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX records_made ON records (destination, created_at);
CREATE INDEX records_dead ON records (destination) WHERE state = 'dead';

CREATE TABLE attachments (
    id uuid PRIMARY KEY,
    record_id uuid NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    name text NOT NULL,
    media_type text NOT NULL,
    content bytea NOT NULL,
    tries int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz
);
CREATE INDEX attachments_open ON attachments (record_id) WHERE confirmed_at IS NULL;

-- what a destination in shadow mode would have been sent
CREATE TABLE shadow_calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    record_id uuid NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    incident_id uuid NOT NULL,
    destination text NOT NULL,
    key text NOT NULL,
    call text NOT NULL,
    body jsonb NOT NULL,
    UNIQUE (record_id, key)
);
CREATE INDEX shadow_calls_age ON shadow_calls (at);
CREATE INDEX shadow_calls_destination ON shadow_calls (destination, id);

-- beyond the cap of new records: one parent record, and the incidents that it stands for
CREATE TABLE storms (
    id uuid PRIMARY KEY,
    environment text NOT NULL,
    destination text NOT NULL,
    team text NOT NULL,
    critical_page boolean NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX storms_open ON storms (environment, destination, team, critical_page) WHERE ended_at IS NULL;
CREATE TABLE absorbed (
    storm_id uuid NOT NULL REFERENCES storms (id) ON DELETE CASCADE,
    incident_id uuid NOT NULL,
    display text NOT NULL,
    title text NOT NULL,
    severity text NOT NULL,
    rank int NOT NULL,
    want text NOT NULL,
    opened_at timestamptz NOT NULL,
    left_at timestamptz,
    left_why text NOT NULL DEFAULT '',
    PRIMARY KEY (storm_id, incident_id)
);
CREATE INDEX absorbed_open ON absorbed (incident_id) WHERE left_at IS NULL;

-- deploys and other changes on their way to be shown beside a vendor's incidents
CREATE TABLE mirrored_changes (
    destination text NOT NULL,
    change_id text NOT NULL,
    environment text NOT NULL,
    payload jsonb NOT NULL,
    next_attempt_at timestamptz,
    lease_until timestamptz,
    failures int NOT NULL DEFAULT 0,
    last_reason text NOT NULL DEFAULT '',
    last_detail text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    PRIMARY KEY (destination, change_id)
);
CREATE INDEX mirrored_changes_due ON mirrored_changes (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(TABLES)
