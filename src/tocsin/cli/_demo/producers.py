"""What the real producers' webhooks look like: bodies as each tool documents them, and how each one signs.

Times are told as minutes before `now`, so that the same story can be told on any day at any hour.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Json = dict[str, Any]

OWNER = "shop"
"""The GitHub organisation of the demo's company."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One webhook: which producer sends it, and what."""

    source: str
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clock:
    """Minutes before `now` as moments and as the producers write them."""

    now: datetime

    def at(self, minutes_ago: float) -> datetime:
        """The moment so many minutes before now."""
        return self.now - timedelta(minutes=minutes_ago)

    def iso(self, minutes_ago: float) -> str:
        """`2026-11-21T09:42:00Z`."""
        return self.at(minutes_ago).strftime("%Y-%m-%dT%H:%M:%SZ")


def signed(post: Post, raw: bytes, secret: str, *, now: datetime) -> dict[str, str]:
    """The request's headers with the credential that this producer sends."""
    headers = {"Content-Type": "application/json", **post.headers}
    if post.source == "github":
        headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    elif post.source == "mlflow":
        delivery, at = str(uuid5(NAMESPACE_URL, hashlib.sha256(raw).hexdigest())), str(int(now.timestamp()))
        digest = hmac.new(secret.encode(), f"{delivery}.{at}.".encode() + raw, hashlib.sha256).digest()
        headers |= {
            "X-MLflow-Delivery-Id": delivery,
            "X-MLflow-Timestamp": at,
            "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
        }
    else:
        headers["Authorization"] = f"Bearer {secret}"
    return headers


# --- changes ---


def deployment(clock: Clock, service: str, version: str, *, ago: float, by: str = "mara-k", note: str = "") -> Post:
    """GitHub's deployment_status of a deployment that went well."""
    number = int(hashlib.sha256(f"{service} {version}".encode()).hexdigest()[:7], 16)
    at, person = clock.iso(ago), {"login": by}
    home = f"https://github.example.com/{OWNER}/{service}"
    body: Json = {
        "action": "created",
        "deployment_status": {
            "id": number + 1, "state": "success", "created_at": at, "updated_at": at, "creator": person,
            "description": note, "environment": "production", "target_url": "",
            "log_url": f"{home}/actions/runs/{number}",
        },
        "deployment": {
            "id": number, "sha": hashlib.sha1(version.encode(), usedforsecurity=False).hexdigest(), "ref": version,
            "task": "deploy", "environment": "production", "production_environment": True, "description": None,
            "created_at": at, "updated_at": at, "creator": person, "payload": {},
        },
        "repository": {"id": 7_000, "name": service, "full_name": f"{OWNER}/{service}", "html_url": home},
        "sender": person,
    }  # fmt: skip
    delivery = str(uuid5(NAMESPACE_URL, f"{home} {number}"))
    return Post(
        source="github", body=body, headers={"X-GitHub-Event": "deployment_status", "X-GitHub-Delivery": delivery}
    )


def pipeline_run(
    clock: Clock,
    job: str,
    dataset: str,
    *,
    number: int,
    ago: float,
    columns: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> tuple[Post, Post]:
    """OpenLineage's START and, two minutes later, COMPLETE of an Airflow DAG that writes one dataset; `renamed`
    (before → after) tells columns that the run renamed in place, as its column lineage shows it."""
    run_id = str(uuid5(NAMESPACE_URL, f"{job} {number}"))
    place = {"namespace": "snowflake://shop", "name": dataset}
    output: Json = {**place, "facets": {}}
    if columns:
        output["facets"]["schema"] = {"fields": [{"name": each, "type": "NUMERIC"} for each in columns]}
        state = "ALTER" if renamed else "OVERWRITE"
        output["facets"]["lifecycleStateChange"] = {"lifecycleStateChange": state}
    if renamed:
        output["facets"]["columnLineage"] = {
            "fields": {
                after: {
                    "inputFields": [
                        {**place, "field": before, "transformations": [{"type": "DIRECT", "subtype": "IDENTITY"}]}
                    ]
                }
                for before, after in renamed.items()
            }
        }

    def event(kind: str, at: float, outputs: list[Json]) -> Post:
        log = f"https://airflow.example.com/dags/{job}/runs/{number}"
        body: Json = {
            "eventType": kind,
            "eventTime": clock.iso(at),
            "run": {"runId": run_id, "facets": {"airflow": {"taskInstance": {"log_url": log}}}},
            "job": {
                "namespace": "airflow-production",
                "name": job,
                "facets": {
                    "jobType": {"integration": "AIRFLOW", "jobType": "DAG", "processingType": "BATCH"},
                    "sourceCodeLocation": {"type": "git", "version": str(number)},
                    "ownership": {"owners": [{"name": "data-engineering"}]},
                },
            },
            "inputs": [],
            "outputs": outputs,
            "producer": "https://github.com/apache/airflow/tree/providers-openlineage/2.1.0",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        }
        return Post(source="openlineage", body=body)

    return event("START", ago, []), event("COMPLETE", ago - 2, [output])


def promotion(clock: Clock, model: str, version: str, *, ago: float) -> Post:
    """MLflow's webhook when the alias `champion` moves to this version."""
    body: Json = {
        "entity": "model_version_alias",
        "action": "created",
        "timestamp": clock.at(ago).isoformat(),
        "data": {"name": model, "alias": "champion", "version": version},
    }
    return Post(source="mlflow", body=body)


def flag(clock: Clock, service: str, name: str, *, ago: float, by: str = "jo") -> Post:
    """Our own JSON, as a feature flag service's script posts it."""
    body: Json = {
        "kind": "feature_flag.changed",
        "subject": f"service:{service}",
        "version": name,
        "occurred_at": clock.iso(ago),
        "outcome": "success",
        "author": by,
        "url": f"https://flags.example.com/{name}",
        "summary": f"{name} switched on for all visitors",
    }
    return Post(source="native_change", body=body)


# --- alerts ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alert of Prometheus: labels tell what it is about, annotations carry the evidence."""

    name: str
    labels: Mapping[str, str]
    summary: str
    severity: str = "critical"
    started_ago: float
    evidence: Mapping[str, str] = field(default_factory=dict)


def alertmanager(clock: Clock, *rules: Rule, ended_ago: float | None = None) -> Post:
    """One group of Alertmanager's webhook, firing, or resolved at `ended_ago`."""
    status = "firing" if ended_ago is None else "resolved"
    ends = "0001-01-01T00:00:00Z" if ended_ago is None else clock.iso(ended_ago)
    alerts = [
        {
            "status": status,
            "labels": {"alertname": rule.name, "severity": rule.severity, **rule.labels},
            "annotations": {"summary": rule.summary, **rule.evidence},
            "startsAt": clock.iso(rule.started_ago),
            "endsAt": ends,
            "generatorURL": "https://prometheus.example.com/graph",
            "fingerprint": hashlib.sha256(repr((rule.name, sorted(rule.labels.items()))).encode()).hexdigest()[:16],
        }
        for rule in rules
    ]
    body: Json = {
        "version": "4", "groupKey": f"{{}}:{{alertname={rules[0].name!r}}}", "truncatedAlerts": 0, "status": status,
        "receiver": "tocsin", "groupLabels": {"alertname": rules[0].name}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "https://alertmanager.example.com", "alerts": alerts,
    }  # fmt: skip
    return Post(source="alertmanager", body=body)


def measured(alerts: Sequence[Mapping[str, object]]) -> Post:
    """Our own JSON for several alerts, as a feature store's monitor posts them."""
    return Post(source="native_alert", body={"alerts": [dict(each) for each in alerts]})


def drift_report(
    clock: Clock,
    model: str,
    version: str,
    *,
    column: str,
    observed: float,
    threshold: float,
    ago: float,
    status: str = "FAIL",
    rows: int = 24_000,
) -> Post:
    """Evidently's report of one drift test, in the envelope that names model and time."""
    config = {"type": "evidently:metric_v2:ValueDrift", "column": column, "method": "psi", "threshold": threshold}
    name = f"ValueDrift(column={column},method=psi,threshold={threshold})"
    body: Json = {
        "source": "evidently", "model": model, "model_version": version, "prediction": "prediction",
        "timestamp": clock.at(ago).isoformat(), "sample_size": rows,
        "url": f"https://evidently.example.com/{model}",
        "report": {
            "metrics": [{"id": "m1", "metric_name": name, "config": config, "value": observed}],
            "tests": [
                {
                    "id": "drift", "name": f"Drift of {column}", "status": status,
                    "description": f"Drift score is {observed:.2f}, threshold {threshold:.2f}.",
                    "metric_config": {"metric_id": "m1", "params": config}, "test_config": {"threshold": threshold},
                }
            ],
        },
    }  # fmt: skip
    return Post(source="evidently", body=body)


def validation(clock: Clock, dataset: str, *, ago: float, column: str) -> Post:
    """A Great Expectations validation that passed: it proves that this dataset is healthy."""
    expectation = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": column}, "severity": "critical"}
    body: Json = {
        "source": "great_expectations",
        "dataset": dataset,
        "timestamp": clock.at(ago).isoformat(),
        "report": {
            "success": True,
            "suite_name": f"{dataset}.nightly",
            "results": [
                {
                    "success": True,
                    "expectation_config": expectation,
                    "result": {"element_count": 120_000, "unexpected_count": 0, "unexpected_percent": 0.0},
                }
            ],
            "meta": {},
        },
    }
    return Post(source="great_expectations", body=body)
