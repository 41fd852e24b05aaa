"""Google Cloud Monitoring: the webhook notification channel (versions 1.0 to 1.2), also through Pub/Sub.

https://cloud.google.com/monitoring/support/notification-options#webhooks · nothing is signed: a token in the address
(`?token=` or Google's `?auth_token=`) or Basic authentication.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert
from tocsin.sources._identity import first_of, labels_of, severity_of, subject_of
from tocsin.sources._json import parsed, parsed_object, text
from tocsin.sources._monitored import resource_beside
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret

NAME = "gcp_monitoring"

STATES = {"open": Status.FIRING, "acknowledged": Status.FIRING, "closed": Status.RESOLVED, "resolved": Status.RESOLVED}

RESOURCES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "gce_instance": ("host", ("instance_name", "instance_id")),
    "aws_ec2_instance": ("host", ("instance_id",)),
    "generic_node": ("host", ("node_id",)),
    "k8s_node": ("host", ("node_name",)),
    "k8s_container": ("service", ("container_name", "pod_name")),
    "k8s_pod": ("service", ("pod_name",)),
    "k8s_service": ("service", ("service_name",)),
    "k8s_cluster": ("service", ("cluster_name",)),
    "gke_container": ("service", ("container_name", "pod_id")),
    "cloudsql_database": ("host", ("database_id",)),
    "alloydb.googleapis.com/Instance": ("host", ("instance_id",)),
    "spanner_instance": ("host", ("instance_id",)),
    "redis_instance": ("host", ("instance_id",)),
    "bigtable_cluster": ("host", ("instance", "cluster")),
    "firestore_instance": ("host", ("project_id",)),
    "cloud_run_revision": ("service", ("service_name",)),
    "cloud_run_job": ("job_name", ("job_name",)),
    "cloud_function": ("service", ("function_name",)),
    "gae_app": ("service", ("module_id",)),
    "api": ("service", ("service",)),
    "consumed_api": ("service", ("service",)),
    "https_lb_rule": ("service", ("backend_target_name", "url_map_name", "forwarding_rule_name")),
    "l7_lb_rule": ("service", ("url_map_name",)),
    "istio_canonical_service": ("service", ("canonical_service_name",)),
    "uptime_url": ("host", ("host",)),
    "pubsub_topic": ("queue", ("topic_id",)),
    "pubsub_subscription": ("queue", ("subscription_id",)),
    "cloud_tasks_queue": ("queue", ("queue_id",)),
    "bigquery_dataset": ("dataset", ("dataset_id",)),
    "bigquery_table": ("dataset", ("table_id", "dataset_id")),
    "gcs_bucket": ("dataset", ("bucket_name",)),
    "dataflow_job": ("job_name", ("job_name", "job_id")),
    "cloud_composer_workflow": ("job_name", ("workflow_name",)),
    "cloud_composer_environment": ("service", ("environment_name",)),
    "cloud_dataproc_cluster": ("job_name", ("cluster_name",)),
    "cloud_scheduler_job": ("job_name", ("job_id",)),
    "workflows.googleapis.com/Workflow": ("job_name", ("workflow_id",)),
    "aiplatform.googleapis.com/Endpoint": ("model", ("endpoint_id",)),
    "aiplatform.googleapis.com/DeploymentResourcePool": ("model", ("deployment_resource_pool_id",)),
    "aiplatform.googleapis.com/PublisherModel": ("model", ("model_user_id",)),
    "aiplatform.googleapis.com/ModelMonitor": ("model", ("model_monitor_id",)),
    "aiplatform.googleapis.com/PipelineJob": ("job_name", ("pipeline_job_id",)),
    "aiplatform.googleapis.com/Featurestore": ("dataset", ("featurestore_id",)),
    "aiplatform.googleapis.com/FeatureOnlineStore": ("dataset", ("feature_online_store_id",)),
}
"""Monitored resource type → the label that says the same everywhere, and which of its labels hold the name."""

CONDITIONS = {
    "conditionThreshold": "threshold",
    "conditionAbsent": "absence",
    "conditionMatchedLog": "log match",
    "conditionMonitoringQueryLanguage": "MQL",
    "conditionPrometheusQueryLanguage": "PromQL",
    "conditionSql": "SQL",
}
NO_SEVERITY = frozenset({"no severity", "none", "severity_unspecified"})


def auth_token(message: Message, secrets: Sequence[str]) -> Verdict:
    """Google's own spelling of a token in the address."""
    offered = message.query.get("auth_token", "").encode("utf-8", "surrogatepass")
    if not offered:
        return refused("missing credential: send Basic, ?token= or ?auth_token=")
    matches = [hmac.compare_digest(offered, s.encode("utf-8", "surrogatepass")) for s in secrets if s]
    return VERIFIED if any(matches) else refused("wrong credential: none of the hook's secrets matches")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert per notification. Raises BadPayload for a body without an incident and for an unknown state."""
    body = Fields(_opened(parsed_object(message.body)))
    if body.text("version").lower() == "test":
        return Normalized(ignored="test of a notification channel (version test)")
    incident = body.need_inner("incident")
    return Normalized(alerts=(_alert(incident, message, hook),))


def _opened(body: dict[str, Any]) -> dict[str, Any]:
    """What Pub/Sub wraps in base64; any other body as it is."""
    inner = body.get("message")
    if not isinstance(inner, dict) or "data" not in inner:
        return body
    try:
        value = parsed(base64.b64decode(text(inner["data"], 1_000_000), validate=True))
    except (binascii.Error, ValueError):
        raise BadPayload("not base64", path="message.data") from None
    except BadPayload as error:
        raise BadPayload(error.reason, path="message.data") from None
    if not isinstance(value, dict):
        raise BadPayload("expected the notification's object", path="message.data")
    return value


def _alert(incident: Fields, message: Message, hook: Hook) -> Alert:
    status = _status(incident)
    id = incident.need("incident_id")
    policy, condition = _last(incident.text("policy_name")), _condition(incident)
    name = policy if not condition or condition == policy else f"{policy}: {condition}" if policy else condition
    document, words = _documentation(incident)
    tags, found = _tags(incident, document)
    about = subject_of({**hook.defaults, **tags}, fallback=Subject.of("unknown", name or "Google Cloud incident"))
    metric, resource = _inner(incident, "metric"), _inner(incident, "resource")
    severity = _severity(incident, tags)
    ended = incident.time("ended_at")
    return alert(
        message,
        hook,
        source=NAME,
        name=name or "Google Cloud incident",
        subject=about,
        status=status,
        severity=severity_of("" if severity.lower() in NO_SEVERITY else severity),
        symptom=_symptom(incident, {**hook.defaults, **tags}),
        summary=incident.text("summary") or name,
        description=words,
        starts_at=incident.time("started_at"),
        ends_at=ended,
        tags=tags,
        labels={
            "severity": severity,
            "incident_id": id,
            "policy": policy,
            "condition": condition,
            "condition_type": next(
                (kind for key, kind in CONDITIONS.items() if key in _inner(incident, "condition")), ""
            ),
            "project": incident.text("scoping_project_id") or resource.text("project_id"),
            "resource_type": resource.text("type"),
            "renotify": incident.data.get("renotify") is True,
        },
        links={
            "incident": incident.text("url", limit=2048),
            "runbook": _runbook(incident, document),
        },
        resource=resource_beside(about, tags, found),
        metric=metric.text("type", "name"),
        region=first_of(tags, ("location", "zone", "region")),
        observed=incident.number("observed_value"),
        threshold=_threshold(incident),
        sender_key=id,
    )


def _status(incident: Fields) -> Status:
    word = incident.text("state").lower()
    if word in STATES:
        return STATES[word]
    if not word and incident.time("ended_at"):
        return Status.RESOLVED
    raise BadPayload(f"{word[:40]!r} is neither open nor closed", path=incident.at_path("state"))


def _inner(incident: Fields, key: str) -> Fields:
    """An object that may be absent or, in old versions, a text."""
    value = incident.data.get(key)
    return Fields(value if isinstance(value, dict) else {}, incident.at_path(key))


def _last(path: str) -> str:
    """`projects/p/alertPolicies/7` → 7; a display name as it is."""
    return path.rpartition("/")[2] if path.startswith("projects/") else path


def _condition(incident: Fields) -> str:
    return incident.text("condition_name") or _inner(incident, "condition").text("displayName")


def _documentation(incident: Fields) -> tuple[dict[str, str], str]:
    """What the policy's documentation says: labels when it is a JSON object, else words."""
    value = incident.data.get("documentation")
    inner = Fields(value if isinstance(value, dict) else {"content": value})
    words = inner.text("content", "subject", limit=4000)
    if words.startswith("{"):
        try:
            return labels_of(parsed(words.encode("utf-8", "surrogatepass"))), inner.text("subject")
        except BadPayload:
            pass
    return {}, words


def _tags(incident: Fields, document: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Every label that tells what the incident is about, and the name of the monitored resource."""
    resource, metadata = _inner(incident, "resource"), _inner(incident, "metadata")
    described = labels_of(resource.data.get("labels"))
    system = labels_of(metadata.data.get("system_labels"))
    user = labels_of(metadata.data.get("user_labels"))
    measured = labels_of(_inner(incident, "metric").data.get("labels"))
    policy = labels_of(incident.data.get("policy_user_labels"))
    kind, keys = RESOURCES.get(resource.text("type"), ("", ()))
    pool = described | {key: system["name"] for key in ("instance_name",) if "name" in system} | measured
    name = first_of(pool, keys).rpartition(":")[2] or _resource_name(incident)
    named = kind == "service" and first_of({**user, **policy}, ("service", "app", "app.kubernetes.io/name"))
    own = {kind: name} if kind and name and not named else {}
    place = {key: value for key, value in described.items() if key not in own}
    tags = {**place, **measured, **own, **user, **dict(document), **policy}
    if not kind and name:
        tags.setdefault("host" if resource.text("type").endswith("_instance") else "service", name)
    return {key: value for key, value in tags.items() if value}, name


def _resource_name(incident: Fields) -> str:
    """Versions without labels name the resource; `… labels {project_id=p}` is a description, no name."""
    for key in ("resource_display_name", "resource_name", "resource_id"):
        if (found := incident.text(key)) and " labels {" not in found:
            return _last(found)
    return ""


def _severity(incident: Fields, tags: Mapping[str, str]) -> str:
    system = labels_of(_inner(incident, "metadata").data.get("system_labels"))
    return incident.text("severity") or tags.get("severity", "") or system.get("severity", "")


def _symptom(incident: Fields, tags: Mapping[str, str]) -> Symptom | None:
    if "symptom" in tags:
        return None
    checked = _inner(incident, "metric").text("type").endswith(("check_passed", "uptime_check"))
    if (
        checked
        or _inner(incident, "resource").text("type") == "uptime_url"
        or "conditionAbsent" in _inner(incident, "condition")
    ):
        return Symptom.AVAILABILITY
    return None


def _threshold(incident: Fields) -> float | None:
    given = incident.number("threshold_value")
    if given is not None:
        return given
    return _inner(_inner(incident, "condition"), "conditionThreshold").number("thresholdValue")


def _runbook(incident: Fields, document: Mapping[str, str]) -> str:
    if found := document.get("runbook_url") or document.get("runbook"):
        return found
    listed = _inner(incident, "documentation").data.get("links")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    return text(first.get("url"), 2048)


def _message_id(message: Message) -> str:
    """Pub/Sub numbers its messages; the webhook channel does not."""
    try:
        inner = parsed_object(message.body).get("message")
    except BadPayload:
        return ""
    return text(inner.get("messageId", inner.get("message_id")), 255) if isinstance(inner, dict) else ""


SETUP = """Monitoring → Alerting → Edit notification channels → **Webhooks** → Add: endpoint `{url}?token={secret}`, or
`{url}` with *HTTP basic authentication* (any user, password `{secret}`). In each policy choose the channel and tick
*Notify on incident closure*.

The policy's severity counts, else its user label `severity`. What an alert is about: the policy's user labels
(`service`, `model`, `feature`, `dataset`, `environment`), then the resource's. Documentation that is a JSON object adds
labels and `runbook_url`. A push subscription of a Pub/Sub channel may post to the same address.
"""

SOURCE = Source(
    name=NAME,
    title="Google Cloud Monitoring",
    verify=any_of(shared_secret, auth_token),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_message_id,
    aliases=("gcpmonitoring", "google_cloud_monitoring", "stackdriver"),
    ignores=("tests of a notification channel (version test)",),
    setup=SETUP,
)
