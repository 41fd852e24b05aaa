"""What do CDEvents tell? Deployments, builds, artifacts, environments and runs as changes; incidents as alerts.

A CDEvent arrives as its own JSON (also what CloudEvents' binary mode carries), inside `data` of a structured
CloudEvent, or as a list of either. The type is `dev.cdevents.<subject>.<predicate>.<version>`; of custom events
(`dev.cdeventsx.<tool>-<subject>.<predicate>.<version>`) those are read whose last words are a kind of change of ours.
https://github.com/cdevents/spec
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from tocsin.domain.alert import Alert, Resolves
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._json import kind_of, parsed, shaped, text
from tocsin.sources._verify import any_of, hmac_hex, shared_secret
from tocsin.sources.cdevents.incident import alert_of
from tocsin.sources.cdevents.run import KINDS, change_of_event
from tocsin.sources.cdevents.shapes import Event

NAME = "cdevents"
MAX_BATCH = 1000

_TYPE = re.compile(r"dev\.cdevents(x?)\.(?:[a-z0-9_]+-)?([a-z_]+)\.([a-z_]+)(?:\.\d+[\w.+-]*)?")
_OURS = {kind.value: kind for kind in ChangeKind}

BEFORE = frozenset({"queued", "created", "packaged", "signed"})
IGNORED = {
    "change": "a change to source code alters nothing until it is built or deployed",
    "branch": "a branch alters nothing until it is built or deployed",
    "repository": "a repository alters nothing until it is built or deployed",
    "testcaserun": "a test changes nothing that runs",
    "testsuiterun": "a test changes nothing that runs",
    "testoutput": "a test changes nothing that runs",
    "ticket": "a ticket is not a change",
    "approval": "an approval changes nothing that runs",
}
"""Subjects that are no change, and why."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """The changes and alerts of one event or of a batch. Raises BadPayload for what is no CDEvent, and for one that
    lacks its context or subject."""
    read = [_read(each, message, hook) for each in _events(message)]
    changes = tuple(each for each in read if isinstance(each, Change))
    alerts = tuple(each for each in read if isinstance(each, Alert))
    reason = "" if changes or alerts else next((each for each in read if isinstance(each, str)), "an empty batch")
    return Normalized(changes=changes, alerts=alerts, ignored=reason)


def _events(message: Message) -> list[dict[str, Any]]:
    body = parsed(message.body)
    entries = body if isinstance(body, list) else [body]
    if len(entries) > MAX_BATCH:
        raise BadPayload(f"{len(entries)} events; send at most {MAX_BATCH} in one message")
    return [_unwrapped(entry) for entry in entries]


def _unwrapped(entry: object) -> dict[str, Any]:
    """The CDEvent itself, or the one that a structured CloudEvent carries in `data` or `data_base64`."""
    if not isinstance(entry, dict):
        raise BadPayload(f"expected a CDEvent, found {kind_of(entry)}")
    if "context" in entry:
        return entry
    data = entry.get("data")
    if isinstance(encoded := entry.get("data_base64"), str):
        try:
            data = parsed(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            raise BadPayload("is not Base64", path="data_base64") from None
    if isinstance(data, dict) and "context" in data:
        return data
    if isinstance(data, str) and data.lstrip().startswith("{"):
        inner = parsed(data.encode())
        if isinstance(inner, dict) and "context" in inner:
            return inner
    raise BadPayload("Field required", path="data.context" if "specversion" in entry else "context")


def _read(body: dict[str, Any], message: Message, hook: Hook) -> Change | Alert | str:
    event = shaped(Event, body)
    found = _TYPE.fullmatch(event.context.type)
    if not found:
        raise BadPayload(f"{event.context.type[:80]!r} is not the type of a CDEvent", path="context.type")
    custom, subject, predicate = found.groups()
    name = f"{subject}.{predicate}"
    if custom:
        kind = _OURS.get(name)
        return change_of_event(event, name, kind, message, hook) if kind else f"custom event {name} is not a change"
    if subject == "incident":
        return alert_of(event, predicate, message, hook)
    if subject in IGNORED:
        return f"{name}: {IGNORED[subject]}"
    if name in KINDS:
        return change_of_event(event, name, KINDS[name], message, hook)
    return f"{name}: nothing has changed yet" if predicate in BEFORE else f"{name} is not a change"


def _event_id(message: Message) -> str:
    """The CloudEvents id of binary mode; in structured mode it is in the body, and the change's own id serves."""
    return text(message.headers.get("ce-id", ""), 255)


SETUP = """Point any sender of CDEvents (Tekton, Jenkins, Spinnaker, Testkube, a CDEvents SDK) at the hook:

- Address `{url}`, header `Authorization: Bearer {secret}`; CloudEvents in binary, structured or batched mode, or the
  event's plain JSON
- A hook that stands for production leaves out services in environments that are staging or test by name;
  `cdevents_environment: eu, us` in its `defaults` lists names; environment `*` takes all.
- Kinds that CDEvents lacks are sent as custom events: `dev.cdeventsx.tocsin-model.promoted.0.1.0`,
  `dev.cdeventsx.tocsin-feature_flag.changed.0.1.0` …

```sh
curl -fsS {url} -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '
{{"context": {{"version": "0.4.1", "id": "d1", "source": "/ci", "type": "dev.cdevents.service.deployed.0.2.0",
  "timestamp": "2026-11-21T11:40:00Z"}},
 "subject": {{"id": "checkout", "source": "/ci", "type": "service", "content": {{
   "environment": {{"id": "production"}}, "artifactId": "pkg:oci/checkout@sha256%3A0b31b1c02ff4?tag=2.14.0"}}}}}}'
```
"""

SOURCE = Source(
    name=NAME,
    title="CDEvents",
    verify=any_of(hmac_hex(header="X-Hub-Signature-256", prefix="sha256="), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_event_id,
    setup=SETUP,
    ignores=(
        *(f"{subject} events: {why}" for subject, why in IGNORED.items()),
        "queued runs, artifacts that are packaged, signed, downloaded or deleted",
        "deployments to other environments than the hook's",
    ),
)
