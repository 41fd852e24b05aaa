"""What does an event of an unknown producer say? Its type's words and its data's usual fields, as CloudEvents and
EventBridge carry them: an alert, a change, or neither.

Data in our own words (native_alert, native_change) is read as such. Everything else is read by the tables below; where
they do not fit, a hook of one's own in the mappings (`reads:`) says it exactly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Sample, Status
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources import _alert_body, _change_body
from tocsin.sources._cloud import (
    Occasion,
    dig,
    facts,
    first_line,
    last_part,
    name_in,
    outcome_of,
    own_subject,
    plain,
    time_in,
)
from tocsin.sources._distribution import binned
from tocsin.sources._identity import (
    METRIC_LABELS,
    SEGMENT_LABELS,
    VERSION_LABELS,
    cohort_of,
    first_of,
    labels_of,
    link_of,
    links_of,
    resource_of,
    severity_of,
    symptom_of,
)
from tocsin.sources._json import number, shaped

EXPIRES_AFTER = timedelta(hours=24)
"""For an alert whose event knows no end."""

ALERT_WORDS = r"alert|alarm|incident|drift|anomal\w*|violat\w*|breach\w*|degraded|outage|unhealthy"
RESOLVED = frozenset(
    {"resolved", "ok", "closed", "recovered", "cleared", "normal", "healthy", "passed", "pass", "success", "inactive"}
)
NOUNS: tuple[tuple[str, ChangeKind], ...] = (
    (r"roll(ed)? ?back|revert\w*", ChangeKind.SERVICE_ROLLEDBACK),
    (r"model (version )?(was )?(promoted|approved|transitioned)|promot\w*", ChangeKind.MODEL_PROMOTED),
    (r"model (version )?(was )?deploy\w*|endpoint \w+", ChangeKind.MODEL_DEPLOYED),
    (r"model\w*", ChangeKind.MODEL_REGISTERED),
    (r"feature ?flags?|flags?|toggles?", ChangeKind.FEATURE_FLAG_CHANGED),
    (r"deploy\w*|releas\w*|roll(ed)? ?out", ChangeKind.SERVICE_DEPLOYED),
    (r"builds?", ChangeKind.BUILD_FINISHED),
    (r"artifacts?|images?|packages?", ChangeKind.ARTIFACT_PUBLISHED),
    (
        r"pipelines?|(pipeline|task)runs?|jobs?|runs?|workflows?|tasks?|executions?|training",
        ChangeKind.PIPELINERUN_FINISHED,
    ),
    (r"schemas?", ChangeKind.DATASET_SCHEMA_CHANGED),
    (r"datasets?|tables?|partitions?|objects?|files?|blobs?", ChangeKind.DATASET_MODIFIED),
    (r"config\w*|environments?|infrastructure|parameters?|secrets?|stacks?|clusters?", ChangeKind.ENVIRONMENT_MODIFIED),
)
"""Words of an event's type → kind of change, first match wins; it takes a verb beside it."""
VERBS = (
    r"\w+ed|successful|start|finish|complete|success|failure|change|update|create|delete|publish|push|deploy(ment)?|state|status"
    r"|release|rollback|rollout"
)

_ALERT = re.compile(rf"\b(?:{ALERT_WORDS})\b")
_NOUNS = tuple((re.compile(rf"\b(?:{words})\b"), kind) for words, kind in NOUNS)
_VERB = re.compile(rf"\b(?:{VERBS})\b")
_ENDED = re.compile(r"\b(?:resolved|recovered|closed|cleared|ended)\b")
_STATE_WORD = re.compile(
    r"[\s._/-]+(?:detected|firing|fired|raised|triggered|opened|created|updated|started|resolved|recovered|closed|cleared"
    r"|ended|v\d+)$",
    re.IGNORECASE,
)
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_KINDS = {kind.value: kind for kind in ChangeKind}
_SUBJECTS = {
    ChangeKind.MODEL_PROMOTED: "model",
    ChangeKind.MODEL_DEPLOYED: "model",
    ChangeKind.MODEL_REGISTERED: "model",
    ChangeKind.PIPELINERUN_FINISHED: "job",
    ChangeKind.DATASET_SCHEMA_CHANGED: "dataset",
    ChangeKind.DATASET_MODIFIED: "dataset",
}
_STATES = ("result", "outcome", "conclusion", "status", "state", "action")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEvent:
    """An event's envelope, whichever standard it follows."""

    type: str
    source: str
    id: str = ""
    subject: str = ""
    at: datetime | None = None
    data: Any = None


def told(event: PlainEvent, occasion: Occasion) -> Normalized:
    """The alert or change of an event, or the reason why it is neither. Raises BadPayload for data in our own words
    that do not fit."""
    data = facts(event.data)
    if own := _in_our_words(data, occasion):
        return own
    words = _HUMPS.sub(" ", event.type).lower().strip()
    labels = labels_of({**data, **facts(data.get("labels")), **facts(data.get("tags"))})
    if _ALERT.search(words) or first_of(labels, ("alertname", "alert_name")):
        return Normalized(alerts=(_alert(event, words, labels, occasion),))
    kind = next((kind for pattern, kind in _NOUNS if pattern.search(words)), None)
    kind = next((_KINDS[each] for each in _KINDS if each in event.type), kind)
    if kind is None or not _VERB.search(words):
        return Normalized(ignored=f"type {event.type[:80]} names neither an alert nor a change that we know")
    return Normalized(changes=(_change(event, kind, words, labels, occasion),))


def _in_our_words(data: dict[str, Any], occasion: Occasion) -> Normalized | None:
    names = data.keys()
    if {"name", "subject"} <= names <= _alert_body.AlertBody.model_fields.keys():
        alert = shaped(_alert_body.AlertBody, data)
        return Normalized(
            alerts=(_alert_body.alert_of(alert, occasion.message, occasion.hook, source=occasion.source),)
        )
    if {"kind", "subject"} <= names <= _change_body.ChangeBody.model_fields.keys():
        change = shaped(_change_body.ChangeBody, data)
        return Normalized(
            changes=(_change_body.change_of(change, occasion.message, occasion.hook, source=occasion.source),)
        )
    return None


def _raw_name(event: PlainEvent) -> str:
    inner = (dig(part, "metadata", "name") for part in facts(event.data).values())  # a Kubernetes object, as Tekton's
    named = next((each for each in inner if isinstance(each, str) and each), "")
    return named or last_part(event.subject) or last_part(event.source) or event.type


def _alert(event: PlainEvent, words: str, labels: dict[str, str], occasion: Occasion) -> Alert:
    data = facts(event.data)
    state = name_in(data, *_STATES)
    ended = plain(state) in RESOLVED or bool(_ENDED.search(words))
    name = first_of(labels, ("alertname", "alert_name", "name", "title", "rule")) or _rule_of(event.type)
    subject = own_subject(labels, occasion.hook, Subject.of("unknown", _raw_name(event)))
    metric = first_of(labels, METRIC_LABELS)
    said = next((first_line(data.get(key), 1000) for key in ("summary", "message", "description") if data.get(key)), "")
    knows_an_end = bool(state) or bool(_ENDED.search(words))
    size = number(data.get("sample_size"))
    version, cohort = first_of(labels, VERSION_LABELS), cohort_of(labels)
    spread = facts(data.get("distribution"))
    return occasion.alert(
        name=name,
        subject=subject,
        symptom=symptom_of(labels, metric, name, words, said),
        severity=severity_of(labels.get("severity") or labels.get("priority")),
        status=Status.RESOLVED if ended else Status.FIRING,
        summary=said or name,
        at=time_in(data, "starts_at", "ends_at", "timestamp", "time", path="data") or event.at,
        resource=resource_of(labels, subject),
        segment=first_of(labels, SEGMENT_LABELS),
        metric=metric,
        observed=next((found for key in ("observed", "value") if (found := number(data.get(key))) is not None), None),
        threshold=number(data.get("threshold")),
        baseline=number(data.get("baseline")),
        sample_size=int(size) if size is not None and 0 <= size < 2**63 else None,
        model_version=version,
        cohort=cohort,
        per_version=bool(version or cohort),
        distribution=binned(
            spread.get("labels"),
            spread.get("reference"),
            spread.get("current"),
            reference_size=spread.get("reference_size"),
        ),
        samples=_samples(data),
        labels={"type": event.type, "event_source": event.source} | labels,
        links=links_of({"event": data.get("url") or data.get("link")}),
        resolves=Resolves.SENDER if knows_an_end else Resolves.EXPIRY,
        expires_after=None if knows_an_end else EXPIRES_AFTER,
    )


def _samples(data: dict[str, Any]) -> tuple[Sample, ...]:
    """The offending record that the data names, by reference."""
    found = Sample(
        request_id=name_in(data, "request_id")[:255],
        trace_url=link_of(data.get("trace_url")),
        explanation_url=link_of(data.get("explanation_url")),
    )
    return (found,) if found != Sample() else ()


def _change(event: PlainEvent, kind: ChangeKind, words: str, labels: dict[str, str], occasion: Occasion) -> Change:
    data = facts(event.data)
    state = name_in(data, *_STATES)
    outcome = outcome_of(state)
    if outcome is ChangeOutcome.UNKNOWN:
        outcome = next((found for word in reversed(words.split()) if (found := _outcome(word))), ChangeOutcome.SUCCESS)
    name = first_of(labels, ("name", "title")) or _raw_name(event)
    subject = own_subject(labels, occasion.hook, Subject.of(_SUBJECTS.get(kind, "service"), name))
    run = first_of(labels, ("run_id", "execution_id", "job_id", "deployment_id")) or event.id
    at = event.at or time_in(data, "timestamp", "time", path="data")
    return occasion.change(
        id=f"{event.source}:{kind.value}:{run}",
        kind=kind,
        subject=subject,
        outcome=outcome,
        summary=f"{subject.name}: {' '.join(words.split()[-3:])}" + (f", {state}" if state else ""),
        began=at,
        ended=None if outcome is ChangeOutcome.RUNNING else at,
        version=first_of(labels, ("version", "model_version", "tag", "commit", "sha"))[:255],
        author=first_of(labels, ("author", "user", "actor"))[:255],
        url=data.get("url") or data.get("link"),
        labels={"type": event.type, "event_source": event.source} | labels,
    )


def _rule_of(kind: str) -> str:
    """An event's type without the state that it ends with, so that firing and resolved name the same alert."""
    return _STATE_WORD.sub("", kind) or kind


def _outcome(word: str) -> ChangeOutcome | None:
    found = outcome_of(word)
    return None if found is ChangeOutcome.UNKNOWN else found
