"""Where a note can never be shown, nobody tries to write one."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("ALTER TABLE records ADD COLUMN takes_notes boolean NOT NULL DEFAULT true")
