"""ServiceNow keeps the incident, and its answer never arrives: there is still only one."""

from __future__ import annotations

from tocsin.cli._demo.producers import Clock, Post, Rule, alertmanager, deployment, flag
from tocsin.cli._demo.scenario import Record, Scenario

ONSET, RECOVERED = 215.0, 4.0


def lost(clock: Clock) -> Scenario:
    """Golden: the retry finds its own record instead of opening a second."""
    return Scenario(
        key="lost",
        title="ServiceNow's answer is lost",
        story="search fails after a feature flag; ServiceNow commits the incident, then the connection drops.",
        mine="^search ",
        changes=(
            flag(clock, "search", "semantic-rerank", ago=ONSET + 12),
            deployment(clock, "replenishment", "v1.17.4", ago=ONSET + 2),
            deployment(clock, "search", "v6.0.0", ago=2500),
        ),
        alerts=(_errors(clock),),
        recovery=(_errors(clock, ended=RECOVERED),),
        records=(
            Record(
                desk="servicenow",
                fields=(
                    ("Group", "Platform Operations"), ("CI", "search"), ("Service", "Product Discovery"),
                    ("Category", "Product"), ("Impact", "2"), ("Urgency", "3"), ("Priority", "4"),
                ),
                says=(
                    r"^search failing since .*likely flag search",
                    r"CHANGED +flag search semantic-rerank[^%]*LIKELY [89]\d %",
                ),
                notes=(r"^Recovered .*, 1 alert clear",),
            ),
        ),
        blames="flag search semantic-rerank",
        nearest="deploy replenishment v1.17.4",
        lost_answers=1,
    )  # fmt: skip


def _errors(clock: Clock, *, ended: float | None = None) -> Post:
    rule = Rule(
        name="EmptyResults",
        labels={"service": "search", "metric": "error_rate"},
        severity="warning",
        summary="search answers 6 % of queries with an error",
        started_ago=ONSET,
        evidence={"value": "0.06", "baseline": "0.003"},
    )
    return alertmanager(clock, rule, ended_ago=ended)
