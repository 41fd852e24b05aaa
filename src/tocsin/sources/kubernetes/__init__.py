"""Kubernetes: events as alerts, rollouts of workloads as changes; an exporter, a watcher or the audit log posts them.

Kubernetes itself posts nothing but its audit log. Read are: an Event of core/v1 or events.k8s.io, a workload object, a
watch's `{type, object}`, a List, an exporter's `{verb, event}`, kubewatch's `{eventmeta, text, time}` and audit events.
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._flat import Fields, objects
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._report import worst_first
from tocsin.sources._verify import shared_secret
from tocsin.sources.kubernetes._audit import audited
from tocsin.sources.kubernetes._events import EXPIRES_AFTER, of_event
from tocsin.sources.kubernetes._kubewatch import from_kubewatch
from tocsin.sources.kubernetes._names import NAME
from tocsin.sources.kubernetes._rollouts import WORKLOADS, of_workload

MAX_REASONS = 5


def normalize(message: Message, hook: Hook) -> Normalized:
    """Alerts and changes of every object in the body. Raises BadPayload for what is no object of Kubernetes."""
    body = parsed(message.body)
    found = [_of(entry, message, hook) for entry in _objects(body)]
    alerts = worst_first(alert for said in found for alert in said.alerts)
    changes = tuple({change.id: change for said in found for change in said.changes}.values())
    if alerts or changes:
        return Normalized(alerts=alerts, changes=changes)
    reasons = dict.fromkeys(said.ignored for said in found)
    return Normalized(ignored="; ".join([*reasons][:MAX_REASONS]) or "an empty list")


def _objects(body: Any) -> list[Fields]:  # noqa: ANN401
    """The body itself, or the entries of a list of Kubernetes or of an array."""
    if isinstance(body, list):
        return objects(body, "")
    if not isinstance(body, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(body)}")
    kind = body.get("kind")
    if isinstance(kind, str) and kind.endswith("List"):
        return [_kinded(entry, kind, body) for entry in objects(body.get("items", []), "items")]
    return [Fields(body)]


def _kinded(entry: Fields, kind: str, body: dict[str, Any]) -> Fields:
    """Entries of a typed list do not repeat its kind."""
    own = {"kind": kind.removesuffix("List") or "Event", "apiVersion": body.get("apiVersion")}
    return Fields({**own, **entry.data}, entry.path)


def _of(entry: Fields, message: Message, hook: Hook) -> Normalized:
    verb = entry.text("type", "verb").upper() if "object" in entry or "event" in entry else ""
    for wrapper in ("object", "event"):
        if verb and isinstance(entry.data.get(wrapper), dict):
            entry = Fields({"kind": "Event", **entry.data[wrapper]}, entry.at_path(wrapper))
            break
    if "eventmeta" in entry:
        return from_kubewatch(entry, message, hook)
    kind = entry.need("kind")
    if entry.text("apiVersion").startswith("audit.k8s.io/"):
        return audited(entry, message, hook)
    if kind == "Event":
        if verb == "DELETED":
            return Normalized(ignored="an event that was deleted: its time to live is over")
        return of_event(entry, message, hook)
    if kind in WORKLOADS:
        return of_workload(entry, kind, message, hook, deleted=verb == "DELETED")
    return Normalized(ignored=f"kind {kind[:60]}: neither an event nor a workload that is rolled out")


SETUP = """\
Kubernetes posts nothing by itself; any of these does (all with the header `Authorization: Bearer {secret}`):

- events: an exporter of events with a webhook sink. For kubernetes-event-exporter:

  ```yaml
  receivers:
  - name: tocsin
    webhook:
      endpoint: {url}
      headers: {{Authorization: "Bearer {secret}"}}
  ```

- rollouts: a watcher that posts the Deployment (StatefulSet, DaemonSet, Rollout, Job, InferenceService) when it
  changed, or the API server's audit webhook, whose records also name who did it
- by hand, after a rollout: `kubectl get deployment web -o json | curl -fsS {url} -H 'Authorization: Bearer {secret}'
  --data-binary @-`

The labels `app.kubernetes.io/name`, `app`, `service` and `model` of an object say what it is about; without them a
pod's name without its hashes does. Events never say that it is over: an alert ends an hour after its last event (as
long as the API server keeps an event by default), pressure and readiness of a node when the node reports the opposite.
"""

SOURCE = Source(
    name=NAME,
    title="Kubernetes",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    setup=SETUP,
    aliases=("k8s", "kubewatch", "kubernetes_events"),
    ignores=(
        "events of type Normal that tell of nothing wrong and of no rollout",
        "objects of other kinds than workloads and their settings",
        "audit records of reads, of denied or failed requests and of what is not rolled out",
    ),
)
