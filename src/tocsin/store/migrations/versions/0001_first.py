"""Everything that Tocsin keeps.

Large tables (messages, audit, attempts, occurrences) are partitioned by day, so that retention drops partitions; queue
state and senders' message ids live in small tables of their own.
"""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation (id) VALUES (gen_random_uuid());

-- raw inbound: headers redacted, body encrypted
CREATE TABLE messages (
    id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    hook text NOT NULL,
    source text NOT NULL,
    environment text NOT NULL,
    headers jsonb NOT NULL,
    query jsonb NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (received_at, id)
) PARTITION BY RANGE (received_at);

-- what still has to be understood; small and hot
CREATE TABLE inbox (
    id uuid PRIMARY KEY,
    received_at timestamptz NOT NULL,
    environment text NOT NULL,
    claims int NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    batch_limit int
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX inbox_order ON inbox (received_at, id);

CREATE TABLE message_ids (
    hook text NOT NULL,
    sender_id text NOT NULL,
    message_id uuid NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (hook, sender_id)
);

CREATE TABLE quarantine (
    message_id uuid PRIMARY KEY,
    received_at timestamptz NOT NULL,
    hook text NOT NULL,
    source text NOT NULL,
    environment text NOT NULL,
    reason text NOT NULL,
    path text NOT NULL DEFAULT '',
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);

-- understood alerts and record updates that wait for the environment's one writer, in receipt order
CREATE TABLE signals (
    environment text NOT NULL,
    received_at timestamptz NOT NULL,
    message_id uuid NOT NULL,
    seq int NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    PRIMARY KEY (environment, received_at, message_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE alerts (
    environment text NOT NULL,
    fingerprint text NOT NULL,
    status text NOT NULL,
    incident_id uuid,
    look_again_at timestamptz,
    last_received_at timestamptz NOT NULL,
    state jsonb NOT NULL,
    PRIMARY KEY (environment, fingerprint)
) WITH (fillfactor = 80);
CREATE INDEX alerts_incident ON alerts (incident_id) WHERE incident_id IS NOT NULL;
CREATE INDEX alerts_due ON alerts (environment, look_again_at) WHERE look_again_at IS NOT NULL;

CREATE TABLE occurrences (
    environment text NOT NULL,
    fingerprint text NOT NULL,
    episode int NOT NULL,
    incident_id uuid,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    written_at timestamptz NOT NULL DEFAULT now(),
    reports int NOT NULL DEFAULT 1
) PARTITION BY RANGE (written_at);
CREATE INDEX occurrences_alert ON occurrences (environment, fingerprint, written_at);

CREATE TABLE changes (
    environment text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    change jsonb NOT NULL,
    PRIMARY KEY (environment, id)
);
CREATE INDEX changes_time ON changes (environment, occurred_at);

CREATE SEQUENCE incident_numbers START 1001;
CREATE TABLE incidents (
    id uuid PRIMARY KEY,
    number bigint NOT NULL UNIQUE,
    environment text NOT NULL,
    state text NOT NULL,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    last_alert_at timestamptz NOT NULL,
    reopened int NOT NULL DEFAULT 0,
    parent_id uuid,
    title text NOT NULL DEFAULT '',
    attribution jsonb,
    enrichment jsonb,
    gate jsonb,
    routing jsonb,
    reassigned boolean NOT NULL DEFAULT false,
    human_touched boolean NOT NULL DEFAULT false,
    confirmed_change text NOT NULL DEFAULT '',
    attribute_due_at timestamptz,
    attribute_round int NOT NULL DEFAULT 0,
    decide_again_at timestamptz,
    mapping_version int NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX incidents_open ON incidents (environment, last_alert_at) WHERE state = 'open';
CREATE INDEX incidents_resolved ON incidents (environment, resolved_at) WHERE state = 'resolved';
CREATE INDEX incidents_attribute ON incidents (attribute_due_at) WHERE attribute_due_at IS NOT NULL;
CREATE INDEX incidents_decide ON incidents (environment, decide_again_at) WHERE decide_again_at IS NOT NULL;

CREATE TABLE records (
    id uuid PRIMARY KEY,
    incident_id uuid NOT NULL,
    environment text NOT NULL,
    destination text NOT NULL,
    kind text NOT NULL,
    generation int NOT NULL,
    mode text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    wanted jsonb NOT NULL,
    wanted_version int NOT NULL DEFAULT 1,
    sent_version int NOT NULL DEFAULT 0,
    sent_wanted jsonb,
    told jsonb NOT NULL DEFAULT '{}',
    sent jsonb NOT NULL DEFAULT '{}',
    observed jsonb NOT NULL DEFAULT '{}',
    external_id text NOT NULL DEFAULT '',
    number text NOT NULL DEFAULT '',
    url text NOT NULL DEFAULT '',
    next_attempt_at timestamptz,
    lease_token uuid,
    lease_until timestamptz,
    attempts int NOT NULL DEFAULT 0,
    failures int NOT NULL DEFAULT 0,
    ambiguous_since timestamptz,
    last_reason text NOT NULL DEFAULT '',
    last_detail text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (incident_id, destination, generation)
) WITH (fillfactor = 70);
CREATE INDEX records_due ON records (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX records_external ON records (kind, external_id) WHERE external_id <> '';

CREATE TABLE notes (
    id uuid PRIMARY KEY,
    record_id uuid NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz
);
CREATE INDEX notes_open ON notes (record_id, created_at) WHERE confirmed_at IS NULL;

CREATE TABLE attempts (
    at timestamptz NOT NULL DEFAULT now(),
    record_id uuid NOT NULL,
    destination text NOT NULL,
    result text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL DEFAULT '',
    calls int NOT NULL DEFAULT 0,
    seconds real NOT NULL DEFAULT 0
) PARTITION BY RANGE (at);
CREATE INDEX attempts_record ON attempts (record_id, at);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    environment text NOT NULL,
    message_id uuid,
    fingerprint text NOT NULL DEFAULT '',
    incident_id uuid,
    destination text NOT NULL DEFAULT '',
    actor text NOT NULL,
    mapping_version int NOT NULL,
    because jsonb NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX audit_id ON audit (id);
CREATE INDEX audit_incident ON audit (incident_id, at) WHERE incident_id IS NOT NULL;
CREATE INDEX audit_message ON audit (message_id) WHERE message_id IS NOT NULL;

CREATE TABLE mapping_versions (
    version int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text NOT NULL UNIQUE,
    files jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT ''
);
CREATE TABLE active_mapping (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version int NOT NULL REFERENCES mapping_versions (version),
    activated_at timestamptz NOT NULL DEFAULT now()
);

-- what the console or the API starts and a worker runs
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    arguments jsonb NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    result jsonb
);
CREATE INDEX jobs_open ON jobs (created_at) WHERE finished_at IS NULL;
"""

PARTITIONS = """
CREATE FUNCTION tocsin_partition(parent text, day date) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE child text := parent || '_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(child) IS NULL THEN
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
END $body$;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(PARTITIONS)
    for parent in ("messages", "audit", "attempts", "occurrences"):
        op.execute(f"CREATE TABLE {parent}_default PARTITION OF {parent} DEFAULT")
        op.execute(
            f"SELECT tocsin_partition('{parent}', day::date) FROM generate_series("
            "(now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 7, '1 day') AS day"
        )
