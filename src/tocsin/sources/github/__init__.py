"""What did GitHub deploy, run or publish? Deployments, workflow runs, releases and packages as changes.

The kind of event stands in the header X-GitHub-Event; a body that came without it is known by its fields. A deployment
and all its statuses are one change; so is a workflow run. GitHub sends each event once (10 s, no retry), so that
nothing here may be refused for being odd. https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from pydantic import BaseModel, Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import PRODUCTION
from tocsin.sources._identity import ANY_ENVIRONMENT, environment_of, labels_of, link_of, subject_of
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._times import moment
from tocsin.sources._verify import hmac_hex
from tocsin.sources.github.published import event_of, package, release

NAME = "github"

STATES = {
    "success": ChangeOutcome.SUCCESS,
    "failure": ChangeOutcome.FAILURE,
    "error": ChangeOutcome.FAILURE,
    "in_progress": ChangeOutcome.RUNNING,
    "queued": ChangeOutcome.RUNNING,
    "pending": ChangeOutcome.RUNNING,
}
"""deployment_status.state → outcome; `waiting` and `inactive` change nothing that runs."""

CONCLUSIONS = {
    "success": ChangeOutcome.SUCCESS,
    "failure": ChangeOutcome.FAILURE,
    "timed_out": ChangeOutcome.FAILURE,
    "startup_failure": ChangeOutcome.FAILURE,
    "cancelled": ChangeOutcome.CANCELED,
}
"""workflow_run.conclusion → outcome; others (neutral, stale, action_required) are unknown."""

DEPLOYS = re.compile(r"deploy|rollout|roll-out", re.IGNORECASE)
"""A workflow whose name says so deploys; any other builds."""
STARTED_BY_HAND_OR_CLOCK = frozenset({"schedule", "workflow_dispatch", "repository_dispatch"})
PULL_REQUEST = frozenset({"pull_request", "pull_request_target", "merge_group"})

_RELEASE_NAME = re.compile(r"v?\d+(\.\d+)+[\w.+-]*")
_CLAIMS = ("subject", "service", "model", "job")
"""What a deployment's own payload may say that it deploys: for repositories that hold more than one service."""


class _User(BaseModel):
    login: str = ""


class _Repository(BaseModel):
    name: Name
    full_name: Name
    html_url: str = ""


class _Deployment(BaseModel):
    id: int
    sha: str = ""
    ref: str = ""
    task: str = "deploy"
    environment: str
    production_environment: bool | None = None
    description: str | None = None
    created_at: str
    creator: _User | None = None
    payload: Any = None


class _DeploymentStatus(BaseModel):
    state: str
    created_at: str
    description: str | None = None
    log_url: str = ""
    target_url: str | None = None


class _DeploymentEvent(BaseModel):
    repository: _Repository
    deployment: _Deployment
    deployment_status: _DeploymentStatus | None = None
    workflow_run: dict[str, Any] | None = None


class _WorkflowRun(BaseModel):
    id: int
    name: str | None = None
    display_title: str | None = None
    event: str = ""
    head_branch: str | None = None
    head_sha: str = ""
    html_url: str = ""
    status: str = ""
    conclusion: str | None = None
    created_at: str
    run_started_at: str | None = None
    updated_at: str | None = None
    actor: _User | None = None


class _Workflow(BaseModel):
    name: str = ""


class _WorkflowRunEvent(BaseModel):
    action: str
    repository: _Repository
    workflow: _Workflow | None = None
    run: _WorkflowRun = Field(alias="workflow_run")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or the reason why the event is none. Raises BadPayload for a body of no known event without the
    header X-GitHub-Event, and for a change that lacks what GitHub documents."""
    kind = message.headers.get("x-github-event", "")
    body = _body(message) if kind in READERS or not kind else {}
    if not kind and not (kind := event_of(body)):
        raise BadPayload("the header X-GitHub-Event, which names the event, is absent")
    if kind == "ping":
        return Normalized(ignored="ping")
    if kind not in READERS:
        return Normalized(ignored=NOT_CHANGES.get(kind, f"event {kind[:40]} is not a change"))
    return READERS[kind](body, message, hook)


def _body(message: Message) -> dict[str, Any]:
    """The JSON of the body, or of its form field `payload`: GitHub's own default content type."""
    if message.body.startswith(b"payload="):
        return parsed_object(parse_qs(message.body, keep_blank_values=True)[b"payload"][0])
    return parsed_object(message.body)


def _deployment(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(_DeploymentEvent, body)
    if event.workflow_run is not None:
        return Normalized(ignored="deployment created by Actions: its deployment_status says when it begins")
    change = _deployed(event, ChangeOutcome.RUNNING, _time(event.deployment.created_at, message), message, hook)
    return _unless_elsewhere(event, change, hook)


def _deployment_status(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(_DeploymentEvent, body)
    status = event.deployment_status
    if status is None:
        raise BadPayload("Field required", path="deployment_status")
    if status.state == "inactive":
        return Normalized(ignored="deployment_status inactive: a newer deployment took its place")
    if status.state == "waiting":
        return Normalized(ignored="deployment_status waiting: not approved yet, nothing has changed")
    outcome = STATES.get(status.state, ChangeOutcome.UNKNOWN)
    change = _deployed(event, outcome, _time(status.created_at, message), message, hook)
    return _unless_elsewhere(event, change, hook)


def _unless_elsewhere(event: _DeploymentEvent, change: Change, hook: Hook) -> Normalized:
    """A hook that stands for one environment takes only deployments to it: those that `github_environment` of its
    defaults lists, else production takes what is production by name or by GitHub's flag, others take the rest."""
    name = event.deployment.environment
    if hook.environment != ANY_ENVIRONMENT:
        listed = [
            each.strip().lower() for each in hook.defaults.get("github_environment", "").split(",") if each.strip()
        ]
        taken = (
            name.lower() in listed
            if listed
            else _is_production(event.deployment) == bool(PRODUCTION.search(hook.environment))
        )
        if not taken:
            return Normalized(ignored=f"deployment to {name[:60]}, and this hook stands for {hook.environment}")
    return Normalized(changes=(change,))


def _is_production(deployment: _Deployment) -> bool:
    return bool(deployment.production_environment) or bool(PRODUCTION.search(deployment.environment))


def _deployed(event: _DeploymentEvent, outcome: ChangeOutcome, at: datetime, message: Message, hook: Hook) -> Change:
    deployment, status = event.deployment, event.deployment_status
    named = "production" if _is_production(deployment) else deployment.environment
    rolls_back = deployment.task.startswith("rollback")
    version = _version(deployment.ref, deployment.sha)
    note = (status.description if status else None) or deployment.description or ""
    return Change(
        id=f"github:{event.repository.full_name}:deployment:{deployment.id}",
        hook=hook.name,
        source=NAME,
        environment=environment_of({"environment": named}, hook),
        kind=ChangeKind.SERVICE_ROLLEDBACK if rolls_back else ChangeKind.SERVICE_DEPLOYED,
        subject=_subject(event.repository, hook, deployment.payload),
        occurred_at=at,
        received_at=message.received_at,
        finished_at=None if outcome is ChangeOutcome.RUNNING else at,
        outcome=outcome,
        version=version,
        author=deployment.creator.login if deployment.creator else "",
        url=_first_link(
            status.log_url if status else None,
            status.target_url if status else None,
            _commit(event.repository, deployment.sha),
        ),
        summary=f"{event.repository.name} {version} to {deployment.environment}" + (f": {note[:200]}" if note else ""),
        labels=labels_of(
            {
                "repository": event.repository.full_name,
                "github_environment": deployment.environment,
                "ref": deployment.ref,
                "sha": deployment.sha,
                "commit": deployment.sha,
            }
        ),
    )


def _workflow_run(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(_WorkflowRunEvent, body)
    run = event.run
    if event.action not in ("completed", "in_progress"):
        return Normalized(ignored=f"workflow_run {event.action[:40]}: it has not begun")
    if run.event in PULL_REQUEST:
        return Normalized(ignored="workflow run of a pull request: it changes nothing that runs")
    if run.conclusion == "skipped":
        return Normalized(ignored="workflow run skipped: it did nothing")
    finished = event.action == "completed"
    workflow = run.name or (event.workflow.name if event.workflow else "") or "workflow"
    version = _version(run.head_branch or "", run.head_sha)
    change = Change(
        id=f"github:{event.repository.full_name}:run:{run.id}",
        hook=hook.name,
        source=NAME,
        environment=environment_of(hook.defaults, hook),
        kind=_kind_of_run(workflow, run.event),
        subject=_subject(event.repository, hook, None),
        occurred_at=_time(run.run_started_at or run.created_at, message),
        received_at=message.received_at,
        finished_at=_time(run.updated_at, message) if finished else None,
        outcome=CONCLUSIONS.get(run.conclusion or "", ChangeOutcome.UNKNOWN) if finished else ChangeOutcome.RUNNING,
        version=version,
        author=run.actor.login if run.actor else "",
        url=link_of(run.html_url),
        summary=f"{event.repository.name}: {workflow} on {version}",
        labels=labels_of(
            {
                "repository": event.repository.full_name,
                "workflow": workflow,
                "trigger": run.event,
                "branch": run.head_branch,
                "sha": run.head_sha,
                "commit": run.head_sha,
            }
        ),
    )
    return Normalized(changes=(change,))


def _kind_of_run(workflow: str, trigger: str) -> ChangeKind:
    if DEPLOYS.search(workflow):
        return ChangeKind.SERVICE_DEPLOYED
    return ChangeKind.PIPELINERUN_FINISHED if trigger in STARTED_BY_HAND_OR_CLOCK else ChangeKind.BUILD_FINISHED


def _subject(repository: _Repository, hook: Hook, payload: object) -> Subject:
    """What the deployment's payload claims, else the hook's defaults, else the service of the repository's name."""
    claims = {key: value for key, value in labels_of(payload).items() if key in _CLAIMS}
    return subject_of(claims or hook.defaults, fallback=Subject.of("service", repository.name))


def _version(ref: str, sha: str) -> str:
    """A ref that reads like a release (`v1.4.2`), else the commit's first 12 digits, else the ref."""
    return ref if _RELEASE_NAME.fullmatch(ref) else sha[:12] or ref


def _commit(repository: _Repository, sha: str) -> str:
    return f"{repository.html_url}/commit/{sha}" if repository.html_url and sha else repository.html_url


def _first_link(*addresses: str | None) -> str:
    return next((link for each in addresses if (link := link_of(each))), "")


def _time(value: str | None, message: Message) -> datetime:
    return moment(value) or message.received_at


def _delivery(message: Message) -> str:
    """X-GitHub-Delivery stays the same when a person redelivers by hand."""
    return message.headers.get("x-github-delivery", "")


READERS: dict[str, Callable[[dict[str, Any], Message, Hook], Normalized]] = {
    "deployment": _deployment,
    "deployment_status": _deployment_status,
    "workflow_run": _workflow_run,
    "release": release,
    "package": package,
    "registry_package": package,
}

NOT_CHANGES = {
    "push": "event push: commits change nothing until they are built or deployed",
    "check_run": "event check_run: part of a workflow run",
    "check_suite": "event check_suite: part of a workflow run",
    "workflow_job": "event workflow_job: part of a workflow run",
    "pull_request": "event pull_request: a merge changes nothing until it is built or deployed",
    "create": "event create: a branch or tag changes nothing until it is built or deployed",
    "delete": "event delete: what runs does not change",
    "status": "event status: a commit's status is not a change",
    "deployment_review": "event deployment_review: an approval; the deployment_status that follows is the change",
}

SETUP = """In the repository or organisation: Settings → Webhooks → Add webhook.

- Payload URL `{url}`, content type `application/json`, secret `{secret}`
- Let me select individual events: **Deployments** and **Deployment statuses**; where nothing writes deployments,
  **Workflow runs** instead (with both, a deploying workflow counts twice). A workflow whose name contains "deploy" or
  "rollout" counts as a deployment of the repository's service, any other as a build or pipeline run. **Releases** and
  **Packages** tell what was published.
- A hook that stands for production takes only deployments to production; `github_environment: prod-eu` in its
  `defaults` names others; environment `*` takes all under GitHub's own names.
- A repository with several services: `service: checkout` in the hook's `defaults`, or `"service": "checkout"` in the
  deployment's payload.
- GitHub never retries by itself: redeliver from Recent Deliveries within 3 days.
"""

SOURCE = Source(
    name=NAME,
    title="GitHub",
    verify=hmac_hex(header="X-Hub-Signature-256", prefix="sha256="),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_delivery,
    setup=SETUP,
    ignores=(
        "ping",
        *(f"{name} events" for name in NOT_CHANGES),
        "releases and packages that are edited or withdrawn",
        "deployments to other environments than the hook's",
    ),
)
