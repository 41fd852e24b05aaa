"""Believable incidents, whole: alerts, catalogue, causes; each becomes one ticket in the golden files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tocsin.decide.compose import compose
from tocsin.decide.enrich import enrich
from tocsin.decide.redact import Redactor
from tocsin.decide.route import route
from tocsin.domain.alert import Alert, AlertState, Distribution, KeyReports, Sample, Severity, Status, Symptom
from tocsin.domain.catalog import Catalog, Criticality, Entry, ModelCard, Owns, Team
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Attribution, Band, Incident, IncidentState, Similar, Suspect
from tocsin.domain.policy import Condition, Outage, Policy, Redaction, Rule, Want
from tocsin.domain.record import Wanted
from tocsin.domain.subject import Subject

DAY = datetime(2031, 2, 3, tzinfo=UTC)
LINKS = {"incident": "https://tocsin.example/i/1042", "confirm": "https://tocsin.example/i/1042/cause"}
REDACTOR = Redactor(Redaction())


def at(clock: str) -> datetime:
    """That wall time of the day, UTC."""
    hours, minutes = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


def firing(subject: str, clock: str, symptom: Symptom, **given: Any) -> AlertState:
    """A firing alert that began then."""
    facts: dict[str, Any] = {
        "hook": "monitors", "source": "alertmanager", "environment": "production", "name": symptom.value,
        "severity": Severity.ERROR, "status": Status.FIRING, "summary": f"{symptom.value} on {subject}",
        "received_at": at(clock), "starts_at": at(clock),
    }  # fmt: skip
    alert = Alert(subject=Subject(subject), symptom=symptom, **{**facts, **given})
    return AlertState(
        alert=alert,
        status=alert.status,
        episode=1,
        starts_at=at(clock),
        last_report_at=at(clock),
        last_received_at=at(clock),
    )


def ended(member: AlertState, clock: str) -> AlertState:
    return replace(member, status=Status.RESOLVED, ends_at=at(clock))


def change(kind: ChangeKind, subject: str, clock: str, **given: Any) -> Change:
    facts: dict[str, Any] = {
        "id": f"{kind}/{subject}/{clock}", "hook": "ci", "source": "cdevents", "environment": "production",
        "received_at": at(clock), "outcome": ChangeOutcome.SUCCESS,
    }  # fmt: skip
    return Change(kind=kind, subject=Subject(subject), occurred_at=at(clock), **{**facts, **given})


def blame(onset: str, *causes: tuple[Change, float], no_change: float, **given: Any) -> Attribution:
    """The judgement, with bands and lags from the numbers; `evidence` goes to the first."""
    evidence: dict[str, Any] = given.pop("evidence", {})
    suspects = [
        Suspect(change=c, probability=p, band=band(p), lag=at(onset) - c.occurred_at, **(evidence if not place else {}))
        for place, (c, p) in enumerate(causes)
    ]
    facts: dict[str, Any] = {"candidates": 12, "scorer": "test-1", "digest": "0" * 16, "low_evidence": False}
    return Attribution(
        suspects=tuple(suspects),
        no_change=no_change,
        other=max(0.0, round(1 - no_change - sum(p for _, p in causes), 9)),
        onset_at=at(onset),
        scored_at=at(onset),
        **{**facts, **given},
    )


def band(probability: float) -> Band:
    return Band.LIKELY if probability >= 0.8 else Band.SUSPECT if probability >= 0.3 else Band.UNLIKELY


def entry(subject: str, *depends_on: str, **given: Any) -> Entry:
    return Entry(subject=Subject(subject), depends_on=tuple(map(Subject, depends_on)), **given)


def catalog_of(*entries: Entry, **given: Any) -> Catalog:
    return Catalog(entries={e.subject: e for e in entries}, **{"catch_all": "platform", **given})


def team(name: str, **given: Any) -> Team:
    return Team(name=name, title=given.pop("title", name.replace("-", " ").title()), **given)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One incident and everything around it."""

    members: tuple[AlertState, ...]
    catalog: Catalog
    attribution: Attribution | None = None
    policy: Policy = field(default_factory=Policy)
    changes: tuple[Change, ...] = ()
    similar: Sequence[Similar] = ()
    environment: str = "production"
    now: datetime = field(default=at("10:00"))
    given: dict[str, Any] = field(default_factory=dict)

    def incident(self) -> Incident:
        """Enriched and routed, as it reaches the composer."""
        bare = Incident(
            id=UUID(int=7),
            number=1042,
            environment=self.environment,
            opened_at=min(m.starts_at for m in self.members),
            members=self.members,
            attribution=self.attribution,
            **{"state": IncidentState.OPEN, **self.given},
        )
        told = enrich(bare, self.catalog, self.policy, changes=self.changes, similar=self.similar, now=self.now)
        enriched = replace(bare, enrichment=told)
        return replace(enriched, routing=route(enriched, self.catalog, self.policy, now=self.now))

    def wanted(self, **given: Any) -> Wanted:
        facts: dict[str, Any] = {
            "catalog": self.catalog, "redactor": REDACTOR, "key": "k" * 32, "destination": "servicenow",
            "generation": 1, "previous": "", "links": LINKS, "now": self.now,
        }  # fmt: skip
        return compose(self.incident(), **{**facts, **given})


# --- 1: a run renames a column, five features go null and stale, two models drift ---

FEATURES = [f"feature:order_{name}" for name in ("total", "count", "age", "basket", "share")]
CARD = {"servicenow": {"assignment_group": "Data Engineering"}}
ORDERS_CATALOG = catalog_of(
    entry("job:ingest-orders", runbook="https://wiki.example/orders"),
    entry("dataset:warehouse.orders", "job:ingest-orders"),
    *[entry(f, "dataset:warehouse.orders") for f in FEATURES],
    *[entry(f"feature:visit_{n}", "job:ingest-visits") for n in ("age", "count", "length")],
    entry("job:ingest-visits"),
    entry("model:churn", *FEATURES[:3], model=ModelCard(version="4.2"), business_service="Customer Retention"),
    entry("model:demand", *FEATURES[2:], model=ModelCard(version="7.1")),
    teams={"data-engineering": team("data-engineering", destinations=CARD)},
    owns=(Owns(pattern="job:ingest-*", team="data-engineering", origin="teams/data-engineering.yaml:9"),),
)
RUN = change(
    ChangeKind.PIPELINERUN_FINISHED, "job:ingest-orders", "09:28", version="8841", summary="order_total renamed",
    url="https://airflow.example/runs/8841", touches=(Subject("dataset:warehouse.orders"),),
)  # fmt: skip
OTHER = change(ChangeKind.SERVICE_DEPLOYED, "service:churn-api", "09:40", version="311")
NULLS = {"metric": "null_share", "baseline": 0.004, "observed": 0.31}
STALE = {"metric": "staleness_seconds", "observed": 10_800.0, "threshold": 3600.0}
ORDERS = Case(
    members=(
        *[firing(f, "09:42", Symptom.DATA_QUALITY, **NULLS) for f in FEATURES],
        *[firing(f, "09:44", Symptom.FRESHNESS, **STALE) for f in FEATURES],
        firing("model:churn", "09:50", Symptom.PREDICTION_DRIFT, metric="psi", observed=0.31),
        firing("model:demand", "09:55", Symptom.PREDICTION_DRIFT, metric="psi", observed=0.27),
    ),
    catalog=ORDERS_CATALOG,
    attribution=blame("09:42", (RUN, 0.86), (OTHER, 0.03), no_change=0.08),
    changes=(RUN, OTHER),
    similar=(Similar(number="TOC-977", record_number="INC0010021"),),
    policy=Policy(defaults={Want.TICKET: ("servicenow",), Want.PAGE: ("pagerduty",)}),
)

# --- 2: a deploy makes forty pods slow; the shop in front of it fails ---

DEPLOY = change(
    ChangeKind.SERVICE_DEPLOYED, "service:checkout", "13:51", version="4.8.1", previous_version="4.8.0",
    url="https://deploy.example/d/91", ticket="CHG0030001", author="ann@mail.example.org",
)  # fmt: skip
STORM = Case(
    members=(
        *[
            firing("service:checkout", "14:05", Symptom.LATENCY, resource=f"pod-{n:02}", labels={"pod": f"pod-{n:02}"},
                   metric="p99_latency_seconds", baseline=0.18, observed=1.9 + n / 100, severity=Severity.CRITICAL)
            for n in range(40)
        ],
        firing("service:shop", "14:07", Symptom.ERRORS, metric="error_rate", baseline=0.002, observed=0.041),
    ),
    catalog=catalog_of(
        entry("service:checkout", "service:payments", criticality=Criticality.CRITICAL, owner="checkout-team",
              contract="99.9 % of orders within 2 s", origin="services.yaml:4",
              runbook="https://wiki.example/checkout"),
        entry("service:shop", "service:checkout", business_service="Web shop"),
        entry("service:app", "service:checkout"),
        entry("service:payments"),
        teams={"checkout-team": team("checkout-team", timezone="Europe/Berlin")},
    ),
    attribution=blame(
        "14:05", (DEPLOY, 0.93), no_change=0.06,
        evidence={"expected": 3, "seen": 2, "typical_lag": (timedelta(minutes=4), timedelta(minutes=40)),
                  "against": ("service:app is silent",)},
    ),
    policy=Policy(
        rules=(Rule(name="critical-page", want=Want.PAGE, when=Condition(severity=Severity.CRITICAL)),),
        defaults={Want.TICKET: ("servicenow",), Want.PAGE: ("pagerduty",)},
    ),
    changes=(DEPLOY,),
    now=at("14:10"),
)  # fmt: skip

# --- 3: a promoted model is badly calibrated, its ranking holds ---

PROMOTION = change(
    ChangeKind.MODEL_PROMOTED, "model:churn", "01:30", version="4.3", url="https://registry.example/churn/4.3"
)
CALIBRATION = Case(
    members=(
        firing("model:churn", "02:00", Symptom.CALIBRATION, metric="calibration_error", baseline=0.03, observed=0.12,
               model_version="4.3", segment="plan=annual", severity=Severity.WARNING,
               samples=(Sample(request_id="r-1", trace_url="https://trace.example/r-1"),)),
    ),
    catalog=catalog_of(
        entry("model:churn", owner="ml-retention", origin="models.yaml:12", kpi="Retention offers, 40 k EUR a week",
              model=ModelCard(version="4.3", previous_version="4.2", rollback="mlctl promote churn 4.2")),
        teams={"ml-retention": team("ml-retention")},
    ),
    attribution=blame("02:00", (PROMOTION, 0.82), no_change=0.12, low_evidence=True),
    changes=(PROMOTION,),
    now=at("02:05"),
)  # fmt: skip

# --- 4: a provider is down, nobody changed anything ---

FLAG = change(ChangeKind.FEATURE_FLAG_CHANGED, "service:wallet", "15:10", version="fast-pay")
PROVIDER = Case(
    members=(
        firing("provider:acme-pay", "16:20", Symptom.AVAILABILITY, metric="success_ratio", baseline=0.998,
               observed=0.12, severity=Severity.CRITICAL),
        firing("service:payments", "16:21", Symptom.ERRORS, metric="error_rate", baseline=0.001, observed=0.64),
    ),
    catalog=catalog_of(
        entry("provider:acme-pay"),
        entry("service:payments", "provider:acme-pay", owner="payments", origin="services.yaml:30"),
        entry("service:checkout", "service:payments"),
        teams={"payments": team("payments")},
    ),
    attribution=blame("16:20", (FLAG, 0.12), no_change=0.74),
    policy=Policy(outages=(Outage(subject=Subject("provider:acme-pay"), starts_at=at("16:15"), ticket="ACME-5512"),)),
    now=at("16:25"),
)  # fmt: skip

# --- 5: only late ---

LATE = Case(
    members=(
        firing("dataset:dwh.page_views", "06:00", Symptom.FRESHNESS, metric="staleness_minutes", observed=95.0,
               threshold=60.0, severity=Severity.WARNING),
    ),
    catalog=catalog_of(
        entry("job:load-views"),
        entry("dataset:dwh.page_views", "job:load-views"),
        owns=(Owns(pattern="job:load-*", team="web-data", origin="teams/web-data.yaml:3"),),
        teams={"web-data": team("web-data")},
    ),
    policy=Policy(runbooks={Symptom.FRESHNESS: "https://wiki.example/late-data"}),
    attribution=blame("06:00", no_change=1.0, candidates=0),
    now=at("06:05"),
)  # fmt: skip

# --- 6: the first again, recovered ---

RECOVERED = replace(
    ORDERS,
    members=tuple(ended(m, "11:14") for m in ORDERS.members),
    given={"state": IncidentState.RESOLVED, "resolved_at": at("11:14")},
    now=at("11:20"),
)

# --- 7: twelve of fifty features shifted, nobody changed anything; the job has said so three times ---

AGES = ("0 … 20", "20 … 40", "40 … 60", "60 … 80")


def shifted(name: str, now: tuple[float, ...]) -> AlertState:
    """A drift job's third report in a row, with both sides' shares and row counts."""
    spread = Distribution(labels=AGES, reference=(0.2, 0.3, 0.3, 0.2), current=now, reference_size=5_000)
    member = firing(f"feature:{name}", "07:00", Symptom.FEATURE_DRIFT, metric="psi", observed=0.31, threshold=0.1,
                    sample_size=400, distribution=spread, severity=Severity.WARNING)  # fmt: skip
    hours = (at("05:00"), at("06:00"), at("07:00"))
    return replace(member, keys=(KeyReports(key="", severity=Severity.WARNING, starts=hours),))


LOCALE = "device_locale"
DRIFTED = Case(
    members=(shifted(LOCALE, (0.05, 0.2, 0.35, 0.4)), *[shifted(f"f{n}", (0.1, 0.25, 0.35, 0.3)) for n in range(11)]),
    catalog=catalog_of(
        entry("model:churn", f"feature:{LOCALE}", *[f"feature:f{n}" for n in range(49)], owner="ml-retention"),
        *[entry(f"feature:f{n}") for n in range(49)],
        entry(f"feature:{LOCALE}", owner="ml-retention", origin="features.yaml:9"),
        teams={"ml-retention": team("ml-retention")},
    ),
    attribution=blame("07:00", no_change=1.0, candidates=0),
    now=at("07:05"),
)

CASES = {
    "orders": ORDERS,
    "storm": STORM,
    "calibration": CALIBRATION,
    "provider": PROVIDER,
    "late": LATE,
    "recovered": RECOVERED,
    "drifted": DRIFTED,
}
