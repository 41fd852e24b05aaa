"""A checkout deploy slows 40 pods; Alertmanager storms, and one person is paged once."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.cli._demo.producers import Clock, Post, Rule, alertmanager, deployment
from tocsin.cli._demo.scenario import Record, Scenario

PODS, REPEATS = 40, 4
ONSET, RECOVERED = 16.0, 1.0
RULES = (
    ("HighLatency", "critical", "request_latency_p99_ms", "2300", "180"),
    ("HighErrorRate", "error", "error_rate", "0.12", "0.002"),
)


def checkout(clock: Clock) -> Scenario:
    """Golden: one page to platform, one linked incident, advice to roll back."""
    return Scenario(
        key="checkout",
        title="A deploy breaks a service, and 40 pods alert",
        story=f"checkout v4.8.1 goes out; {PODS} pods report latency and errors, again and again.",
        mine=r"\bcheckout (slow|failing|unavailable|down)",
        changes=(
            deployment(clock, "checkout", "v4.8.0", ago=1700),
            deployment(clock, "checkout", "v4.8.1", ago=ONSET + 9, by="jonas-p", note="new tax service"),
            deployment(clock, "fraud-api", "v2.0.7", ago=ONSET + 1),
            deployment(clock, "payments", "v9.1.2", ago=1400),
        ),
        alerts=(alertmanager(clock, *(_rule(pod, rule) for pod in range(PODS) for rule in RULES)),),
        later=tuple(_storm(clock)),
        recovery=tuple(_notification(clock, pod, rule, ended=RECOVERED) for pod in range(PODS) for rule in RULES),
        records=(
            Record(
                desk="pagerduty",
                fields=(("Service", "platform"), ("Severity", "critical"), ("Pages", "1")),
                says=(r"checkout .*likely deploy checkout v4\.8\.1", r"DO FIRST +Roll back checkout from v4\.8\.1"),
            ),
            Record(
                desk="servicenow",
                fields=(
                    ("Group", "Platform Operations"), ("CI", "checkout-prod"), ("Service", "Online Checkout"),
                    ("Category", "Platform"), ("Impact", "1"), ("Urgency", "1"), ("Priority", "1"),
                ),
                says=(
                    rf"WHAT +{PODS} pods of checkout in eu-west: request latency p99 180 ms → 2\.3 s, errors 0\.2 %",
                    r"CHANGED +deploy checkout v4\.8\.1, [^%]*LIKELY [89]\d %",
                    r"DO FIRST +Roll back checkout from v4\.8\.1",
                ),
                notes=(r"^See also PagerDuty", rf"^Recovered .*, {PODS * len(RULES)} alerts clear"),
            ),
        ),
        blames="deploy checkout v4.8.1",
        nearest="deploy fraud-api v2.0.7",
    )  # fmt: skip


def _storm(clock: Clock) -> Iterator[Post]:
    """A second route of Alertmanager tells every pod's two alerts one by one, and repeats them."""
    for _ in range(1 + REPEATS):
        for pod in range(PODS):
            for rule in RULES:
                yield _notification(clock, pod, rule)


def _notification(clock: Clock, pod: int, rule: tuple[str, ...], *, ended: float | None = None) -> Post:
    return alertmanager(clock, _rule(pod, rule), ended_ago=ended)


def _rule(pod: int, rule: tuple[str, ...]) -> Rule:
    name, severity, metric, value, baseline = rule
    return Rule(
        name=name,
        labels={"service": "checkout", "pod": f"checkout-7d9f{pod:02d}", "metric": metric, "region": "eu-west"},
        severity=severity,
        summary=f"{name} on checkout",
        started_ago=ONSET - pod * 0.02,
        evidence={"value": value, "baseline": baseline, "runbook_url": "https://wiki.example.com/runbooks/checkout"},
    )
