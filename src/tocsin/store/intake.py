"""Could messages be received all the time? While they could not, no alert may expire for want of a report."""

from __future__ import annotations

from datetime import timedelta

from tocsin.store.database import DECIDE_LOCK, Database, rows, run

BEAT_EVERY_S = 10.0
"""A receiver that keeps messages in the database says so this often."""

GRACE = timedelta(seconds=60)
"""A silence of all receivers that is shorter is no outage: a restart, a slow disk."""


def alive(database: Database) -> timedelta:
    """Note that messages are received and kept now. After an outage everything that happens by time alone is put off
    by its length, so that senders have the time to report again; answers the outage (0: there was none)."""
    with database.transaction() as connection:
        found = rows(connection, "SELECT clock_timestamp() - intake_at AS silent FROM installation FOR UPDATE")
        silent: timedelta = found[0].silent or timedelta(0)
        if silent > GRACE:
            run(
                connection,
                "SELECT pg_advisory_xact_lock(:lock, hashtext(environment)) FROM (SELECT DISTINCT environment"
                " FROM alerts WHERE look_again_at IS NOT NULL ORDER BY environment) AS waiting",
                lock=DECIDE_LOCK,
            )
            run(connection, _PUT_OFF, silent=silent)
        run(connection, "UPDATE installation SET intake_at = clock_timestamp()")
    return silent if silent > GRACE else timedelta(0)


_PUT_OFF = """
UPDATE alerts SET
    look_again_at = look_again_at + CAST(:silent AS interval),
    state = state
        || CASE WHEN state->>'expires_at' IS NULL THEN CAST('{}' AS jsonb) ELSE jsonb_build_object('expires_at',
            CAST(state->>'expires_at' AS timestamptz) + CAST(:silent AS interval)) END
        || CASE WHEN state->>'flapping_until' IS NULL THEN CAST('{}' AS jsonb) ELSE jsonb_build_object('flapping_until',
            CAST(state->>'flapping_until' AS timestamptz) + CAST(:silent AS interval)) END
WHERE look_again_at IS NOT NULL
"""
