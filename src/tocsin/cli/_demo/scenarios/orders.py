"""A pipeline run renames a column; five features go null and stale, two models drift, one service feels it."""

from __future__ import annotations

from tocsin.cli._demo.producers import (
    Clock,
    Post,
    Rule,
    alertmanager,
    deployment,
    drift_report,
    measured,
    pipeline_run,
    validation,
)
from tocsin.cli._demo.scenario import Record, Scenario

JOB, DATASET = "ingest-orders", "warehouse.orders"
FEATURES = ("order_count_30d", "avg_basket_30d", "days_since_last_order", "refund_ratio_90d", "discount_share_30d")
COLUMNS = ("order_id", "customer_id", "ordered_at", "order_total", "discount", "refunded")
RUN = 8841
ONSET, RECOVERED = 98.0, 6.0
DRIFTS = (("churn", "4.2", 0.41, 97.5), ("demand", "7.1", 0.37, 97.2))


def orders(clock: Clock) -> Scenario:
    """Golden: one ticket for Data Engineering, the run blamed, and the data to be mended first."""
    renamed = tuple("total_eur" if column == "order_total" else column for column in COLUMNS)
    earlier = [
        post
        for n in range(1, 4)
        for post in pipeline_run(clock, JOB, DATASET, number=RUN - n, ago=112 + n * 720, columns=COLUMNS)
    ]
    culprit = pipeline_run(
        clock, JOB, DATASET, number=RUN, ago=112, columns=renamed, renamed={"order_total": "total_eur"}
    )
    innocent = (
        deployment(clock, "churn-api", "v3.1.1", ago=100, note="log format"),
        deployment(clock, "replenishment", "v1.18.0", ago=105),
        deployment(clock, "orders-api", "v5.2.0", ago=1500),
        *pipeline_run(clock, "ingest-clicks", "warehouse.clicks", number=2207, ago=160),
    )
    return Scenario(
        key="orders",
        title="A pipeline run breaks features, and models drift",
        story=f"Run {JOB} #{RUN} renames a column; 5 features go null and stale, then churn and demand drift.",
        mine="^Orders data",
        changes=(*earlier, *culprit, *innocent, validation(clock, "warehouse.clicks", ago=150, column="query")),
        alerts=(_stale(clock), _nulls(clock), *_drifts(clock)),
        later=(_service(clock),),
        recovery=(
            _stale(clock, ended=RECOVERED + 1),
            _nulls(clock, ended=RECOVERED),
            *_drifts(clock, passed=RECOVERED),
            _service(clock, ended=RECOVERED),
        ),
        records=(
            Record(
                desk="servicenow",
                fields=(
                    ("Group", "Data Engineering"), ("CI", JOB), ("Service", "Customer Retention"),
                    ("Category", "Data"), ("Impact", "2"), ("Urgency", "2"), ("Priority", "3"),
                    ("Channel", "monitoring"),
                ),
                says=(
                    r"^Orders data broken since .*: churn, demand models on stale features$",
                    r"WHAT +5 features from warehouse\.orders: nulls 0\.4 % → 31 %, 3 h stale",
                    r"HIT +churn 4\.2, demand 7\.1 \(prediction drift\)",
                    rf"CHANGED +run {JOB} #{RUN}, .* \(14 min before\): order_total renamed[^%]*LIKELY [89]\d %",
                    r"No known change \d %",
                    r"DO FIRST +Fix data:.*Do not\s+retrain",
                    r"OWNER +Data Engineering owns",
                ),
                notes=(r"\+1 service \(churn-api\)", r"^Recovered .* after 1 h 32 m, 13 alerts clear"),
            ),
        ),
        blames=f"run {JOB} #{RUN}",
        nearest="deploy churn-api v3.1.1",
    )  # fmt: skip


def _stale(clock: Clock, *, ended: float | None = None) -> Post:
    rules = [
        Rule(
            name="FeatureStale",
            labels={"feature": feature, "metric": "feature_age_minutes"},
            severity="error",
            summary=f"{feature} is 3 h old",
            started_ago=ONSET,
            evidence={"value": "180", "threshold": "60"},
        )
        for feature in FEATURES
    ]
    return alertmanager(clock, *rules, ended_ago=ended)


def _nulls(clock: Clock, *, ended: float | None = None) -> Post:
    over = {} if ended is None else {"status": "resolved", "ends_at": clock.iso(ended)}
    return measured(
        [
            {
                "name": "null-rate", "subject": f"feature:{feature}", "symptom": "data_quality", "severity": "error",
                "summary": f"{feature}: 31 % nulls", "starts_at": clock.iso(ONSET - 0.2), "metric": "null_rate",
                "observed": 0.31, "baseline": 0.004, "threshold": 0.02, "sample_size": 48_000, **over,
            }
            for feature in FEATURES
        ]
    )  # fmt: skip


def _drifts(clock: Clock, *, passed: float | None = None) -> tuple[Post, ...]:
    return tuple(
        drift_report(
            clock, model, version, column="prediction", threshold=0.2,
            observed=observed if passed is None else 0.03, ago=ago if passed is None else passed,
            status="FAIL" if passed is None else "SUCCESS",
        )
        for model, version, observed, ago in DRIFTS
    )  # fmt: skip


def _service(clock: Clock, *, ended: float | None = None) -> Post:
    rule = Rule(
        name="ScoresOutOfRange",
        labels={"service": "churn-api"},
        severity="warning",
        summary="churn-api answers scores outside their usual range",
        started_ago=90,
    )
    return alertmanager(clock, rule, ended_ago=ended)
