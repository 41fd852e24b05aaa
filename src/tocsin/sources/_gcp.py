"""What happened in Google Cloud? The data of its events, told apart by shape when no type is beside it: Cloud Build,
audit log, storage, Pub/Sub, Firestore, Firebase and other resources.

https://github.com/googleapis/google-cloudevents
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources import _gcp_audit, _plain_event, _vertex
from tocsin.sources._cloud import Occasion, dig, facts, last_part, name_in, outcome_of, run_subject, time_in
from tocsin.sources._cloudevent import CloudEvent, unpacked
from tocsin.sources._delivery import kind_of_run

MAX_DEPTH = 3
"""How deep messages of Pub/Sub may wrap one another."""

BUILD_STATES = ("", "QUEUED", "WORKING", "SUCCESS", "FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "", "EXPIRED")
"""Cloud Build's status by number, as protocol buffers without names write it."""

QUIET = (
    ("google.cloud.scheduler.", "a timer"),
    ("google.firebase.auth.", "a user's account is no change of what runs"),
    ("google.firebase.analytics.", "a user's event is no change of what runs"),
    ("google.cloud.iot.", "telemetry is neither an alert nor a change"),
    ("google.cloud.pubsub.topic.", "a message without JSON"),
)
"""Types that carry nothing for us."""

_QUIET_SHAPES = (
    ({"incident", "version"}, "an incident of Cloud Monitoring: point its channel at a hook of gcp_monitoring"),
    ({"customData"}, "Cloud Scheduler: a timer"),
    ({"eventDim"}, "Firebase Analytics: a user's event is no change of what runs"),
    ({"uid", "email"}, "Firebase Authentication: a user's account is no change of what runs"),
    ({"uid", "metadata"}, "Firebase Authentication: a user's account is no change of what runs"),
)
"""The same, for data that comes without a type."""

_BUILD_FIELDS = frozenset({"buildTriggerId", "logUrl", "queueTtl", "substitutions", "steps", "logsBucket"})


def told(event: CloudEvent, occasion: Occasion, depth: int = 0) -> Normalized:
    """What an event with its type, or data alone (its type is then empty), tells. Raises BadPayload for data of no
    known shape, and for a known one that lacks what Google documents."""
    data = facts(event.data)
    for fits, read in _SHAPES:
        if fits(data):
            return read(event, data, occasion)
    if isinstance(data.get("message"), dict) and depth < MAX_DEPTH:
        return _message(event, data, occasion, depth)
    for prefix, why in QUIET:
        if event.type.startswith(prefix):
            return Normalized(ignored=f"{event.type}: {why}")
    for fields, why in _QUIET_SHAPES:
        if fields <= data.keys():
            return Normalized(ignored=why)
    if not event.type:
        if "logName" in data or "insertId" in data:
            return Normalized(ignored="a log entry that is neither an audit entry nor one of model monitoring")
        raise BadPayload("data of no event of Google Cloud that we know")
    return _resource(event, data, occasion)


def _message(event: CloudEvent, data: dict[str, Any], occasion: Occasion, depth: int) -> Normalized:
    """A message of Pub/Sub: what its data wraps, by the same rules."""
    message = facts(data.get("message"))
    encoded, attributes = message.get("data"), facts(message.get("attributes"))
    inner = unpacked(encoded, "message.data") if isinstance(encoded, str) and encoded else message.get("json")
    kind = name_in(attributes, "eventType")
    if kind.startswith("OBJECT_") and isinstance(inner, dict):
        return _stored(CloudEvent(type=kind, source=event.source, id=event.id, data=inner), inner, occasion)
    if not isinstance(inner, dict):
        topic = last_part(event.source or name_in(data, "subscription"))
        return Normalized(ignored=f"a Pub/Sub message of {topic or 'a topic'} that carries no JSON object")
    at = time_in(message, "publishTime", path="message") or event.at
    id = name_in(message, "messageId", "message_id") or event.id
    wrapped = CloudEvent(type="", source=event.source, id=id, at=at, data=inner)
    try:
        return told(wrapped, occasion, depth + 1)
    except BadPayload as error:
        if error.reason != "data of no event of Google Cloud that we know":
            raise
    words = kind or name_in(inner, "type", "event", "event_type", "eventType") or last_part(event.source)
    plain = _plain_event.PlainEvent(type=words, source=event.source, id=id, at=at, data=inner)
    return _plain_event.told(plain, occasion)


def _is_build(data: dict[str, Any]) -> bool:
    return bool(_BUILD_FIELDS & data.keys()) and ("createTime" in data or "status" in data)


def _build(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    named = facts(data.get("substitutions"))
    source = facts(dig(data, "source", "repoSource"))
    trigger = name_in(data, "buildTriggerId")
    status = data.get("status")
    state = (
        BUILD_STATES[status] if isinstance(status, int) and 0 <= status < len(BUILD_STATES) else name_in(data, "status")
    )
    trigger_name = name_in(named, "TRIGGER_NAME")
    name = trigger_name or name_in(named, "REPO_NAME", "_SERVICE_NAME") or name_in(source, "repoName") or trigger
    name = name or name_in(data, "id") or name_in(data, "projectId") or "build"
    kind = kind_of_run(name, *_tags(data), otherwise=ChangeKind.BUILD_FINISHED)
    outcome = outcome_of(state)
    created = time_in(data, "createTime")
    began = time_in(data, "startTime") or created or event.at
    commit = name_in(named, "SHORT_SHA") or name_in(named, "COMMIT_SHA")[:12]
    change = occasion.change(
        id=f"cloudbuild:{name_in(data, 'id') or trigger + ':' + name_in(data, 'createTime')}",
        kind=kind,
        subject=run_subject(name, kind, occasion.hook),
        outcome=outcome,
        summary=f"build {name}: {state or 'no status yet'}",
        began=began,
        ended=None if outcome is ChangeOutcome.RUNNING else time_in(data, "finishTime"),
        version=(name_in(named, "TAG_NAME") or commit)[:255],
        url=data.get("logUrl"),
        labels={"status": state, "trigger": trigger, "project": name_in(data, "projectId")}
        | {"branch": name_in(named, "BRANCH_NAME"), "repository": name_in(named, "REPO_NAME")},
    )
    return Normalized(changes=(change,))


def _tags(data: dict[str, Any]) -> list[str]:
    tags = data.get("tags")
    return [each for each in tags if isinstance(each, str)] if isinstance(tags, list) else []


def _stored(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    bucket, key = name_in(data, "bucket"), name_in(data, "name")
    what = last_part(event.type.replace(".", "/")) or "changed"
    change = occasion.change(
        id=f"storage:{bucket}/{key}:{name_in(data, 'generation') or event.id}:{what}",
        kind=ChangeKind.DATASET_MODIFIED,
        subject=Subject.of("dataset", bucket or "bucket"),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"gs://{bucket}/{key}: {what}",
        began=time_in(data, "updated", "timeCreated") or event.at,
        labels={"key": key, "generation": name_in(data, "generation"), "type": event.type},
    )
    return Normalized(changes=(change,))


def _document(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    """A document of Firestore: its collection is the dataset."""
    value = facts(data.get("value")) or facts(data.get("oldValue"))
    path = name_in(value, "name") or event.subject
    collection = path.partition("/documents/")[2].rpartition("/")[0] or last_part(path) or "firestore"
    change = occasion.change(
        id=f"firestore:{path}:{name_in(value, 'updateTime', 'createTime') or event.id}",
        kind=ChangeKind.DATASET_MODIFIED,
        subject=Subject.of("dataset", collection),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"document {last_part(path)} of {collection}: " + ("written" if data.get("value") else "deleted"),
        began=time_in(value, "updateTime", "createTime", path="value") or event.at,
        labels={"document": path, "type": event.type},
    )
    return Normalized(changes=(change,))


def _reference(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    """A write to Firebase's realtime database."""
    path = event.subject.removeprefix("refs/") or last_part(event.source) or "realtime-database"
    change = occasion.change(
        id=f"firebase:{event.source}:{path}:{event.id or occasion.message.id}",
        kind=ChangeKind.DATASET_MODIFIED,
        subject=Subject.of("dataset", path.split("/", maxsplit=1)[0] or path),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{path} was written",
        began=event.at,
        labels={"type": event.type, "path": path},
    )
    return Normalized(changes=(change,))


def _remote_config(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    """A new version of Firebase Remote Config: what apps read as flags."""
    version = name_in(data, "versionNumber")
    project = last_part(event.source) or "remote-config"
    change = occasion.change(
        id=f"remoteconfig:{event.source}:{version}",
        kind=ChangeKind.FEATURE_FLAG_CHANGED,
        subject=Subject.of("service", project),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"Remote Config version {version}: {name_in(data, 'description') or name_in(data, 'updateType')}",
        began=time_in(data, "updateTime") or event.at,
        version=version[:255],
        author=(name_in(facts(data.get("updateUser")), "email", "name"))[:255],
        labels={"update_type": name_in(data, "updateType"), "origin": name_in(data, "updateOrigin")},
    )
    return Normalized(changes=(change,))


def _resource(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    """Any other resource: `google.cloud.<service>.<resource>.v1.<verb>`, its new state under `payload`."""
    payload = facts(data.get("payload")) or data
    parts = event.type.split(".")
    service, verb = (parts[2] if len(parts) > 2 else event.type), parts[-1]
    noun = parts[3] if len(parts) > 4 else "resource"
    state = name_in(payload, "currentState", "state", "status") or verb
    name = last_part(name_in(payload, "name", "id")) or last_part(event.subject) or last_part(event.source) or noun
    runs = noun in ("job", "execution", "pipeline", "task", "testMatrix", "workflow")
    outcome = outcome_of(state.removeprefix("JOB_STATE_"))
    if not runs and outcome is ChangeOutcome.UNKNOWN:
        outcome = ChangeOutcome.SUCCESS
    at = event.at or time_in(payload, "updateTime", "createTime", path="payload")
    change = occasion.change(
        id=f"{event.source}:{name}:{'' if runs else event.id}",
        kind=ChangeKind.PIPELINERUN_FINISHED if runs else ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("job" if runs else "service", name),
        outcome=outcome,
        summary=f"{service} {noun} {name}: {state}",
        began=time_in(payload, "createTime", path="payload") if runs else at,
        ended=None if outcome is ChangeOutcome.RUNNING else at,
        labels={"type": event.type, "resource": name_in(payload, "name"), "state": state},
    )
    return Normalized(changes=(change,))


def _entry(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    return _vertex.told(data, occasion)


def _audit(event: CloudEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    return _gcp_audit.told(data, occasion)


_SHAPES = (
    (_vertex.is_vertex, _entry),
    (lambda data: "protoPayload" in data, _audit),
    (_is_build, _build),
    (lambda data: "bucket" in data and ("name" in data or "generation" in data), _stored),
    (lambda data: "documents/" in str(dig(data, "value", "name") or dig(data, "oldValue", "name") or ""), _document),
    (lambda data: "versionNumber" in data and ("updateType" in data or "updateOrigin" in data), _remote_config),
    (lambda data: data.keys() == {"data", "delta"}, _reference),
)
"""Data by shape → its reader; the first that fits."""
