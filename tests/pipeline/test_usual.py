"""What a check showed before is kept with its alert, however its messages were batched, and stands in the ticket."""

from pathlib import Path
from typing import Any

from tests.decide.test_drift import hourly_checks
from tests.pipeline.world import MAPPINGS, World
from tocsin.store.database import Database, dumped, rows
from tocsin.store.incidents import STATE

HOOK = {"hooks.yaml": "hooks: {dq: {source: native_alert, environment: production, unverified: true}}"}
HOURS = 12


def check(share: float, *, status: str = "resolved") -> dict[str, Any]:
    return {
        "name": "nulls", "subject": "feature:order_total", "symptom": "data_quality", "status": status,
        "metric": "null_rate", "observed": share, "threshold": 0.05, "resolves": "next_pass",
    }  # fmt: skip


def ticket(database: str, directory: Path, *, at_once: bool) -> tuple[str, dict[str, Any]]:
    """Hourly checks that pass, then one that fails: the ticket, and what is kept of the alert."""
    world = World(database, directory, {**MAPPINGS, **HOOK})
    for hour in range(HOURS):
        world.post("dq", check(0.008 + hour % 3 * 0.002), minutes=(hour - HOURS) * 60)
        if not at_once:
            world.settle()
    world.post("dq", check(0.31, status="firing"), minutes=29)
    world.settle()
    [kept] = world.sql("SELECT state->'history' AS history, state->'usual' AS usual FROM alerts")
    [record] = world.sql("SELECT wanted->>'body' AS body FROM records")
    world.close()
    return record["body"], kept


def test_a_ticket_says_what_is_usual_for_the_value(database: str, tmp_path: Path) -> None:
    body, kept = ticket(database, tmp_path, at_once=False)
    assert "nulls, usual: 0.8–1.2 %, now 31 %" in body
    assert kept["history"]["outcomes"] == "." * HOURS + "x"
    assert kept["usual"]["count"] == HOURS


def test_it_is_the_same_when_all_messages_are_decided_at_once(database: str, tmp_path: Path) -> None:
    body, kept = ticket(database, tmp_path, at_once=True)
    assert "nulls, usual: 0.8–1.2 %, now 31 %" in body
    assert kept["history"]["outcomes"] == "." * HOURS + "x"
    assert kept["usual"]["count"] == HOURS


def test_what_is_kept_comes_back_from_the_database_as_it_was(database: str) -> None:
    """Workers go on from what others wrote: not a digit may be lost on the way."""
    state = hourly_checks(lambda hour: 0.4 if hour % 24 in (9, 10, 11) else 1e-7 * hour, 24 * 6 + 11)
    assert state.usual is not None
    kept = Database(database)
    with kept.transaction() as connection:
        [row] = rows(connection, "SELECT CAST(CAST(:state AS jsonb) AS text) AS state", state=dumped(state))
    kept.close()
    assert STATE.validate_json(row.state) == state
