"""Head, runbook, category, also affected, recent changes, outages; and what to do first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.decide.tickets import (
    CALIBRATION,
    DEPLOY,
    FLAG,
    LATE,
    ORDERS,
    OTHER,
    PROMOTION,
    PROVIDER,
    RUN,
    STORM,
    Case,
    at,
    blame,
    catalog_of,
    change,
    entry,
    firing,
)
from tocsin.domain.alert import Sample, Severity, Symptom
from tocsin.domain.catalog import Catalog, ModelCard
from tocsin.domain.change import ChangeKind
from tocsin.domain.incident import AdviceKind, Category, Enrichment, Similar
from tocsin.domain.policy import Outage, Policy
from tocsin.domain.subject import Subject


def told(case: Case, **given: Any) -> Enrichment:
    found = replace(case, **given).incident().enrichment
    assert found is not None
    return found


# --- head ---


def test_a_likely_cause_above_the_alerts_is_the_head() -> None:
    assert told(ORDERS).head == "job:ingest-orders"


def test_without_a_likely_cause_the_most_upstream_alert_is_the_head() -> None:
    assert told(PROVIDER).head == "provider:acme-pay"
    possible = blame("09:42", (RUN, 0.6), no_change=0.4)
    assert told(ORDERS, attribution=possible).head == "feature:order_age"


def test_a_likely_change_elsewhere_is_not_the_head() -> None:
    assert told(ORDERS, attribution=blame("09:42", (OTHER, 0.9), no_change=0.1)).head.kind == "feature"


def test_among_equals_the_worse_severity_then_the_name_decides() -> None:
    pair = (firing("service:b", "10:00", Symptom.ERRORS), firing("service:a", "10:00", Symptom.ERRORS))
    assert told(Case(members=pair, catalog=Catalog())).head == "service:a"
    worse = (pair[1], firing("service:b", "10:00", Symptom.ERRORS, severity=Severity.CRITICAL))
    assert told(Case(members=worse, catalog=Catalog())).head == "service:b"


def test_a_ring_of_dependencies_still_has_a_head() -> None:
    ring = catalog_of(entry("service:a", "service:b"), entry("service:b", "service:a"))
    pair = (firing("service:b", "10:00", Symptom.ERRORS), firing("service:a", "10:00", Symptom.ERRORS))
    case = Case(members=pair, catalog=ring)
    assert told(case).head == "service:a"
    assert case.wanted().body


# --- the rest ---


@pytest.mark.parametrize(
    ("case", "category"),
    [
        (ORDERS, Category.DATA),
        (STORM, Category.PLATFORM),
        (CALIBRATION, Category.MODEL),
        (PROVIDER, Category.EXTERNAL),
        (LATE, Category.DATA),
        (replace(STORM, attribution=blame("14:05", (FLAG, 0.5), no_change=0.3)), Category.PRODUCT),
        (replace(CALIBRATION, attribution=None), Category.MODEL),
    ],
)
def test_the_category_comes_from_cause_symptom_and_kind(case: Case, category: Category) -> None:
    assert told(case).category is category


def test_the_own_runbook_comes_before_the_starter() -> None:
    starters = Policy(
        runbooks={Symptom.DATA_QUALITY: "https://wiki.example/nulls", Symptom.FRESHNESS: "https://wiki.example/late"}
    )
    assert told(ORDERS, policy=starters).runbook_why == "runbook of job:ingest-orders"
    found = told(LATE, policy=starters)
    assert found.runbook == "https://wiki.example/late"
    assert found.runbook_why == "starter for freshness: dataset:dwh.page_views has none of its own"
    assert told(LATE, policy=Policy()).runbook == ""


def test_also_affected_is_nearest_first_with_mapped_impact_only() -> None:
    found = told(STORM)
    assert [(a.subject, a.hops, a.alerting, a.impact) for a in found.blast] == [
        ("service:shop", 1, True, ""),
        ("service:app", 1, False, ""),
    ]
    assert found.impact == "Promised: 99.9 % of orders within 2 s"
    assert told(ORDERS).impact == "Impact not mapped"


def test_also_affected_is_capped() -> None:
    catalog = catalog_of(entry("service:x"), *[entry(f"service:s{n}", "service:x") for n in range(80)])
    case = Case(members=(firing("service:x", "10:00", Symptom.ERRORS),), catalog=catalog)
    assert len(told(case).blast) == 50


def test_recent_changes_are_rollouts_on_the_way_newest_first() -> None:
    config = change(ChangeKind.ENVIRONMENT_MODIFIED, "job:ingest-orders", "09:30")
    later = change(ChangeKind.SERVICE_DEPLOYED, "job:ingest-orders", "11:00")
    earlier = [change(ChangeKind.PIPELINERUN_FINISHED, "job:ingest-orders", f"0{n}:28") for n in range(1, 9)]
    found = told(ORDERS, changes=(config, later, OTHER, *earlier, RUN))
    assert [c.occurred_at for c in found.recent] == [at(t) for t in ("09:28", "08:28", "07:28", "06:28", "05:28")]


def test_only_outages_that_last_into_the_incident_and_lie_below_it_count() -> None:
    def outage(subject: str, start: str, end: str | None) -> Outage:
        return Outage(subject=Subject(subject), starts_at=at(start), ends_at=at(end) if end else None, note=start)

    policy = Policy(
        outages=(
            outage("job:ingest-orders", "09:00", None),
            outage("job:ingest-orders", "07:00", "08:00"),
            outage("job:ingest-orders", "12:00", None),
            outage("job:ingest-visits", "09:00", None),
        )
    )
    assert told(ORDERS, policy=policy).outages == ("ingest-orders has a known outage (09:00)",)


def test_samples_are_merged_and_similar_ones_passed_on_both_capped() -> None:
    many = tuple(
        firing(f"service:s{n}", "10:00", Symptom.ERRORS, samples=(Sample(request_id=f"r-{n // 2}"),)) for n in range(14)
    )
    found = told(Case(members=many, catalog=Catalog(), similar=[Similar(number=f"TOC-{n}") for n in range(5)]))
    assert [s.request_id for s in found.samples] == ["r-0", "r-1", "r-2", "r-3", "r-4"]
    assert [s.number for s in found.similar] == ["TOC-0", "TOC-1", "TOC-2"]


# --- advice ---


def kinds(case: Case, **given: Any) -> list[AdviceKind]:
    found = told(case, **given).advice
    assert all(advice.text and advice.because for advice in found)
    return [advice.kind for advice in found]


def drift(symptom: Symptom = Symptom.FEATURE_DRIFT, **given: Any) -> Case:
    card = ModelCard(version="4.3", training_snapshot="orders@2031-01-01")
    catalog = catalog_of(entry("model:churn", model=card))
    return Case(members=(firing("model:churn", "10:00", symptom, **given),), catalog=catalog)


def test_data_that_a_run_broke_are_fixed_and_nothing_is_retrained() -> None:
    first = told(ORDERS).advice[0]
    assert first.kind is AdviceKind.FIX_DATA
    assert first.text.endswith("Do not retrain.")
    assert kinds(ORDERS, attribution=blame("09:42", (RUN, 0.5), no_change=0.4)) == [
        AdviceKind.FIX_DATA,
        AdviceKind.INVESTIGATE,
    ]


def test_a_likely_deploy_is_rolled_back_a_possible_one_looked_at() -> None:
    assert told(STORM).advice[0].text == "Roll back checkout from 4.8.1 to 4.8.0."
    assert kinds(STORM, attribution=blame("14:05", (DEPLOY, 0.5), no_change=0.4)) == [AdviceKind.INVESTIGATE]


def test_a_model_is_rolled_back_only_to_a_version_known_to_be_safe() -> None:
    assert kinds(CALIBRATION) == [AdviceKind.ROLLBACK, AdviceKind.RECALIBRATE]
    unknown = catalog_of(entry("model:churn", model=ModelCard(version="4.3")))
    assert kinds(CALIBRATION, catalog=unknown) == [AdviceKind.RECALIBRATE]
    worse = (firing("model:churn", "02:00", Symptom.PERFORMANCE),)
    assert kinds(CALIBRATION, catalog=unknown, members=worse) == [AdviceKind.INVESTIGATE]


def test_bad_calibration_with_intact_accuracy_is_recalibrated() -> None:
    assert kinds(drift(Symptom.CALIBRATION)) == [AdviceKind.RECALIBRATE]


@pytest.mark.parametrize("symptom", [Symptom.PERFORMANCE, Symptom.CONCEPT_DRIFT])
def test_lost_accuracy_without_data_fault_or_change_is_retrained(symptom: Symptom) -> None:
    case = drift(symptom)
    assert kinds(case) == [AdviceKind.RETRAIN]
    assert "orders@2031-01-01" in told(case).advice[0].text
    with_nulls = (*case.members, firing("feature:x", "10:00", Symptom.DATA_QUALITY))
    assert kinds(case, members=with_nulls)[0] is AdviceKind.FIX_DATA
    assert AdviceKind.RETRAIN not in kinds(case, members=with_nulls)


def test_drift_alone_waits_and_few_rows_mean_a_threshold() -> None:
    assert kinds(drift()) == [AdviceKind.WAIT, AdviceKind.ADJUST_THRESHOLD]
    assert kinds(drift(sample_size=120)) == [AdviceKind.ADJUST_THRESHOLD, AdviceKind.WAIT]
    assert kinds(drift(sample_size=5_000)) == [AdviceKind.WAIT, AdviceKind.ADJUST_THRESHOLD]


def test_an_outside_fault_and_a_known_outage_wait() -> None:
    assert kinds(PROVIDER) == [AdviceKind.WAIT]
    outage = Outage(subject=Subject("model:churn"), starts_at=at("09:00"))
    assert kinds(drift(), policy=Policy(outages=(outage,))) == [AdviceKind.WAIT]


@pytest.mark.parametrize(
    ("kind", "subject", "text"),
    [
        (ChangeKind.FEATURE_FLAG_CHANGED, "service:checkout", "Switch flag checkout back."),
        (ChangeKind.ENVIRONMENT_MODIFIED, "service:checkout", "Revert the configuration change of checkout."),
        (ChangeKind.SERVICE_DEPLOYED, "service:checkout", "Roll back checkout from 7 to the version before."),
        (ChangeKind.CHANGE_REQUEST, "service:checkout", "Look at planned change checkout #7 and what it changed."),
        (ChangeKind.FEATURE_OUTAGE, "feature:x", "Fix data: bring x back, then fill the gap."),
    ],
)
def test_each_kind_of_change_has_its_way_back(kind: ChangeKind, subject: str, text: str) -> None:
    cause = change(kind, subject, "14:00", version="7")
    assert told(STORM, attribution=blame("14:05", (cause, 0.9), no_change=0.1)).advice[0].text == text


@pytest.mark.parametrize("symptom", list(Symptom))
def test_there_is_always_a_first_step(symptom: Symptom) -> None:
    for attribution in (None, blame("10:00", no_change=1.0), blame("10:00", (PROMOTION, 0.5), no_change=0.5)):
        assert 1 <= len(kinds(drift(symptom), attribution=attribution)) <= 3


def test_old_changes_do_not_come_back_from_the_future() -> None:
    future = replace(RUN, occurred_at=ORDERS.now + timedelta(minutes=1))
    assert told(ORDERS, changes=(future,)).recent == ()
