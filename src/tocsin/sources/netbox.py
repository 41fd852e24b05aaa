"""What changed in NetBox, the source of truth of a network?

Objects created, updated or deleted are changes of the environment; a failed job is a failed change. Signed with
X-Hook-Signature: the hex HMAC-SHA512 of the body. https://netboxlabs.com/docs/netbox/integrations/webhooks
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, change, fields_of, said, tags_of
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "netbox"

EVENTS = {"created": "created", "updated": "updated", "deleted": "deleted"}
JOBS = {
    "job_started": ChangeOutcome.RUNNING,
    "job_completed": ChangeOutcome.SUCCESS,
    "job_ended": ChangeOutcome.UNKNOWN,
    "job_failed": ChangeOutcome.FAILURE,
    "job_errored": ChangeOutcome.FAILURE,
}
JOB_STATES = {
    "completed": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "errored": ChangeOutcome.FAILURE,
    "running": ChangeOutcome.RUNNING,
}

KINDS = {
    "device": "host",
    "virtualmachine": "host",
    "virtual_machine": "host",
    "service": "service",
    "application": "service",
    "provider": "provider",
    "provideraccount": "provider",
    "circuit": "provider",
}
"""NetBox model → kind of subject; any other keeps its raw name until a mapping resolves it."""

PAPERWORK = frozenset(
    {"journalentry", "imageattachment", "savedfilter", "bookmark", "notification", "tag", "exporttemplate"}
)
"""Models that describe others: their changes change nothing that runs."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change. Raises BadPayload without event, model or the object's identity."""
    body = fields_of(message)
    event = body.need("event").lower().removeprefix("object_")
    model = body.text("model", "object_type").rpartition(".")[2].lower()
    if event in JOBS:
        return _job(body, event, message, hook)
    if event not in EVENTS:
        return Normalized(ignored=f"event {event[:40]} changes nothing")
    if not model:
        raise BadPayload("absent: what kind of object changed", path="model")
    if model in PAPERWORK:
        return Normalized(ignored=f"{model} {event}: it describes others and changes nothing that runs")
    data = body.need_inner("data")
    name = data.text("name", "display", "address", "prefix", "label", "slug", "cid") or data.need("id")
    user, at = body.text("username"), body.time("timestamp")
    fields = _changed(body) if event == "updated" else []
    device = _parent(data)
    made = change(
        message,
        hook,
        source=NAME,
        id=f"{body.text('request_id')}:{model}:{data.text('id') or name}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of(KINDS.get(model, "host" if device else "unknown"), device or name),
        occurred_at=at,
        finished_at=at,
        outcome=ChangeOutcome.SUCCESS,
        author=user,
        url=data.text("display_url", "url"),
        summary=f"{model} {name} {event}"
        + (f" ({', '.join(fields)})" if fields else "")
        + (f" by {user}" if user else ""),
        tags=tags_of(data.data.get("tags")),
        labels={
            "netbox_model": model,
            "object": name,
            "event": event,
            "status": _label(data, "status"),
            "site": _label(data, "site"),
            "role": _label(data, "role"),
            "changed": ",".join(fields),
        },
    )
    return Normalized(changes=(made,))


def _label(data: Fields, key: str) -> str:
    """A choice or a reference by the name that people read."""
    value = data.data.get(key)
    return Fields(value).text("value", "name", "display", "label") if isinstance(value, dict) else said(value)


def _parent(data: Fields) -> str:
    """The device or virtual machine that an interface, module or address belongs to."""
    return _label(data, "device") or _label(data, "virtual_machine")


def _changed(body: Fields) -> list[str]:
    """Names of the fields that differ between the snapshots, at most ten."""
    snapshots = body.inner("snapshots")
    before: dict[str, Any] = dict(snapshots.inner("prechange").data)
    after: dict[str, Any] = dict(snapshots.inner("postchange").data)
    if not before:
        return []
    differing = [key for key in sorted(after) if key != "last_updated" and before.get(key) != after[key]]
    return [str(key)[:60] for key in differing[:10]]


def _job(body: Fields, event: str, message: Message, hook: Hook) -> Normalized:
    data = body.inner("data")
    name = data.text("name", "display") or body.need("model")
    outcome = JOBS[event]
    if outcome is ChangeOutcome.UNKNOWN:
        outcome = JOB_STATES.get(_label(data, "status").lower(), ChangeOutcome.UNKNOWN)
    at = data.time("completed", "started", "created") or body.time("timestamp")
    made = change(
        message,
        hook,
        source=NAME,
        id=f"job:{data.text('job_id', 'id') or body.text('request_id')}",
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=Subject.of("job", name),
        occurred_at=data.time("started", "created") or at,
        finished_at=None if outcome is ChangeOutcome.RUNNING else at,
        outcome=outcome,
        author=body.text("username"),
        url=data.text("display_url", "url"),
        summary=f"NetBox job {name} {event.removeprefix('job_')}",
    )
    return Normalized(changes=(made,))


SOURCE = Source(
    name=NAME,
    title="NetBox",
    verify=any_of(hmac_hex(header="X-Hook-Signature", algorithm="sha512"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=tuple(f"{model} objects" for model in sorted(PAPERWORK)),
    setup="""\
Operations → Integrations → Webhooks → Add: URL `{url}`, method POST, content type `application/json`, secret `{secret}`
(NetBox then signs the body in `X-Hook-Signature`), no body template. Then an event rule for *object created*,
*updated*, *deleted* and jobs on the object types that can break something: devices, interfaces, IP addresses, virtual
machines, circuits, services.
""",
)
