"""Which CircleCI workflow or job completed, and how? Its two outbound webhook events as changes.

https://circleci.com/docs/webhooks-reference/
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
    environment_of_job,
    first_time,
    kind_of_run,
    subject_of_run,
    version_of,
)
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "circleci"

STATUSES = {
    "success": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "failing": ChangeOutcome.FAILURE,
    "error": ChangeOutcome.FAILURE,
    "timedout": ChangeOutcome.FAILURE,
    "infrastructure_fail": ChangeOutcome.FAILURE,
    "unauthorized": ChangeOutcome.CANCELED,
    "canceled": ChangeOutcome.CANCELED,
    "cancelled": ChangeOutcome.CANCELED,
    "not_run": ChangeOutcome.CANCELED,
    "running": ChangeOutcome.RUNNING,
}
BY_HAND_OR_CLOCK = frozenset({"schedule", "scheduled_pipeline", "api", "explicit"})


class _Author(Body):
    name: Words = ""


class _Commit(Body):
    subject: Words = ""
    author: _Author | None = None


class _Vcs(Body):
    branch: Words = ""
    tag: Words = ""
    revision: Words = ""
    commit: _Commit | None = None


class _Git(Body):
    branch: Words = ""
    tag: Words = ""
    checkout_sha: Words = ""


class _Provider(Body):
    user_username: Words = ""
    user_name: Words = ""
    commit_author_name: Words = ""
    commit_title: Words = ""


class _Parameters(Body):
    git: _Git | None = None
    gitlab: _Provider | None = None
    github_app: _Provider | None = None


class _Trigger(Body):
    type: Words = ""


class _Pipeline(Body):
    number: Words = ""
    created_at: Any = None
    trigger: _Trigger | None = None
    vcs: _Vcs | None = None
    trigger_parameters: _Parameters | None = None


class _Project(Body):
    name: Name
    slug: Words = ""


class _Workflow(Body):
    id: Name
    name: Name
    status: Words = ""
    created_at: Any = None
    stopped_at: Any = None
    url: Words = ""


class _Job(Body):
    id: Name
    name: Name
    status: Words = ""
    started_at: Any = None
    stopped_at: Any = None
    number: Words = ""


class _Event(Body):
    type: Name
    happened_at: Any = None
    project: _Project
    workflow: _Workflow
    job: _Job | None = None
    pipeline: _Pipeline = Field(default_factory=_Pipeline)


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the event is none. Raises BadPayload without a type, project or workflow."""
    body = parsed_object(message.body)
    kind = text(body.get("type"), 60)
    if kind == "ping":
        return Normalized(ignored="ping")
    if kind and kind not in ("workflow-completed", "job-completed"):
        return Normalized(ignored=f"event {kind} is not a change")
    event = shaped(_Event, body)
    if event.type == "job-completed":
        if event.job is None:
            raise BadPayload("Field required", path="job")
        job = event.job
        what = (f"job:{job.id}", f"{event.workflow.name}/{job.name}", job.status, job.started_at, job.stopped_at)
    else:
        flow = event.workflow
        what = (f"workflow:{flow.id}", flow.name, flow.status, flow.created_at, flow.stopped_at)
    return _change(event, what, message, hook)


def _change(event: _Event, what: tuple[str, str, str, Any, Any], message: Message, hook: Hook) -> Normalized:
    id_, name, status, began, ended = what
    trigger = event.pipeline.trigger.type if event.pipeline.trigger else ""
    otherwise = ChangeKind.PIPELINERUN_FINISHED if trigger in BY_HAND_OR_CLOCK else ChangeKind.BUILD_FINISHED
    kind = kind_of_run(name, otherwise=otherwise)
    environment = environment_of_job(name) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="circleci_environment"):
        return Normalized(ignored=why)
    branch, tag, commit, author, subject = _origin(event.pipeline)
    version = version_of(tag or branch, commit)
    outcome = STATUSES.get(status.lower(), ChangeOutcome.UNKNOWN)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"circleci:{id_}",
        kind=kind,
        subject=subject_of_run(event.project.name, ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(began),
        ended=first_time(ended, event.happened_at),
        environment=environment,
        version=version,
        author=author,
        url=event.workflow.url,
        summary=f"{event.project.name}: {name} {status} on {version}: {subject}",
        labels={
            "project": event.project.slug or event.project.name,
            "workflow": event.workflow.name,
            "branch": branch,
            "tag": tag,
            "trigger": trigger,
            "commit": commit,
        },
    )
    return Normalized(changes=(change,))


def _origin(pipeline: _Pipeline) -> tuple[str, str, str, str, str]:
    """Branch, tag, commit, author and what the commit says: under `vcs`, or for other providers (GitLab, the GitHub
    App) under `trigger_parameters`."""
    if vcs := pipeline.vcs:
        commit = vcs.commit or _Commit()
        return vcs.branch, vcs.tag, vcs.revision, commit.author.name if commit.author else "", commit.subject
    given = pipeline.trigger_parameters or _Parameters()
    git, by = given.git or _Git(), given.gitlab or given.github_app or _Provider()
    who = by.user_username or by.user_name or by.commit_author_name
    return git.branch, git.tag, git.checkout_sha, who, by.commit_title


def _event_id(message: Message) -> str:
    return message.headers.get("circleci-event-id", "")


SETUP = """In the project: Project Settings → Webhooks → Add Webhook.

- Receiver URL `{url}`, secret token `{secret}`, certificate verification on
- Event **Workflow Completed**; **Job Completed** only where a deploying job is one of many in its workflow (both tell
  of the same commit and count as one).
- A workflow or job whose name contains "deploy" or "rollout" deploys the project's service, any other builds;
  `service: checkout` in the hook's `defaults` names it. A production hook leaves out `deploy-staging` and the like.
"""

SOURCE = Source(
    name=NAME,
    title="CircleCI",
    verify=any_of(hmac_hex(header="circleci-signature", prefix="v1="), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_event_id,
    setup=SETUP,
    ignores=("ping", "every other event, by its name", "deployments to other environments than the hook's"),
)
