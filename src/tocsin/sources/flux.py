"""What did Flux apply? Events of its controllers, as the notification controller's generic providers post them.

The same revision of one object is one change, whatever is told of it. Equal events are held back for 5 minutes by Flux;
metadata keys carry the group of their controller (`kustomize.toolkit.fluxcd.io/revision`) or none.
https://fluxcd.io/flux/components/notification/events/
"""

from __future__ import annotations

import re
from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import (
    Body,
    Words,
    change_of,
    elsewhere,
    environment_in,
    environment_of_job,
    first_time,
    subject_of_run,
)
from tocsin.sources._identity import ENVIRONMENT_LABELS, first_of, labels_of
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "flux"

APPLIERS = frozenset({"Kustomization", "HelmRelease", "Terraform", "FluxInstance", "ResourceSet", "Stack"})
SOURCES = frozenset({"GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket", "ExternalArtifact"})
WAITS = frozenset({"DependencyNotReady", "Suspended", "ReconciliationSkipped", "TestSucceeded", "TestFailed"})
"""Reasons after which nothing has been applied, nor failed to be."""
GOING_ON = frozenset({"Progressing", "ProgressingWithRetry", "Reconciling"})
KINDS = (
    ("Rollback", ChangeKind.SERVICE_ROLLEDBACK),
    ("Remediated", ChangeKind.SERVICE_ROLLEDBACK),
    ("Uninstall", ChangeKind.SERVICE_REMOVED),
)
"""How the reason begins → kind; any other deploys."""

_COMMIT = re.compile(r"(?:sha1:|/|^)([0-9a-f]{12})[0-9a-f]{28}$")
_DIGEST = re.compile(r"sha256:([0-9a-f]{12})")


class _Object(Body):
    kind: Name
    name: Name
    namespace: Words = ""
    uid: Words = ""


class _Event(Body):
    involvedObject: _Object  # noqa: N815
    severity: Words = ""
    reason: Name
    message: Words = ""
    timestamp: Any = None
    metadata: Any = None
    reportingController: Words = ""  # noqa: N815


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the event is none. Raises BadPayload without the object or the reason."""
    event = shaped(_Event, parsed_object(message.body))
    about = event.involvedObject
    failed = event.severity.lower() == "error" or event.reason.endswith("Failed")
    if event.reason in WAITS:
        return Normalized(ignored=f"{about.kind} {event.reason}: nothing has been applied")
    if about.kind in SOURCES:
        if failed or "artifact" not in f"{event.reason} {event.message}".lower():
            return Normalized(ignored=f"{about.kind[:40]} {event.reason[:60]}: nothing new was fetched")
        return _change(event, ChangeKind.ARTIFACT_PUBLISHED, ChangeOutcome.SUCCESS, message, hook)
    if about.kind not in APPLIERS:
        return Normalized(ignored=f"event of a {about.kind[:60]} is not a change")
    outcome = ChangeOutcome.FAILURE if failed else ChangeOutcome.SUCCESS
    if event.reason in GOING_ON and not failed:
        outcome = ChangeOutcome.RUNNING
    kind = next((kind for start, kind in KINDS if event.reason.startswith(start)), ChangeKind.SERVICE_DEPLOYED)
    return _change(event, kind, outcome, message, hook)


def _change(event: _Event, kind: ChangeKind, outcome: ChangeOutcome, message: Message, hook: Hook) -> Normalized:
    about, metadata = event.involvedObject, labels_of(event.metadata)
    plain = {key.rpartition("/")[2]: value for key, value in metadata.items()}
    environment = first_of(plain, ENVIRONMENT_LABELS) or (
        environment_of_job(about.name) or environment_in(about.namespace, plain.get("cluster", ""))
    )
    if why := elsewhere(environment, hook, listed="flux_environment"):
        return Normalized(ignored=why)
    revision, at = plain.get("revision", ""), first_time(event.timestamp)
    version = plain.get("app-version", "") or _version(revision)
    once = revision or f"{event.reason}:{(at or message.received_at).isoformat(timespec='minutes')}"
    claims = {key: plain[key] for key in ("service", "model") if plain.get(key)}
    commit = _COMMIT.search(revision)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"flux:{about.kind}/{about.namespace}/{about.name}:{once}" + (f":{kind}" if _undoes(kind) else ""),
        kind=kind,
        subject=subject_of_run(about.name, ChangeKind.SERVICE_DEPLOYED, hook, claims),
        outcome=outcome,
        began=at,
        ended=at if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=version,
        summary=f"{about.kind} {about.namespace}/{about.name} {event.reason}: {event.message[:400]}",
        labels={
            "object": f"{about.kind}/{about.namespace}/{about.name}",
            "reason": event.reason,
            "revision": revision,
            "commit": commit[0].strip("/").removeprefix("sha1:") if commit else "",
            "controller": event.reportingController,
            **{key: plain[key] for key in ("cluster", "region", "summary") if plain.get(key)},
        },
    )
    return Normalized(changes=(change,))


def _undoes(kind: ChangeKind) -> bool:
    return kind in (ChangeKind.SERVICE_ROLLEDBACK, ChangeKind.SERVICE_REMOVED)


def _version(revision: str) -> str:
    """`main@sha1:731f…` and `main/731f…` → 12 digits; `6.5.0` and `v1.2.0@sha256:…` → the tag; else the digest's."""
    if found := _COMMIT.search(revision):
        return found[1]
    tag = revision.partition("@")[0]
    if tag and not tag.startswith("sha256:"):
        return tag
    digest = _DIGEST.search(revision)
    return digest[1] if digest else revision


SETUP = """A provider and an alert in the cluster:

```yaml
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Provider
metadata: {{name: tocsin, namespace: flux-system}}
spec:
  type: generic-hmac
  address: {url}
  secretRef: {{name: tocsin}}        # kubectl -n flux-system create secret generic tocsin --from-literal=token={secret}
---
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Alert
metadata: {{name: tocsin, namespace: flux-system}}
spec:
  providerRef: {{name: tocsin}}
  eventSeverity: info
  eventMetadata: {{environment: production, cluster: prod-eu}}
  eventSources:
    - {{kind: Kustomization, name: '*'}}
    - {{kind: HelmRelease, name: '*'}}
```

- `type: generic` with the header `Authorization: Bearer {secret}` in the secret works too, unsigned.
- An object is the service of its name; `service:` in `eventMetadata` or in the hook's `defaults` says another. A
  production hook leaves out what is staging or test by `environment`, name or namespace; `flux_environment: eu, us`
  lists names.
"""

SOURCE = Source(
    name=NAME,
    title="Flux",
    verify=any_of(hmac_hex(header="X-Signature", prefix="sha256="), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "objects that wait for another or are suspended, tests of Helm releases",
        "sources that found nothing new or cannot be fetched",
        "every other kind of object, by its name",
        "deployments to other environments than the hook's",
    ),
)
