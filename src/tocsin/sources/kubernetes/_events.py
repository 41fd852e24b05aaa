"""Which event tells that something is wrong, how badly, and which tells that it is over?"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TypedDict

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.sources._flat import Fields
from tocsin.sources._identity import labels_of, symptom_of
from tocsin.sources._monitor import alert_of, filled, time_at
from tocsin.sources.kubernetes._names import NAME, about
from tocsin.sources.kubernetes._rollouts import Thing, change_of

EXPIRES_AFTER = timedelta(hours=1)
"""The API server's default --event-ttl: an event that is not repeated for an hour is forgotten there too."""

OPPOSITES = {
    "NodeReady": "NodeNotReady",
    "NodeHasNoDiskPressure": "NodeHasDiskPressure",
    "NodeHasSufficientMemory": "NodeHasInsufficientMemory",
    "NodeHasSufficientPID": "NodeHasInsufficientPID",
}
"""What a kubelet says when it is over → what it said when it began. Both are of type Normal."""
BEGIN = frozenset(OPPOSITES.values())

SEVERITIES = {
    Severity.CRITICAL: "NodeNotReady SystemOOM KubeletSetupFailed NodeLost",
    Severity.ERROR: "BackOff Failed FailedCreate FailedMount FailedAttachVolume FailedCreatePodSandBox OOMKilling "
    "OOMKilled Evicted EvictionThresholdMet BackoffLimitExceeded DeadlineExceeded ProgressDeadlineExceeded "
    "ErrImagePull ImagePullBackOff CrashLoopBackOff FailedBinding ProvisioningFailed NodeHasDiskPressure "
    "NodeHasInsufficientMemory NodeHasInsufficientPID FreeDiskSpaceFailed Rebooted PodFailed InternalError",
}
"""Reasons that are worse than a warning."""
_SEVERITY_OF = {reason: severity for severity, reasons in SEVERITIES.items() for reason in reasons.split()}

SYMPTOMS = {
    Symptom.SATURATION: "FailedScheduling OOMKilling OOMKilled SystemOOM Evicted EvictionThresholdMet "
    "FreeDiskSpaceFailed ImageGCFailed NodeHasDiskPressure NodeHasInsufficientMemory NodeHasInsufficientPID "
    "ExceededGracePeriod NotTriggerScaleUp FailedCreate",
    Symptom.ERRORS: "BackoffLimitExceeded DeadlineExceeded PodFailed",
    Symptom.AVAILABILITY: "BackOff Failed Unhealthy NodeNotReady FailedMount FailedAttachVolume FailedCreatePodSandBox "
    "ErrImagePull ImagePullBackOff CrashLoopBackOff ProbeWarning Rebooted ProgressDeadlineExceeded FailedBinding "
    "ProvisioningFailed NodeLost NetworkNotReady",
}
_SYMPTOM_OF = {reason: symptom for symptom, reasons in SYMPTOMS.items() for reason in reasons.split()}

CORDONS = {"NodeNotSchedulable": "cordoned", "NodeSchedulable": "uncordoned"}

_SCALED_UP = re.compile(r"Scaled up replica set (?P<set>\S+) to \d+(?: from (?P<from>\d+))?")
"""Only a replica set that did not run before begins a rollout. Older versions do not tell from how many."""


def of_event(event: Fields, message: Message, hook: Hook) -> Normalized:
    """An alert for what is wrong, a change for the rollout, the end of a job or a cordon that an event tells of.
    Raises BadPayload without a reason or an object."""
    regarding = event.inner("involvedObject") if "involvedObject" in event else event.need_inner("regarding")
    reason = event.need("reason")
    kind, name = regarding.text("kind"), regarding.need("name")
    normal = event.text("type").lower() == "normal"
    if normal and reason not in OPPOSITES and reason not in BEGIN:
        return _normal(event, reason, regarding, message, hook)
    words = event.text("message", "note")
    where = f"{regarding.text('namespace')}/{name}".lstrip("/")
    own = labels_of(regarding.data.get("labels"))
    origin = event.inner("source") if "source" in event else event.inner("deprecatedSource")
    labels = own | filled(
        {
            "kind": kind,
            "namespace": regarding.text("namespace"),
            "name": name,
            "node": name if kind == "Node" else origin.text("host"),
            "component": origin.text("component") or event.text("reportingComponent", "reportingController"),
            "count": event.text("count", "deprecatedCount") or event.inner("series").text("count"),
        }
    )
    ended = reason in OPPOSITES
    began = OPPOSITES.get(reason, reason)
    at = _time(event)
    alert = alert_of(
        message,
        hook,
        source=NAME,
        name=began,
        about=about(kind, name, own),
        status=Status.RESOLVED if ended else Status.FIRING,
        severity=_SEVERITY_OF.get(began, Severity.WARNING),
        labels=labels,
        claims=own,
        symptom=_SYMPTOM_OF.get(began) or symptom_of({}, began, words),
        summary=f"{kind or 'object'} {where}: {words or reason}",
        starts_at=None if ended else at,
        ends_at=at,
        resource=where,
        sender_key=f"{regarding.text('uid') or where}:{began}",
        resolves=Resolves.SENDER if began in BEGIN else Resolves.EXPIRY,
        expires_after=None if began in BEGIN else EXPIRES_AFTER,
    )
    return Normalized(alerts=(alert,))


def _time(event: Fields) -> datetime | None:
    """When it was last seen: a repeated event keeps its first time and counts on."""
    for told in (event.inner("series"), event):
        for key in ("lastObservedTime", "lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp"):
            if found := time_at(told.data.get(key), told.at_path(key)):
                return found
    made = event.inner("metadata")
    return time_at(made.data.get("creationTimestamp"), made.at_path("creationTimestamp"))


class _Told(TypedDict):
    summary: str
    occurred_at: datetime


def _normal(event: Fields, reason: str, regarding: Fields, message: Message, hook: Hook) -> Normalized:
    """The rollout that begins, the job that ended or the node that was cordoned; nothing else of type Normal counts."""
    thing = Thing.of(regarding, regarding.text("kind"))
    words = event.text("message", "note")
    at = _time(event) or message.received_at
    told: _Told = {"summary": f"{thing.kind} {thing.where}: {words or reason}", "occurred_at": at}
    if reason == "ScalingReplicaSet":
        started = _SCALED_UP.match(words)
        if not started or (started["from"] or "0") != "0":
            return Normalized(ignored="event ScalingReplicaSet: a replica set that runs already was scaled")
        made = change_of(
            thing,
            message,
            hook,
            part=started["set"],
            kind=ChangeKind.SERVICE_DEPLOYED,
            outcome=ChangeOutcome.RUNNING,
            version=started["set"].removeprefix(f"{thing.name}-"),
            **told,
        )
    elif thing.kind == "Job" and reason == "Completed":
        made = change_of(
            thing,
            message,
            hook,
            part=thing.uid,
            kind=ChangeKind.PIPELINERUN_FINISHED,
            outcome=ChangeOutcome.SUCCESS,
            finished_at=at,
            **told,
        )
    elif reason in CORDONS:
        made = change_of(
            thing,
            message,
            hook,
            part=f"{CORDONS[reason]}:{at:%Y%m%dT%H%M%S}",
            kind=ChangeKind.ENVIRONMENT_MODIFIED,
            outcome=ChangeOutcome.SUCCESS,
            finished_at=at,
            **told,
        )
    else:
        return Normalized(ignored=f"event Normal {reason[:60]}: nothing is wrong")
    return Normalized(changes=(made,))
