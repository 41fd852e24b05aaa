"""What nobody needs to hear: a disk that flaps, a host in its maintenance window, a small drift of a small thing."""

from __future__ import annotations

from tocsin.cli._demo.producers import Clock, Post, Rule, alertmanager, deployment, drift_report, measured
from tocsin.cli._demo.scenario import Scenario

WINDOW_HOST = "warehouse-1"
"""Its maintenance window is written around the demo's now."""
FLAPS = (82.0, 66.0, 52.0)
LASTS = 3.0


def noise(clock: Clock) -> Scenario:
    """Golden: nobody is paged and no ticket opens; the audit trail names why."""
    return Scenario(
        key="noise",
        title="Noise",
        story="A disk fills for 3 minutes three times, a host alerts inside its maintenance window, "
        "an unimportant feature drifts a little.",
        changes=(deployment(clock, "review-tagger-api", "v0.4.0", ago=2000),),
        alerts=(
            _disk(clock),
            alertmanager(clock, _host_down()),
            _small_drift(clock),
        ),
        recovery=(alertmanager(clock, _host_down(), ended_ago=2), _small_drift(clock, passed=2)),
        heads=("host:build-1", f"host:{WINDOW_HOST}", "feature:review_length"),
    )


def _disk(clock: Clock) -> Post:
    """Its three spells, told at once by a script that was offline meanwhile."""
    facts = {
        "name": "disk-almost-full", "subject": "host:build-1", "symptom": "saturation", "severity": "critical",
        "summary": "the disk of build-1 is 96 % full", "metric": "disk_used_ratio", "observed": 0.96, "threshold": 0.9,
    }  # fmt: skip
    spells = [
        ({"starts_at": clock.iso(ago)}, {"status": "resolved", "ends_at": clock.iso(ago - LASTS)}) for ago in FLAPS
    ]
    return measured([{**facts, **told} for spell in spells for told in spell])


def _host_down() -> Rule:
    return Rule(
        name="HostDown",
        labels={"host": WINDOW_HOST},
        severity="critical",
        summary=f"{WINDOW_HOST} does not answer",
        started_ago=45,
    )


def _small_drift(clock: Clock, *, passed: float | None = None) -> Post:
    return drift_report(
        clock, "review-tagger", "1.3", column="review_length", threshold=0.1,
        observed=0.12 if passed is None else 0.04, ago=700 if passed is None else passed,
        status="WARNING" if passed is None else "SUCCESS", rows=900,
    )  # fmt: skip
