"""Which Semaphore pipeline ended, and how? Webhook notifications of Semaphore 2.0, and the hooks of Semaphore Classic.

https://docs.semaphore.io/using-semaphore/webhooks
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import (
    PUTS_INTO_SERVICE,
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
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "semaphore"

RESULTS = {
    "passed": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "stopped": ChangeOutcome.CANCELED,
    "canceled": ChangeOutcome.CANCELED,
    "pending": ChangeOutcome.RUNNING,
}


class _Project(Body):
    name: Name


class _Repository(Body):
    url: Words = ""
    slug: Words = ""


class _Sender(Body):
    login: Words = ""


class _Branch(Body):
    name: Words = ""


class _Tag(Body):
    name: Words = ""


class _Revision(Body):
    reference_type: Words = ""
    reference: Words = ""
    commit_sha: Words = ""
    commit_message: Words = ""
    sender: _Sender | None = None
    branch: _Branch | None = None
    tag: _Tag | None = None


class _Organization(Body):
    name: Words = ""


class _Workflow(Body):
    id: Words = ""


class _Pipeline(Body):
    id: Name
    name: Words = ""
    state: Words = ""
    result: Words = ""
    result_reason: Words = ""
    error_description: Words = ""
    created_at: Any = None
    running_at: Any = None
    done_at: Any = None


class _Notification(Body):
    """Semaphore 2.0."""

    pipeline: _Pipeline
    project: _Project
    organization: _Organization | None = None
    repository: _Repository = Field(default_factory=_Repository)
    revision: _Revision = Field(default_factory=_Revision)
    workflow: _Workflow = Field(default_factory=_Workflow)


class _Commit(Body):
    id: Words = ""
    author_name: Words = ""
    message: Words = ""


class _Classic(Body):
    """Semaphore Classic: a build or a deployment to a server."""

    event: Name
    project_name: Name
    result: Words = ""
    branch_name: Words = ""
    build_number: Words = ""
    number: Words = ""
    server_name: Words = ""
    build_url: Words = ""
    html_url: Words = ""
    started_at: Any = None
    created_at: Any = None
    finished_at: Any = None
    commit: _Commit = Field(default_factory=_Commit)


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why there is none. Raises BadPayload for a body of neither version."""
    body = parsed_object(message.body)
    if "pipeline" in body:
        return _pipeline(shaped(_Notification, body), message, hook)
    if "event" in body:
        return _classic(shaped(_Classic, body), message, hook)
    raise BadPayload("neither a pipeline (2.0) nor an event (Classic)", path="pipeline")


def _pipeline(said: _Notification, message: Message, hook: Hook) -> Normalized:
    run, revision = said.pipeline, said.revision
    if revision.reference_type == "pull_request":
        return Normalized(ignored="pipeline of a pull request: it changes nothing that runs")
    kind = kind_of_run(run.name, otherwise=ChangeKind.BUILD_FINISHED)
    environment = environment_of_job(run.name) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="semaphore_environment"):
        return Normalized(ignored=why)
    branch = revision.branch.name if revision.branch else ""
    version = version_of(revision.tag.name if revision.tag else branch, revision.commit_sha)
    done = run.state in ("done", "") or bool(run.done_at)
    url = ""
    if said.organization and said.workflow.id:
        url = f"https://{said.organization.name}.semaphoreci.com/workflows/{said.workflow.id}?pipeline_id={run.id}"
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"semaphore:{run.id}",
        kind=kind,
        subject=subject_of_run(said.project.name, ChangeKind.BUILD_FINISHED, hook),
        outcome=RESULTS.get(run.result, ChangeOutcome.UNKNOWN) if done else ChangeOutcome.RUNNING,
        began=first_time(run.running_at, run.created_at),
        ended=first_time(run.done_at) if done else None,
        environment=environment,
        version=version,
        author=revision.sender.login if revision.sender else "",
        url=url,
        summary=f"{said.project.name}: {run.name or 'pipeline'} {run.result} on {version}: {run.error_description}",
        labels={
            "repository": said.repository.slug,
            "branch": branch,
            "reason": run.result_reason,
            "commit": revision.commit_sha,
        },
    )
    return Normalized(changes=(change,))


def _classic(said: _Classic, message: Message, hook: Hook) -> Normalized:
    if said.event not in ("build", "deploy"):
        return Normalized(ignored=f"event {said.event[:60]} is not a change")
    deploys = said.event == "deploy"
    environment = environment_in(said.server_name)
    if why := elsewhere(environment, hook, listed="semaphore_environment"):
        return Normalized(ignored=why)
    outcome = RESULTS.get(said.result, ChangeOutcome.UNKNOWN)
    number = said.number or said.build_number or said.commit.id
    where = f" to {said.server_name}" if deploys else f" on {said.branch_name}"
    version = version_of(said.branch_name, said.commit.id)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"semaphore:{said.project_name}:{said.server_name if deploys else said.branch_name}:{said.event}:{number}",
        kind=ChangeKind.SERVICE_DEPLOYED if deploys else ChangeKind.BUILD_FINISHED,
        subject=subject_of_run(said.project_name, ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(said.started_at, said.created_at),
        ended=first_time(said.finished_at) if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=version,
        author=said.commit.author_name,
        url=said.html_url or said.build_url,
        summary=f"{said.project_name}: {said.event} {number} {said.result}{where}",
        labels={"branch": said.branch_name, "server": said.server_name, "commit": said.commit.id},
    )
    return Normalized(changes=(change,))


SETUP = """Organization settings → Notifications → New notification (`sem create -f`):

```yaml
apiVersion: v1alpha
kind: Notification
metadata: {{name: tocsin}}
spec:
  rules:
    - name: all
      filter: {{projects: ["/.*/"], branches: [main], pipelines: ["/.*/"]}}
      notify:
        webhook: {{endpoint: '{url}', secret: tocsin}}   # the secret's WEBHOOK_SECRET is {secret}
```

- A pipeline whose name contains "deploy" or "rollout" deploys the project's service, any other builds it; the hook's
  `defaults` name another.
- Semaphore Classic: project settings → Notifications → Webhooks, `{url}?token={secret}`, after builds and deploys.
"""

SOURCE = Source(
    name=NAME,
    title="Semaphore",
    verify=any_of(hmac_hex(header="X-Semaphore-Signature-256", prefix="sha256="), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("pipelines of pull requests", "deployments to other environments than the hook's"),
)
