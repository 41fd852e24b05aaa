"""A model is promoted, then its probabilities no longer mean what they say."""

from __future__ import annotations

from tocsin.cli._demo.producers import Clock, Post, deployment, measured, promotion
from tocsin.cli._demo.scenario import Record, Scenario

ONSET, RECOVERED = 330.0, 3.0


def fraud(clock: Clock) -> Scenario:
    """Golden: an issue for the ML team that names the version to go back to."""
    return Scenario(
        key="fraud",
        title="A model promotion ruins calibration",
        story="MLflow's alias champion of fraud moves to 12; soon after its calibration is off.",
        mine="fraud",
        changes=(
            promotion(clock, "fraud", "11", ago=2600),
            promotion(clock, "fraud", "12", ago=ONSET + 22),
            deployment(clock, "fraud-api", "v2.0.6", ago=ONSET + 3),
            deployment(clock, "demand-api", "v0.9.2", ago=ONSET + 190),
        ),
        alerts=(_calibration(clock),),
        recovery=(_calibration(clock, ended=RECOVERED),),
        records=(
            Record(
                desk="jira",
                fields=(("Project", "ML"), ("Type", "Incident")),
                says=(
                    r"^Model fraud miscalibrated since .*, likely promotion fraud #12$",
                    r"CHANGED +promotion fraud #12, [^%]*LIKELY [89]\d %",
                    r"DO FIRST +(Roll back fraud to 11|Recalibrate fraud)",
                ),
                notes=(r"^Recovered .*, 1 alert clear",),
            ),
        ),
        blames="promotion fraud #12",
        nearest="deploy fraud-api v2.0.6",
    )


def _calibration(clock: Clock, *, ended: float | None = None) -> Post:
    over = {} if ended is None else {"status": "resolved", "ends_at": clock.iso(ended)}
    return measured(
        [
            {
                "name": "calibration-drift", "subject": "model:fraud", "symptom": "calibration", "severity": "warning",
                "summary": "fraud says 10 % where 19 % turn out to be fraud", "starts_at": clock.iso(ONSET),
                "metric": "expected_calibration_error", "observed": 0.094, "baseline": 0.021, "threshold": 0.05,
                "sample_size": 61_000, "model_version": "12", **over,
            }
        ]
    )  # fmt: skip
