"""The alert that a monitor's report makes: its evidence read from labels, its identity from the monitor's own key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Sample, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._identity import (
    METRIC_LABELS,
    REGION_LABELS,
    SEGMENT_LABELS,
    SUBJECT_LABELS,
    VERSION_LABELS,
    cohort_of,
    environment_of,
    first_of,
    labels_of,
    link_of,
    links_of,
    subject_of,
    symptom_of,
)
from tocsin.sources._json import number
from tocsin.sources._times import moment

MAX_NAME = 255
MAX_KEY = 255

CLAIMS = frozenset({"subject", *(label for _, labels in SUBJECT_LABELS for label in labels)})
"""Labels that name outright what a report is about; hosts and instances are not among them."""


def alert_of(
    message: Message,
    hook: Hook,
    *,
    source: str,
    name: str,
    about: Subject,
    status: Status,
    severity: Severity,
    labels: Mapping[str, str],
    summary: str = "",
    key: str = "",
    claims: Mapping[str, str] | None = None,
    symptom: Symptom | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    resource: str = "",
    metric: str = "",
    observed: float | None = None,
    threshold: float | None = None,
    samples: tuple[Sample, ...] = (),
    links: Mapping[str, object] | None = None,
    sender_key: str = "",
    resolves: Resolves = Resolves.SENDER,
    expires_after: timedelta | None = None,
) -> Alert:
    """The alert of a report. What it is about: the labels (or only `claims` among them) over the hook's defaults, else
    `about`. Labels `observed` (or `value`), `threshold`, `baseline`, `sample_size`, `metric`, `segment`, `region`,
    `model_version`, `cohort`, `request_id`, `trace_url` and `explanation_url` are its evidence.

    With `key` that alone is the identity: for monitors whose end of an alert carries less than its beginning."""
    said = {**hook.defaults, **labels}
    named = said if claims is None else {**hook.defaults, **claims}
    version, cohort = first_of(said, VERSION_LABELS), cohort_of(said)
    name = name[:MAX_NAME]
    metric = metric or first_of(said, METRIC_LABELS)
    size = number(said.get("sample_size"))
    return Alert(
        hook=hook.name,
        source=source,
        environment=environment_of(said, hook),
        name=name,
        subject=subject_of(named, fallback=about),
        symptom=symptom if symptom and "symptom" not in said else symptom_of(said, name, metric, summary),
        severity=severity,
        status=status,
        summary=(summary or name)[:1024],
        received_at=message.received_at,
        starts_at=starts_at,
        ends_at=ends_at if status is Status.RESOLVED else None,
        resource=resource[:MAX_NAME],
        segment=first_of(said, SEGMENT_LABELS)[:MAX_NAME],
        region=first_of(said, REGION_LABELS)[:MAX_NAME],
        cohort=cohort,
        metric=metric[:MAX_NAME],
        observed=observed if observed is not None else number(said.get("observed", said.get("value"))),
        threshold=threshold if threshold is not None else number(said.get("threshold")),
        baseline=number(said.get("baseline")),
        sample_size=int(size) if size is not None and 0 <= size < 2**63 else None,
        model_version=version,
        per_version=bool(version or cohort),
        samples=samples or _samples(said),
        labels=labels_of(said),
        links=links_of({name: link for name, link in (links or {}).items() if link}),
        sender_key=(sender_key or key)[:MAX_KEY],
        resolves=resolves,
        expires_after=expires_after,
        fingerprint=key_fingerprint(hook, key) if key else "",
    )


def key_fingerprint(hook: Hook, key: str) -> str:
    """The identity of an alert that its monitor's own key tells alone: 32 hex digits over hook and key."""
    return hashlib.blake2b(f"{hook.name}\x1fkey\x1f{key}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def claims_in(labels: Mapping[str, str]) -> dict[str, str]:
    """Those of the labels that name outright what a report is about (CLAIMS)."""
    return {name: value for name, value in labels.items() if name in CLAIMS}


def time_at(value: Any, path: str) -> datetime | None:  # noqa: ANN401
    """The moment, as `moment` reads it. Raises BadPayload with the path of what is no time."""
    try:
        return moment(value)
    except BadPayload as error:
        raise BadPayload(error.reason, path=path) from None


def any_time(*values: Any) -> datetime | None:  # noqa: ANN401
    """The first of these values that is a sane time; None when none is. For fields that people format themselves."""
    for value in values:
        try:
            found = moment(value)
        except BadPayload:
            continue
        if found:
            return found
    return None


def filled(labels: Mapping[str, object]) -> dict[str, str]:
    """Labels without the blank ones."""
    return {name: value for name, value in labels_of(dict(labels)).items() if value.strip()}


def _samples(labels: Mapping[str, str]) -> tuple[Sample, ...]:
    sample = Sample(
        request_id=labels.get("request_id", "")[:MAX_NAME],
        trace_url=link_of(labels.get("trace_url")),
        explanation_url=link_of(labels.get("explanation_url")),
    )
    return () if sample == Sample() else (sample,)
