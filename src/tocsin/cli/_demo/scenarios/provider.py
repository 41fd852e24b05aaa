"""A provider outside fails: no change of ours explains it, and saying so is the answer."""

from __future__ import annotations

from tocsin.cli._demo.producers import Clock, Post, Rule, alertmanager, deployment
from tocsin.cli._demo.scenario import Record, Scenario

ONSET, RECOVERED = 34.0, 2.0


def provider(clock: Clock) -> Scenario:
    """Golden: one ticket that blames nobody, and says to wait instead of rolling back."""
    return Scenario(
        key="provider",
        title="A provider outside fails",
        story="parcel-y stops answering; delivery-quotes fails with it, minutes after an innocent deploy.",
        mine="parcel-y",
        changes=(
            deployment(clock, "search", "v6.0.2", ago=ONSET + 5),
            deployment(clock, "delivery-quotes", "v1.3.0", ago=2300),
        ),
        alerts=_alerts(clock),
        recovery=_alerts(clock, ended=RECOVERED),
        records=(
            Record(
                desk="servicenow",
                fields=(
                    ("Group", "Platform Operations"), ("CI", "parcel-y"), ("Service", "Delivery"),
                    ("Category", "External"), ("Impact", "2"), ("Urgency", "2"), ("Priority", "3"),
                ),
                says=(
                    r"^Provider parcel-y .*: delivery-quotes affected$",
                    r"CHANGED +No known change explains this \(P [5-9]\d %\)",
                    r"DO FIRST +Wait for parcel-y: .*Do not\s+roll\s+back",
                ),
                notes=(r"^Recovered .*, 2 alerts clear",),
            ),
        ),
        nearest="deploy search v6.0.2",
    )  # fmt: skip


def _alerts(clock: Clock, *, ended: float | None = None) -> tuple[Post, ...]:
    outage = Rule(
        name="ProviderUnavailable",
        labels={"subject": "provider:parcel-y", "metric": "success_ratio"},
        severity="error",
        summary="parcel-y answers 12 % of calls",
        started_ago=ONSET,
        evidence={"value": "0.12", "baseline": "0.998"},
    )
    felt = Rule(
        name="HighErrorRate",
        labels={"service": "delivery-quotes", "metric": "error_rate"},
        severity="error",
        summary="delivery-quotes: 71 % of requests fail",
        started_ago=ONSET - 1,
        evidence={"value": "0.71", "baseline": "0.004"},
    )
    return tuple(alertmanager(clock, rule, ended_ago=ended) for rule in (outage, felt))
