"""What senders' protocols ask us to open (certificates that messages are signed with, confirmations), and the messages
that wait for it."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE errands (
            url text PRIMARY KEY CHECK (length(url) <= 2048),
            kind text NOT NULL,
            source text NOT NULL,
            hook text NOT NULL,
            environment text NOT NULL,
            asked_at timestamptz NOT NULL DEFAULT now(),
            next_attempt_at timestamptz DEFAULT now(),
            failures int NOT NULL DEFAULT 0,
            error text NOT NULL DEFAULT '',
            answer bytea,
            done_at timestamptz)""")
    op.execute("""
        CREATE TABLE awaiting_key (
            id uuid PRIMARY KEY,
            received_at timestamptz NOT NULL,
            environment text NOT NULL,
            url text NOT NULL)""")
    op.execute("CREATE INDEX awaiting_key_url ON awaiting_key (url)")
    op.execute("CREATE INDEX errands_due ON errands (next_attempt_at) WHERE next_attempt_at IS NOT NULL")
