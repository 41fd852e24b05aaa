"""Who changed what in Google Cloud? Entries of the audit log.

A long operation has a first and a last entry under one id: one change. What only reads is none.
https://cloud.google.com/logging/docs/audit/understanding-audit-logs
"""

from __future__ import annotations

import re
from typing import Any

from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._cloud import Occasion, dig, facts, first_line, last_part, name_in, outcome_of, rows, time_in

READS = re.compile(
    r"(^|[.:])(get|list|search|query|test|check|read|watch|fetch|lookup|aggregated|predict)", re.IGNORECASE
)

METHODS: tuple[tuple[str, ChangeKind, str], ...] = (
    (r"EndpointService\.(Deploy|Undeploy|MutateDeployed)Model", ChangeKind.MODEL_DEPLOYED, "model"),
    (r"ModelService\.(UploadModel|CopyModel)", ChangeKind.MODEL_REGISTERED, "model"),
    (r"ModelService\.MergeVersionAliases", ChangeKind.MODEL_PROMOTED, "model"),
    (r"PipelineService\.|JobService\.Create|TrainingPipeline", ChangeKind.PIPELINERUN_FINISHED, "job"),
    (r"Featurestore|FeatureGroup|FeatureView|FeatureRegistry", ChangeKind.DATASET_SCHEMA_CHANGED, "dataset"),
    (r"run\..*(ReplaceService|CreateService|UpdateService|Services\.)", ChangeKind.SERVICE_DEPLOYED, "service"),
    (r"run\..*Jobs?\.", ChangeKind.PIPELINERUN_FINISHED, "job"),
    (r"functions?\..*(Create|Update)Function", ChangeKind.SERVICE_DEPLOYED, "service"),
    (r"appengine\..*(CreateVersion|UpdateService)", ChangeKind.SERVICE_DEPLOYED, "service"),
    (r"io\.k8s\.apps\.\w+\.\w+\.(create|patch|update)", ChangeKind.SERVICE_DEPLOYED, "service"),
    (
        r"bigquery.*TableService\.|tableservice\.(insert|update|patch|delete)",
        ChangeKind.DATASET_SCHEMA_CHANGED,
        "dataset",
    ),
    (r"bigquery.*DatasetService\.|datasetservice\.", ChangeKind.DATASET_MODIFIED, "dataset"),
    (r"storage\.objects\.|storage\.buckets\.", ChangeKind.DATASET_MODIFIED, "dataset"),
    (r"compute\.(instances|beta\.compute\.instances)", ChangeKind.ENVIRONMENT_MODIFIED, "host"),
    (r"cloudsql\.", ChangeKind.ENVIRONMENT_MODIFIED, "host"),
    (r"dataflow|dataproc.*Job", ChangeKind.PIPELINERUN_FINISHED, "job"),
)
"""Method → kind of change, and what it is about; any other that writes changes the environment of a service."""

_METHODS = tuple((re.compile(words, re.IGNORECASE), kind, about) for words, kind, about in METHODS)


def told(entry: dict[str, Any], occasion: Occasion) -> Normalized:
    """The change that an entry of the audit log records, or why it is none. Raises BadPayload for what is no time."""
    payload = facts(entry.get("protoPayload"))
    method, service = name_in(payload, "methodName"), name_in(payload, "serviceName")
    finished = facts(dig(payload, "serviceData", "jobCompletedEvent", "job")) or facts(
        dig(payload, "metadata", "jobChange", "job")
    )
    if finished:
        return _query(finished, entry, payload, occasion)
    if READS.search(method.rpartition(".")[2]) or method in ("jobservice.insert", "jobservice.jobcompleted"):
        return Normalized(ignored=f"audit log: {method[:80]} changes nothing")
    if "data_access" in name_in(entry, "logName") and not _METHODS_OF_DATA.search(method):
        return Normalized(ignored=f"audit log of data access: {method[:80] or 'no method'}")
    if not method:
        return Normalized(ignored="audit log: an entry without a method")
    kind, about = next(
        ((kind, about) for words, kind, about in _METHODS if words.search(method)),
        (ChangeKind.ENVIRONMENT_MODIFIED, "service"),
    )
    operation = facts(entry.get("operation"))
    why = first_line(dig(payload, "status", "message"))
    failed = bool(dig(payload, "status", "code")) or name_in(entry, "severity") in ("ERROR", "CRITICAL")
    running = operation.get("first") is True and operation.get("last") is not True
    outcome = ChangeOutcome.FAILURE if failed else ChangeOutcome.RUNNING if running else ChangeOutcome.SUCCESS
    resource = name_in(payload, "resourceName")
    model, version = _model(facts(payload.get("request"))) if about == "model" else ("", "")
    name = (
        model or _name(resource, about) or name_in(facts(dig(entry, "resource", "labels")), "service_name") or service
    )
    at = time_in(entry, "timestamp", "receiveTimestamp")
    change = occasion.change(
        id=f"gcp:{name_in(operation, 'id') or name_in(entry, 'insertId') or f'{resource}:{at}'}",
        kind=ChangeKind.SERVICE_REMOVED if kind is ChangeKind.SERVICE_DEPLOYED and "elete" in method else kind,
        subject=Subject.of(about, name or "gcp"),
        outcome=outcome,
        summary=f"{method} of {name}" + (f": {why}" if why else ""),
        began=at,
        version=version[:255],
        author=name_in(facts(payload.get("authenticationInfo")), "principalEmail")[:255],
        touches=(Subject.of("service", last_part(resource)),) if model and "/endpoints/" in resource else (),
        labels={"method": method, "service_name": service, "resource": resource, "error": why},
    )
    return Normalized(changes=(change,))


_METHODS_OF_DATA = re.compile(r"storage\.objects\.(create|delete|update)|TableService|tabledata\.insert", re.IGNORECASE)


def _model(request: dict[str, Any]) -> tuple[str, str]:
    """The model's name and version that a request to Vertex AI speaks of: `…/models/churn@3`, or its display name."""
    asked = facts(request.get("deployedModel")) or facts(request.get("model"))
    path, _, version = name_in(asked, "model", "name").partition("@")
    return name_in(asked, "displayName") or last_part(path), version or name_in(asked, "modelVersionId")


def _name(resource: str, about: str) -> str:
    """What a resource's path names: a bucket or table for a dataset, else its last part."""
    parts = resource.strip("/").split("/")
    if about == "dataset" and "buckets" in parts[:-1]:
        return parts[parts.index("buckets") + 1]
    if about == "dataset" and "datasets" in parts[:-1]:
        tail = parts[parts.index("datasets") + 1 :]
        return ".".join(tail[::2])
    return last_part(resource)


def _query(job: dict[str, Any], entry: dict[str, Any], payload: dict[str, Any], occasion: Occasion) -> Normalized:
    """A job of BigQuery, in the older and the newer spelling of its entry; a query that only reads is no change."""
    settings = facts(job.get("jobConfiguration") or job.get("jobConfig"))
    table = next((name for part in _PARTS if (name := _table(dig(settings, *part, "destinationTable")))), "")
    status, stats = facts(job.get("jobStatus")), facts(job.get("jobStatistics") or job.get("jobStats"))
    run = name_in(facts(job.get("jobName")), "jobId") or last_part(name_in(job, "jobName"))
    error = facts(status.get("error") or status.get("errorResult"))
    why = first_line(error.get("message"))
    failed = bool(why or error.get("code"))
    if not table and not failed:
        return Normalized(ignored=f"BigQuery job {run[:80]}: a query that wrote to no table of its own")
    state = name_in(status, "state", "jobState")
    outcome = ChangeOutcome.FAILURE if failed else outcome_of(state)
    began, ended = time_in(stats, "startTime", "createTime"), time_in(stats, "endTime")
    subject = Subject.of("dataset", table) if table else Subject.of("job", run or "bigquery")
    change = occasion.change(
        id=f"bigquery:{run or name_in(entry, 'insertId')}",
        kind=ChangeKind.DATASET_MODIFIED if table else ChangeKind.PIPELINERUN_FINISHED,
        subject=subject,
        outcome=outcome,
        summary=f"BigQuery job {run} wrote {table}" if table and not failed else f"BigQuery job {run} failed: {why}",
        began=began or time_in(entry, "timestamp"),
        ended=None if outcome is ChangeOutcome.RUNNING else ended or time_in(entry, "timestamp"),
        author=name_in(facts(payload.get("authenticationInfo")), "principalEmail")[:255],
        labels={"job": run, "state": state, "rows": name_in(stats, "queryOutputRowCount")}
        | {"reads": ", ".join(_table(each) for each in rows(stats.get("referencedTables"))[:10])},
    )
    return Normalized(changes=(change,))


_PARTS = (("query",), ("load",), ("tableCopy",), ("queryConfig",), ("loadConfig",), ("tableCopyConfig",))


def _table(value: object) -> str:
    """`dataset.table`; empty for the anonymous table of a query's result."""
    if isinstance(value, str):
        parts = value.split("/")
        value = {"datasetId": parts[3], "tableId": parts[5]} if len(parts) > 5 else {}
    dataset, table = name_in(facts(value), "datasetId"), name_in(facts(value), "tableId")
    if not table or dataset.startswith("_") or table.startswith("anon"):
        return ""
    return f"{dataset}.{table}" if dataset else table
