"""An alert told by labels and annotations, as Prometheus' Alertmanager, Grafana and their relatives tell it.

Written for speed, by plain dictionary access: one group may carry thousands of alerts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from tocsin.domain.alert import Alert, Sample, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._identity import (
    COHORT_LABELS,
    METRIC_LABELS,
    REGION_LABELS,
    SEGMENT_LABELS,
    VERSION_LABELS,
    cohort_of,
    environment_of,
    first_of,
    labels_of,
    links_of,
    resource_of,
    severity_of,
    subject_of,
    symptom_of,
)
from tocsin.sources._json import kind_of, number, text
from tocsin.sources._times import moment

REPLICA_LABELS = ("replica", "prometheus_replica", "__replica__", "ruler_replica", "rule_replica", "receive_replica")
"""What tells the twins of a highly available pair apart (Prometheus external labels, Thanos, Mimir): dropped, because
both twins report the same alert. Each keeps its own `sender_key`, so that the alert fires while either says so."""

NAME_LABELS = ("alertname", "rulename", "alert_name")
UNNAMED = "unnamed alert"
MAX_SAMPLES = 5

_UNKNOWN = Subject("unknown:")
_STATUSES = {"firing": Status.FIRING, "resolved": Status.RESOLVED}
_LINK_ANNOTATIONS = (
    ("runbook_url", "runbook"),
    ("runbook", "runbook"),
    ("dashboard_url", "dashboard"),
    ("dashboard", "dashboard"),
    ("logs_url", "logs"),
)
_SAMPLE_ANNOTATIONS = ("request_id", "trace_url", "explanation_url")
_ANY_SAMPLE = frozenset(_SAMPLE_ANNOTATIONS)


class Told(NamedTuple):
    """One alert of a group, its parts checked: labels without replicas, with the hook's defaults underneath."""

    status: Status
    labels: dict[str, str]
    annotations: Mapping[str, Any]
    starts_at: datetime | None
    ends_at: datetime | None
    sender_key: str


class _Places(NamedTuple):
    """Which of an alert's own label names tell what."""

    metric: tuple[str, ...]
    segment: tuple[str, ...]
    region: tuple[str, ...]
    version: tuple[str, ...]
    cohort: tuple[str, ...]


@lru_cache(maxsize=4096)
def _places(names: tuple[str, ...]) -> _Places:
    """Asked once per set of label names: the alerts of one rule all carry the same."""
    wanted = (METRIC_LABELS, SEGMENT_LABELS, REGION_LABELS, VERSION_LABELS, COHORT_LABELS)
    return _Places(*(tuple(key for key in keys if key in names) for keys in wanted))


def group_of(body: dict[str, Any]) -> list[Any]:
    """The group's alerts. Raises BadPayload when the body is not such a group."""
    alerts = body.get("alerts")
    if isinstance(alerts, list):
        return alerts
    found = "absent" if alerts is None else kind_of(alerts)
    raise BadPayload(
        f"expected the list of the group's alerts, found {found}; a custom template must keep it", path="alerts"
    )


def told(one: Any, hook: Hook, *, group_status: object, path: str) -> Told:  # noqa: ANN401
    """One entry of the group's alerts. Its own status counts; the group's only when it has none.

    Raises BadPayload with the path of what cannot be read."""
    if not isinstance(one, dict):
        raise BadPayload(f"expected an object, found {kind_of(one)}", path=path)
    sent = one.get("labels")
    if not isinstance(sent, dict):
        raise BadPayload(f"expected an object, found {kind_of(sent)}", path=f"{path}.labels")
    wanted = one.get("status") or group_status
    status = _STATUSES.get(wanted) if isinstance(wanted, str) else None
    if status is None:
        raise BadPayload(f"{str(wanted)[:40]!r} is neither firing nor resolved", path=f"{path}.status")
    labels = labels_of(sent)
    sender_key = text(one.get("fingerprint"), 128) or label_hash(labels)
    for replica in REPLICA_LABELS:
        if replica in labels:
            del labels[replica]
    annotations = one.get("annotations")
    return Told(
        status=status,
        labels={**hook.defaults, **labels} if hook.defaults else labels,
        annotations=annotations if isinstance(annotations, dict) else {},
        starts_at=_moment(one, "startsAt", path),
        ends_at=_moment(one, "endsAt", path) if status is Status.RESOLVED else None,
        sender_key=sender_key,
    )


def alert_of(
    told: Told,
    message: Message,
    hook: Hook,
    *,
    source: str,
    name: str = "",
    symptom: Symptom | None = None,
    observed: float | None = None,
    links: Mapping[str, object] | None = None,
    expires_after: timedelta | None = None,
) -> Alert:
    """The alert that a group's entry tells. Annotations `observed` (or `value`), `threshold`, `baseline`,
    `sample_size`, `request_id`, `trace_url` and `explanation_url` become the fields of these names; `description` is
    kept as a label."""
    labels, annotations = told.labels, told.annotations
    places = _places(tuple(labels))
    name = (name or first_of(labels, NAME_LABELS) or UNNAMED)[:255]
    metric = first_of(labels, places.metric) if places.metric else ""
    summary = _summary(annotations, name)
    if (description := text(annotations.get("description"))) and description != summary:
        labels.setdefault("description", description)
    version = first_of(labels, places.version) if places.version else ""
    cohort = cohort_of(labels) if places.cohort else None
    measured = _measured(annotations)
    subject = subject_of(labels, fallback=_UNKNOWN)
    if subject is _UNKNOWN:
        subject = Subject.of(
            "unknown", labels.get("rulename") or name
        )  # of DatasourceNoData: the rule, as of its alert
    return Alert(
        hook=hook.name,
        source=source,
        environment=environment_of(labels, hook),
        name=name,
        subject=subject,
        symptom=symptom or symptom_of(labels, name, metric, summary),
        severity=severity_of(labels.get("severity") or labels.get("priority")),
        status=told.status,
        summary=summary,
        received_at=message.received_at,
        starts_at=told.starts_at,
        ends_at=told.ends_at,
        resource=resource_of(labels, subject),
        segment=first_of(labels, places.segment) if places.segment else "",
        region=first_of(labels, places.region) if places.region else "",
        cohort=cohort,
        metric=metric,
        observed=observed if measured.observed is None else measured.observed,
        threshold=measured.threshold,
        baseline=measured.baseline,
        sample_size=measured.sample_size,
        model_version=version,
        per_version=bool(version or cohort),
        samples=_samples(annotations),
        labels=labels,
        links=_links(annotations, links or {}),
        sender_key=told.sender_key,
        expires_after=expires_after,
    )


def label_hash(labels: Mapping[str, str]) -> str:
    """A sender key for senders that give no fingerprint: 16 hex digits over all labels, in any order."""
    parts = (f"{key}\x1f{value}" for key, value in sorted(labels.items()))
    return hashlib.blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _moment(one: dict[str, Any], field: str, path: str) -> datetime | None:
    try:
        return moment(one.get(field))
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"{path}.{field}") from None


def _summary(annotations: Mapping[str, Any], name: str) -> str:
    if found := text(annotations.get("summary")):
        return found
    others = (text(annotations.get(key)) for key in ("message", "title", "description"))
    return next(filter(None, others), name)


class _Measured(NamedTuple):
    observed: float | None = None
    threshold: float | None = None
    baseline: float | None = None
    sample_size: int | None = None


_NOTHING = _Measured()
_ANY_NUMBER = frozenset({"observed", "value", "threshold", "baseline", "sample_size"})


def _measured(annotations: Mapping[str, Any]) -> _Measured:
    if _ANY_NUMBER.isdisjoint(annotations):
        return _NOTHING
    size = number(annotations.get("sample_size"))
    return _Measured(
        observed=number(annotations.get("observed", annotations.get("value"))),
        threshold=number(annotations.get("threshold")),
        baseline=number(annotations.get("baseline")),
        sample_size=int(size) if size is not None and 0 <= size < 2**63 else None,
    )


def _links(annotations: Mapping[str, Any], more: Mapping[str, object]) -> dict[str, str]:
    found = dict(more)
    for key, name in _LINK_ANNOTATIONS:
        if key in annotations:
            found.setdefault(name, annotations[key])
    return links_of(found)


def _samples(annotations: Mapping[str, Any]) -> tuple[Sample, ...]:
    """Offending requests by reference: each annotation may list several, separated by commas; the n-th of each
    belong together."""
    if _ANY_SAMPLE.isdisjoint(annotations):
        return ()
    requests, traces, explanations = (_listed(annotations.get(key)) for key in _SAMPLE_ANNOTATIONS)
    count = min(max(len(requests), len(traces), len(explanations)), MAX_SAMPLES)
    found = (
        Sample(request_id=_at(requests, n), trace_url=_link(traces, n), explanation_url=_link(explanations, n))
        for n in range(count)
    )
    return tuple(sample for sample in found if sample != Sample())


def _listed(value: object) -> list[str]:
    return [part.strip() for part in value.split(",")][:MAX_SAMPLES] if isinstance(value, str) else []


def _at(parts: Sequence[str], n: int) -> str:
    return parts[n][:255] if n < len(parts) else ""


def _link(parts: Sequence[str], n: int) -> str:
    return links_of({"link": parts[n]}).get("link", "") if n < len(parts) else ""
