"""What is a report about, how bad is it, where? Subject, symptom, severity, environment from a sender's labels.

The tables here are the documented answer; a label that names the thing outright always wins over a word in a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from tocsin.domain.alert import Cohort, Severity, Symptom
from tocsin.domain.message import Hook
from tocsin.domain.subject import KINDS, Subject

MAX_LABELS = 64
MAX_LABEL_VALUE = 1024
MAX_LINKS = 10
MAX_URL = 2048

SUBJECT_LABELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("feature", ("feature", "feature_name")),
    ("model", ("model", "model_name", "registered_model")),
    ("dataset", ("dataset", "dataset_name", "table", "table_name", "feature_view")),
    ("job", ("dag_id", "dag", "pipeline", "pipeline_name", "job_name", "cronjob")),
    ("queue", ("queue", "topic")),
    (
        "service",
        (
            "service",
            "service_name",
            "service.name",
            "application",
            "app",
            "app.kubernetes.io/name",
            "deployment",
            "statefulset",
            "daemonset",
            "horizontalpodautoscaler",
            "workload",
        ),
    ),
    ("provider", ("provider",)),
)
"""Most specific first: an alert that names a feature and its model is about the feature. `instance` and the like come
after these, see `subject_of`."""

HOST_LABELS = ("host", "hostname", "host_name", "host.name", "node", "nodename", "server", "instance")

SCRAPER_JOBS = frozenset(
    {"node", "node-exporter", "node_exporter", "windows", "windows-exporter", "kubelet", "cadvisor", "blackbox"}
    | {"kube-state-metrics", "prometheus", "alertmanager", "pushgateway", "snmp"}
)
"""Values of Prometheus' `job` that name the exporter, not what it watches."""

KUBE_STATE_METRICS = "kube-state-metrics"
"""The exporter of Kubernetes' objects: its `instance` is itself, and what its alerts are about stands in `pod` and
`container`, or with the prefix `exported_` where Prometheus keeps the target's own labels (honor_labels: false)."""
_OBJECT_LABELS = ("exported_container", "container", "exported_pod", "pod")

RESOURCE_LABELS = ("resource", "pod", "container_id", "instance", "device", "mountpoint", "partition", "task_id")
OBJECT_RESOURCE_LABELS = ("resource", "exported_pod", "pod", "persistentvolumeclaim")
OWN_RESOURCE_LABELS = ("resource", "partition", "task_id")
_NOT_ON_INSTANCES = ("feature:", "dataset:", "job:")
SEGMENT_LABELS = ("segment", "slice", "subgroup")
REGION_LABELS = ("region", "cloud_region", "cloud.region", "zone", "availability_zone")
METRIC_LABELS = ("metric", "metric_name", "__name__")
VERSION_LABELS = ("model_version", "version_of_model")
COHORT_LABELS = ("cohort", "track")
ENVIRONMENT_LABELS = ("environment", "env", "deployment_environment", "deployment.environment.name")

_COHORTS = {"canary": Cohort.CANARY, "shadow": Cohort.SHADOW, "a/b": Cohort.AB, "ab": Cohort.AB, "a-b": Cohort.AB}


def subject_of(labels: Mapping[str, str], *, fallback: Subject) -> Subject:
    """What labels are about. In this order: a `subject` label that reads `kind:name`; SUBJECT_LABELS; Prometheus'
    `job` as a service, unless it names an exporter; of kube-state-metrics the container or pod; HOST_LABELS without
    the port; `container` or `pod` (a pod as what it belongs to); the fallback.

    `job` becomes `service:` because it is the scrape job, and because the catalogue resolves a service's name to
    whatever kind it knows by that name."""
    if "subject" in labels:
        kind, colon, name = labels["subject"].partition(":")
        if colon and kind in KINDS and name.strip():
            return Subject.of(kind, name)
    for kind, keys in SUBJECT_LABELS:
        if name := first_of(labels, keys):
            return Subject.of(kind, _RUN_OF_CRON.sub("", name) if kind == "job" and _is_of_objects(labels) else name)
    job = labels.get("job", "").strip()
    if job and job.rpartition("/")[2].lower() not in SCRAPER_JOBS:
        return Subject.of("service", job)
    of_objects = _is_of_objects(labels)
    if of_objects and (name := _object(labels)):
        return Subject.of("service", name)
    if host := first_of(labels, HOST_LABELS[:-1] if of_objects else HOST_LABELS):
        return Subject.of("host", _plain_host(host))
    if not of_objects and (name := _object(labels)):
        return Subject.of("service", name)
    return fallback


def _is_of_objects(labels: Mapping[str, str]) -> bool:
    return labels.get("job", "").strip().endswith(KUBE_STATE_METRICS)


def _object(labels: Mapping[str, str]) -> str:
    """The container, or what the pod belongs to; kube-state-metrics' own are none."""
    for key in _OBJECT_LABELS:
        name = labels.get(key, "").strip()
        if name and not name.startswith(KUBE_STATE_METRICS):
            return owner_of_pod(name) if key.endswith("pod") else name
    return ""


_OF_REPLICA_SET = re.compile(r"-[bcdf0-9][bcdf-hj-np-tv-z0-9]{4,9}-[bcdf-hj-np-tv-z2-9]{5}$")
"""`web-7d9f8b6c5d-x2x9z`: hash of the pod template and a random part (both without vowels)."""
_OF_SET = re.compile(r"-(?:\d{1,4}|[bcdf-hj-np-tv-z2-9]{5})$")
"""`db-0` of a StatefulSet, `agent-x2x9z` of a DaemonSet."""
_RUN_OF_CRON = re.compile(r"-\d{8,10}$")
"""A CronJob names its jobs by the minute of their schedule."""


def owner_of_pod(name: str) -> str:
    """`web` of the pod web-7d9f8b6c5d-x2x9z, `db` of db-0, `report` of a pod of the CronJob's run report-28471234."""
    shorter = _OF_REPLICA_SET.sub("", name)
    shorter = shorter if shorter != name else _OF_SET.sub("", name)
    return _RUN_OF_CRON.sub("", shorter) or name


def first_of(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    """The first value that is not blank among these labels; empty when there is none."""
    for key in keys:
        value = labels.get(key)
        if value and (value := value.strip()):
            return value
    return ""


def _plain_host(host: str) -> str:
    """The name alone, of `web-1:9100` as of the address that a blackbox exporter probes."""
    if "://" in host:
        try:
            return urlsplit(host).hostname or host
        except ValueError:
            return host
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and name else host


SYMPTOM_WORDS: tuple[tuple[Symptom, str], ...] = (
    (Symptom.PREDICTION_DRIFT, r"(prediction|predicted|score|output)s? (\w+ )?(drift\w*|shift|psi)"),
    (Symptom.CONCEPT_DRIFT, r"concept (drift|shift)"),
    (Symptom.LABEL_DRIFT, r"(label|target)s? (drift|shift)"),
    (Symptom.EXPLAINABILITY, r"shap|attributions?|explain\w*|explanations?"),
    (Symptom.FAIRNESS, r"fairness|bias|disparate \w+|demographic parity|equal\w* (odds|opportunity)"),
    (Symptom.CALIBRATION, r"(mis)?calibrat\w*|ece|brier"),
    (Symptom.SCHEMA, r"schemas?|(missing|extra|unexpected|renamed|dropped) columns?|data ?types?|type mismatch"),
    (Symptom.FRESHNESS, r"fresh\w*|stale\w*|lag\w*|late|delay\w*|overdue|outdated|not updated"),
    (Symptom.DATA_QUALITY, r"nulls?|nans?|missing (values?|rate|ratio)|completeness|duplicates?|out of range"),
    (Symptom.DATA_QUALITY, r"data quality|expectations?|validations?|constraints?|invalid values?"),
    (Symptom.FEATURE_DRIFT, r"psi|drift\w*|skew\w*|wasserstein|jensen shannon|ks|population stability|distribution"),
    (
        Symptom.PERFORMANCE,
        r"auc|pr auc|accuracy|f1|precision|recall|rmse|mae|mape|log ?loss|mean \w+ error|performance",
    ),
    (Symptom.PERFORMANCE, r"hallucination\w*|groundedness|answer quality|eval(uation)? score"),
    (Symptom.BUSINESS_KPI, r"revenue|conversions?|kpi|chargebacks?|approval rate|sales|bookings|click through|ctr"),
    (Symptom.LATENCY, r"latenc\w*|p50|p9\d|p999|slow\w*|response times?|duration|timeouts?|timed out"),
    (
        Symptom.AVAILABILITY,
        r"down|up 0|unreachable|unavailable|availability|crash\w*|not ready|absent|heartbeats?|dead",
    ),
    (Symptom.AVAILABILITY, r"offline|outage|probes?|health ?checks?|unhealthy|restart\w*"),
    (Symptom.ERRORS, r"errors?|(http ?)?[45]xx|http 5\d\d|exceptions?|fail\w*|burn\w*"),
    (Symptom.COST, r"costs?|spend\w*|budgets?|billing"),
    (Symptom.SATURATION, r"cpu|gpu|memory|mem|disk|filesystem|storage|inodes?|oom\w*|saturat\w*|capacity|throttl\w*"),
    (
        Symptom.SATURATION,
        r"full|filling|exhaust\w*|backlog|queue \w+|connections?|load|utili[sz]ation|swap|quota|space",
    ),
    (Symptom.VOLUME, r"volume|row ?counts?|rows|records|throughput|traffic|qps|rps|requests|per (second|minute)"),
    (Symptom.DATA_QUALITY, r"missing"),
)
"""Words that tell a symptom, first match wins: the special before the general (`prediction drift` before `drift`,
`missing column` before `missing`). They are looked for in lower case with CamelCase and punctuation split apart."""

_SYMPTOMS = tuple((symptom, re.compile(rf"\b(?:{words})\b")) for symptom, words in SYMPTOM_WORDS)
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PUNCTUATION = re.compile(r"[^a-z0-9]+")


def symptom_of(labels: Mapping[str, str], *texts: str) -> Symptom:
    """The symptom: label `symptom` when it is one of ours, else the first of the texts (name, metric, summary: the
    most exact first) that holds a word of SYMPTOM_WORDS, else availability: something that ought to be is not."""
    if named := labels.get("symptom"):
        wanted = named.strip().lower().replace("-", "_").replace(" ", "_")
        if wanted in _SYMPTOM_VALUES:
            return Symptom(wanted)
    for words in texts:
        if words and (found := _symptom_in(words[:300])):
            return found
    return Symptom.AVAILABILITY


_SYMPTOM_VALUES = frozenset(symptom.value for symptom in Symptom)


@lru_cache(maxsize=8192)
def _symptom_in(text: str) -> Symptom | None:
    plain = _PUNCTUATION.sub(" ", _HUMPS.sub(" ", text).lower())
    return next((symptom for symptom, words in _SYMPTOMS if words.search(plain)), None)


SEVERITY_WORDS: Mapping[Severity, str] = {
    Severity.CRITICAL: "critical crit page p0 p1 sev0 sev1 s0 s1 1 high highest blocker emergency emerg fatal disaster",
    Severity.ERROR: "error err major p2 sev2 s2 2 severe average urgent alerting",
    Severity.WARNING: "warning warn minor p3 sev3 s3 3 medium moderate ticket",
    Severity.INFO: "info information informational notice debug p4 p5 sev4 sev5 s4 s5 4 5 low lowest trivial none ok",
}
"""Every sender's own word for how bad it is, in lower case. Mappings may say otherwise per source."""

_SEVERITIES = {word: severity for severity, words in SEVERITY_WORDS.items() for word in words.split()}


def severity_of(word: str | None) -> Severity:
    """The PD-CEF severity of a sender's word by SEVERITY_WORDS; warning when it is unknown or absent."""
    if not word:
        return Severity.WARNING
    return _SEVERITIES.get(word) or _SEVERITIES.get(word.strip().lower(), Severity.WARNING)


ANY_ENVIRONMENT = "*"
UNLABELLED_ENVIRONMENT = "production"
"""Where a signal of a `*` hook belongs that names no environment: a silent sender must not hide a real outage."""


def environment_of(labels: Mapping[str, str], hook: Hook) -> str:
    """The hook's environment. Only a hook declared `*` lets a label (ENVIRONMENT_LABELS) name it, so that a staging
    system can never speak for production by its labels."""
    if hook.environment != ANY_ENVIRONMENT:
        return hook.environment
    return first_of(labels, ENVIRONMENT_LABELS).lower() or UNLABELLED_ENVIRONMENT


def labels_of(mapping: object) -> dict[str, str]:
    """A sender's labels as texts: at most 64, values cut at 1024 characters. Numbers and booleans become texts;
    anything nested, null or nameless is left out; so is everything when it is no object at all."""
    if not isinstance(mapping, dict):
        return {}
    found = {key: value for key, value in mapping.items() if type(value) is str and len(value) <= MAX_LABEL_VALUE}
    if len(found) == len(mapping) <= MAX_LABELS and "" not in found:
        return found  # nearly always
    found = {}
    for key, value in mapping.items():
        if type(value) is str:
            words = value[:MAX_LABEL_VALUE]
        elif isinstance(value, bool):
            words = "true" if value else "false"
        elif isinstance(value, (int, float)):
            words = str(value)[:MAX_LABEL_VALUE]
        else:
            continue
        if key and len(found) < MAX_LABELS:
            found[str(key)] = words
    return found


def links_of(links: Mapping[str, object]) -> dict[str, str]:
    """Name → address of what is an absolute http or https address without credentials, spaces or control characters;
    at most 10."""
    good = {name: value for name, value in links.items() if isinstance(value, str) and _is_plain_link(value)}
    return dict(list(good.items())[:MAX_LINKS]) if len(good) > MAX_LINKS else good


def link_of(value: object) -> str:
    """The address when it is fit to be shown as a link (see `links_of`), else empty."""
    return value if isinstance(value, str) and _is_plain_link(value) else ""


@lru_cache(maxsize=8192)
def _is_plain_link(value: str) -> bool:
    if not value.startswith(("http://", "https://")) or len(value) > MAX_URL:
        return False
    if not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.netloc


def resource_of(labels: Mapping[str, str], subject: Subject | None = None) -> str:
    """Which of several alike (RESOURCE_LABELS): a pod, an instance, a device. For a feature, a dataset or a job only
    OWN_RESOURCE_LABELS count: its `instance` or `pod` is the exporter or worker that happened to report it. Neither is
    the `instance` of kube-state-metrics."""
    if subject is not None and subject.startswith(_NOT_ON_INSTANCES):
        return first_of(labels, OWN_RESOURCE_LABELS)
    if _is_of_objects(labels):
        found = first_of(labels, OBJECT_RESOURCE_LABELS)
        return "" if found.startswith(KUBE_STATE_METRICS) else found
    return first_of(labels, RESOURCE_LABELS)


def cohort_of(labels: Mapping[str, str]) -> Cohort | None:
    """Canary, shadow or A/B, from COHORT_LABELS."""
    return _COHORTS.get(first_of(labels, COHORT_LABELS).lower())
