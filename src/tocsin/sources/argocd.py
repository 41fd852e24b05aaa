"""Which application did Argo CD sync, to what, and how did it end? Bodies of our notification template.

Argo CD has no body of its own: docs/howto/changes.md has the template. A template that posts the whole Application
(`toJson .app`) is read as well. It retries 3 times within seconds, only on 5xx and lost connections.
https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/services/webhook/
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

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
    kind_of_run,
    subject_of_run,
    version_of,
)
from tocsin.sources._identity import ENVIRONMENT_LABELS, first_of, labels_of
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "argocd"

PHASES = {
    "Succeeded": ChangeOutcome.SUCCESS,
    "Failed": ChangeOutcome.FAILURE,
    "Error": ChangeOutcome.FAILURE,
    "Running": ChangeOutcome.RUNNING,
    "Terminating": ChangeOutcome.CANCELED,
}
"""status.operationState.phase → outcome."""


class _Template(Body):
    """What our template posts."""

    app: Name
    trigger: Words = ""
    project: Words = ""
    namespace: Words = ""
    cluster: Words = ""
    phase: Words = ""
    health: Words = ""
    revision: Words = ""
    target: Words = ""
    previous_revision: Words = ""
    message: Words = ""
    author: Words = ""
    started_at: Words = ""
    finished_at: Words = ""
    url: Words = ""
    repo: Words = ""
    images: list[Any] | None = None
    labels: Any = None
    deleted: bool = False


class _Metadata(Body):
    name: Name
    labels: Any = None
    deletionTimestamp: Words = ""  # noqa: N815


class _Destination(Body):
    namespace: Words = ""
    server: Words = ""
    name: Words = ""


class _Repository(Body):
    repoURL: Words = ""  # noqa: N815
    targetRevision: Words = ""  # noqa: N815


class _Spec(Body):
    project: Words = ""
    destination: _Destination | None = None
    source: _Repository | None = None


class _SyncResult(Body):
    revision: Words = ""


class _Initiator(Body):
    username: Words = ""
    automated: bool = False


class _Operation(Body):
    initiatedBy: _Initiator | None = None  # noqa: N815


class _OperationState(Body):
    phase: Words = ""
    message: Words = ""
    startedAt: Words = ""  # noqa: N815
    finishedAt: Words = ""  # noqa: N815
    syncResult: _SyncResult | None = None  # noqa: N815
    operation: _Operation | None = None


class _Summary(Body):
    images: list[Any] | None = None


class _Sync(Body):
    revision: Words = ""


class _Health(Body):
    status: Words = ""


class _Status(Body):
    operationState: _OperationState = Field(default_factory=_OperationState)  # noqa: N815
    sync: _Sync = Field(default_factory=_Sync)
    health: _Health = Field(default_factory=_Health)
    summary: _Summary = Field(default_factory=_Summary)


class _Application(Body):
    metadata: _Metadata
    spec: _Spec = Field(default_factory=_Spec)
    status: _Status = Field(default_factory=_Status)


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change per operation on an application, or why there is none. Raises BadPayload for a body that names no
    application."""
    body = parsed_object(message.body)
    whole = body.get("app") if isinstance(body.get("app"), dict) else body
    if isinstance(whole, dict) and "metadata" in whole:
        return _change(_flat(shaped(_Application, whole), body), message, hook)
    return _change(shaped(_Template, body), message, hook)


def _flat(app: _Application, body: dict[str, Any]) -> _Template:
    state, spec = app.status.operationState, app.spec
    destination, repository = spec.destination or _Destination(), spec.source or _Repository()
    initiator = (state.operation.initiatedBy if state.operation else None) or _Initiator()
    return _Template(
        app=app.metadata.name,
        trigger=body.get("trigger", ""),
        project=spec.project,
        namespace=destination.namespace,
        cluster=destination.name or destination.server,
        phase=state.phase,
        health=app.status.health.status,
        revision=(state.syncResult.revision if state.syncResult else "") or app.status.sync.revision,
        target=repository.targetRevision,
        message=state.message,
        author=initiator.username or ("automated sync" if initiator.automated else ""),
        started_at=state.startedAt,
        finished_at=state.finishedAt,
        url=body.get("url", ""),
        repo=repository.repoURL,
        images=app.status.summary.images,
        labels=app.metadata.labels,
        deleted=bool(app.metadata.deletionTimestamp),
    )


def _change(said: _Template, message: Message, hook: Hook) -> Normalized:
    deleted = said.deleted or said.trigger == "on-deleted"
    if not said.phase and not deleted:
        return Normalized(ignored=f"{said.trigger or 'application'}: no operation has run, nothing has changed")
    labels = labels_of(said.labels)
    environment = first_of(labels, ENVIRONMENT_LABELS) or (
        environment_of_job(said.app) or environment_in(said.namespace, said.cluster, said.project)
    )
    if why := elsewhere(environment, hook, listed="argocd_environment"):
        return Normalized(ignored=why)
    kind = ChangeKind.SERVICE_REMOVED if deleted else kind_of_run(said.message, otherwise=ChangeKind.SERVICE_DEPLOYED)
    outcome = ChangeOutcome.SUCCESS if deleted else PHASES.get(said.phase, ChangeOutcome.UNKNOWN)
    began, ended = first_time(said.started_at), first_time(said.finished_at)
    images = [image for image in said.images or () if isinstance(image, str)]
    version = version_of(said.target, said.revision)
    once = "deleted" if deleted else said.started_at or said.revision
    named = {key: value for key, value in labels.items() if key in ("service", "app.kubernetes.io/name")}
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"argocd:{said.cluster}/{said.namespace}/{said.app}:{once}",
        kind=kind,
        subject=subject_of_run(said.app, ChangeKind.SERVICE_DEPLOYED, hook, None if hook.defaults else named or None),
        outcome=outcome,
        began=began,
        ended=ended if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=version,
        previous_version=version_of("", said.previous_revision),
        author=said.author,
        url=said.url,
        summary=f"{said.app} {version} {'deleted' if deleted else said.phase.lower()}: {said.message[:300]}",
        labels={
            "application": said.app,
            "project": said.project,
            "namespace": said.namespace,
            "cluster": said.cluster,
            "health": said.health,
            "repository": said.repo,
            "images": ", ".join(images)[:500],
            "commit": said.revision,
        },
    )
    return Normalized(changes=(change,))


SETUP = """In `argocd-notifications-cm` (all of it, with triggers, is in docs/howto/changes.md):

```yaml
service.webhook.tocsin: |
  url: {url}
  headers:
    - name: Authorization
      value: Bearer {secret}
    - name: Content-Type
      value: application/json
template.tocsin: |
  webhook:
    tocsin:
      method: POST
      body: |
        {{"app": {{{{toJson .app}}}}, "url": "{{{{.context.argocdUrl}}}}/applications/{{{{.app.metadata.name}}}}"}}
```

- Set `method: POST`: Argo CD's default is GET. Keep the secret in `argocd-notifications-secret` (`$tocsin-token`).
- An application is the service of its name without words for environments (`checkout-prod`: checkout), unless its
  label `app.kubernetes.io/name` or the hook's `defaults` name another. A production hook leaves out what is staging or
  test by its label `environment`, its name, namespace or cluster; `argocd_environment: eu, us` lists names.
"""

SOURCE = Source(
    name=NAME,
    title="Argo CD notifications",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("applications without an operation", "deployments to other environments than the hook's"),
    aliases=("argo_cd",),
)
