"""How often was a change like this one made before? Asked for the few likeliest causes of each incident."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("CREATE INDEX changes_like ON changes (environment, kind, subject, occurred_at)")
