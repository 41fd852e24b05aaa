"""kubewatch: an object of some kind was created, updated or deleted; it tells no more than that."""

from __future__ import annotations

from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.sources._flat import Fields
from tocsin.sources._monitor import time_at
from tocsin.sources.kubernetes._rollouts import Thing, change_of

KINDS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "daemon set": "DaemonSet",
    "configmap": "ConfigMap",
    "secret": "Secret",
    "hpa": "HorizontalPodAutoscaler",
    "ingress": "Ingress",
}
SETTINGS = frozenset({"ConfigMap", "Secret", "HorizontalPodAutoscaler", "Ingress"})


def from_kubewatch(body: Fields, message: Message, hook: Hook) -> Normalized:
    """The change that kubewatch saw. Raises BadPayload without kind, name or reason."""
    meta = body.need_inner("eventmeta")
    said, reason = meta.need("kind"), meta.need("reason").lower()
    kind = KINDS.get(said.lower())
    if kind is None:
        return Normalized(ignored=f"kubewatch: kind {said[:60]} is not rolled out")
    thing = Thing.of(_unqualified(meta), kind)
    at = time_at(body.data.get("time"), "time") or message.received_at
    changed = ChangeKind.SERVICE_REMOVED if reason == "deleted" else ChangeKind.SERVICE_DEPLOYED
    made = change_of(
        thing,
        message,
        hook,
        part=f"{reason}:{at:%Y%m%dT%H%M%S}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED if kind in SETTINGS else changed,
        outcome=ChangeOutcome.UNKNOWN,
        occurred_at=at,
        summary=body.text("text") or f"{kind} {thing.where} {reason}",
    )
    return Normalized(changes=(made,))


def _unqualified(meta: Fields) -> Fields:
    """The object's metadata; `namespace/name`, the key by which kubewatch names what it saw updated, as the name."""
    return Fields({**meta.data, "name": meta.need("name").rpartition("/")[2]}, meta.path)
