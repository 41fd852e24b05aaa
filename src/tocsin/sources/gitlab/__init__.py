"""What did GitLab deploy, build or publish? Deployments, pipelines, jobs, releases, tags and feature flags as changes.

A deployment and all its states are one change; so is a pipeline, and a tag with its release. `object_kind` names the
event; system hooks name some only as `event_name`. GitLab waits 10 s and disables a hook that fails too often.
https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.sources._delivery import (
    change_of,
    elsewhere,
    first_time,
    kind_of_run,
    subject_of_run,
    version_of,
)
from tocsin.sources._identity import link_of
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._times import moment
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret, token_in
from tocsin.sources.gitlab.shapes import (
    Deployment,
    Environment,
    Flag,
    Job,
    Pipeline,
    Project,
    Release,
    TagPush,
    User,
)

NAME = "gitlab"

REPLAY_WINDOW = timedelta(hours=1)
"""How far the signed time may lie from the receipt: a redelivery by hand is signed anew, and clocks differ."""

OUTCOMES = {
    "success": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "canceled": ChangeOutcome.CANCELED,
    "canceling": ChangeOutcome.RUNNING,
    "running": ChangeOutcome.RUNNING,
}
"""Status of a deployment, pipeline or job → outcome; one of NOT_BEGUN is no change yet, any other is unknown."""

NOT_BEGUN = frozenset(
    {"created", "pending", "preparing", "waiting_for_resource", "waiting_for_callback", "scheduled", "manual"}
    | {"skipped", "blocked", "approved", "rejected"}
)
TIERS = {"production": True, "staging": False, "testing": False, "development": False}
"""Is the tier production? `other` leaves it to the name."""
BY_HAND_OR_CLOCK = frozenset({"schedule", "web", "api", "trigger", "chat", "webide", "ondemand_dast_scan"})
MERGE_REQUEST = frozenset({"merge_request_event", "external_pull_request_event"})
NO_COMMIT = "0" * 40

_NUMBER_AT_END = re.compile(r"(\d+)/?$")


def signed(message: Message, secrets: Sequence[str]) -> Verdict:
    """The signing token's scheme (Standard Webhooks): `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body` under
    the bytes that `whsec_…` encodes; several signatures are separated by spaces."""
    signature = message.headers.get("webhook-signature", "")
    if not signature:
        return refused("missing signature: header webhook-signature is absent")
    at = message.headers.get("webhook-timestamp", "")
    content = f"{message.headers.get('webhook-id', '')}.{at}.".encode("utf-8", "surrogatepass") + message.body
    digests = [hmac.new(_key(secret), content, "sha256").digest() for secret in secrets if secret]
    expected = [b"v1," + base64.b64encode(digest) for digest in digests]
    offered = [each.encode("utf-8", "surrogatepass") for each in signature.split()]
    matches = [hmac.compare_digest(o, e) for o in offered for e in expected]
    if not any(matches):
        return refused("wrong signature: header webhook-signature fits none of the hook's secrets")
    signed_at = moment(int(at)) if at.isdecimal() and len(at) <= 20 else None
    if signed_at is None or abs(message.received_at - signed_at) > REPLAY_WINDOW:
        return refused("wrong signature: its webhook-timestamp is more than an hour away from the receipt")
    return VERIFIED


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret.encode()


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or the reason why the event is none. Raises BadPayload for a body that names no event and for a
    change that lacks what GitLab documents."""
    body = parsed_object(message.body)
    kind = text(body.get("object_kind"), 60) or text(body.get("event_name"), 60)
    if not kind:
        raise BadPayload("Field required", path="object_kind")
    if kind not in READERS:
        return Normalized(ignored=NOT_CHANGES.get(kind, f"event {kind} is not a change"))
    return READERS[kind](_with_project(body), message, hook)


def _with_project(body: dict[str, Any]) -> dict[str, Any]:
    """Bodies of GitLab before 8.5 know the project only as `repository`."""
    repository = body.get("repository")
    if "project" in body or not isinstance(repository, dict):
        return body
    home = text(repository.get("homepage"), 2048)
    path = home.partition("://")[2].partition("/")[2].strip("/")
    return {**body, "project": {"name": repository.get("name"), "web_url": home, "path_with_namespace": path}}


def _deployment(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(Deployment, body)
    if event.status in NOT_BEGUN:
        return Normalized(ignored=f"deployment {event.status}: nothing has changed yet")
    tier = event.environment_tier.lower()
    if why := elsewhere(event.environment, hook, listed="gitlab_environment", production=TIERS.get(tier)):
        return Normalized(ignored=why)
    project = _path(event.project)
    number = event.deployment_id or event.deployable_id or _number_in(event.deployable_url) or message.id.hex
    at = first_time(event.status_changed_at)
    version = version_of(event.ref, event.short_sha)
    kind = kind_of_run(event.commit_title if event.commit_title.startswith("Revert") else "", otherwise=DEPLOYED)
    outcome = OUTCOMES.get(event.status, ChangeOutcome.UNKNOWN)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"gitlab:{project}:deployment:{number}",
        kind=kind,
        subject=subject_of_run(_name(event.project), ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=at,
        ended=None if outcome is ChangeOutcome.RUNNING else at,
        environment="production" if tier == "production" else event.environment,
        version=version,
        author=_who(event.user),
        url=event.deployable_url or event.commit_url or event.project.web_url,
        summary=f"{_name(event.project)} {version} to {event.environment or hook.environment}: {event.commit_title}",
        labels={
            "project": project,
            "gitlab_environment": event.environment,
            "tier": event.environment_tier,
            "ref": event.ref,
            "sha": event.short_sha,
        },
    )
    return Normalized(changes=(change,))


def _pipeline(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(Pipeline, body)
    run = event.object_attributes
    if run.source in MERGE_REQUEST:
        return Normalized(ignored="pipeline of a merge request: it changes nothing that runs")
    if run.status in NOT_BEGUN:
        return Normalized(ignored=f"pipeline {run.status}: it has not begun")
    project, outcome = _path(event.project), OUTCOMES.get(run.status, ChangeOutcome.UNKNOWN)
    otherwise = ChangeKind.PIPELINERUN_FINISHED if run.source in BY_HAND_OR_CLOCK else ChangeKind.BUILD_FINISHED
    version = version_of(run.ref, run.sha)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"gitlab:{project}:pipeline:{run.id}",
        kind=kind_of_run(run.name, otherwise=otherwise),
        subject=subject_of_run(_name(event.project), ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(run.created_at),
        ended=None if outcome is ChangeOutcome.RUNNING else first_time(run.finished_at),
        version=version,
        author=_who(event.user),
        url=run.url or f"{event.project.web_url}/-/pipelines/{run.id}",
        summary=f"{_name(event.project)}: {run.name or 'pipeline'} {run.id} on {version} ({run.source or run.status})",
        labels={"project": project, "trigger": run.source, "ref": run.ref, "commit": run.sha},
    )
    return Normalized(changes=(change,))


def _job(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(Job, body)
    if event.build_status in NOT_BEGUN:
        return Normalized(ignored=f"job {event.build_status}: it has not begun")
    place = event.environment or Environment()
    tier = place.deployment_tier.lower()
    if why := elsewhere(place.name, hook, listed="gitlab_environment", production=TIERS.get(tier)):
        return Normalized(ignored=why)
    project = _path(event.project) if event.project else event.project_name.replace(" / ", "/") or event.project_id
    name = (event.repository.name if event.repository else "") or project.rpartition("/")[2] or event.build_name
    kind = kind_of_run(event.build_name, event.build_stage, otherwise=ChangeKind.BUILD_FINISHED)
    if place.name:
        kind = (
            ChangeKind.SERVICE_REMOVED if place.action == "stop" else kind_of_run(event.build_name, otherwise=DEPLOYED)
        )
    outcome = OUTCOMES.get(event.build_status, ChangeOutcome.UNKNOWN)
    version = version_of(event.ref, event.sha)
    web = (event.project.web_url if event.project else "") or (event.repository.homepage if event.repository else "")
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"gitlab:{project}:job:{event.build_id}",
        kind=kind,
        subject=subject_of_run(name, ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(event.build_started_at, event.build_created_at),
        ended=None if outcome is ChangeOutcome.RUNNING else first_time(event.build_finished_at),
        environment=place.name,
        version=version,
        author=_who(event.user),
        url=f"{web}/-/jobs/{event.build_id}",
        summary=f"{name}: job {event.build_name} on {version}",
        labels={
            "project": project,
            "stage": event.build_stage,
            "pipeline": event.pipeline_id,
            "gitlab_environment": place.name,
            "ref": event.ref,
            "commit": event.sha,
        },
    )
    return Normalized(changes=(change,))


def _release(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(Release, body)
    if event.action != "create":
        return Normalized(ignored=f"release {event.action[:40]}: nothing new is published")
    change = _published(event.project, event.tag, message, hook)
    return Normalized(
        changes=(
            replace(
                change,
                occurred_at=first_time(event.released_at, event.created_at) or message.received_at,
                finished_at=first_time(event.released_at, event.created_at) or message.received_at,
                url=link_of(event.url),
                summary=f"{_name(event.project)} {event.tag} released"
                + (f": {event.name[:200]}" if event.name not in ("", event.tag) else ""),
            ),
        )
    )


def _tag_push(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(TagPush, body)
    if event.after == NO_COMMIT:
        return Normalized(ignored="tag removed: nothing new is published")
    change = _published(event.project, event.ref.removeprefix("refs/tags/"), message, hook)
    return Normalized(changes=(replace(change, author=event.user_username or event.user_name),))


def _published(project: Project, tag: str, message: Message, hook: Hook) -> Change:
    """A tag and the release made of it are one change: they carry one id."""
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"gitlab:{_path(project)}:tag:{tag}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=subject_of_run(_name(project), ChangeKind.ARTIFACT_PUBLISHED, hook),
        outcome=ChangeOutcome.SUCCESS,
        version=tag,
        url=f"{project.web_url}/-/tags/{tag}",
        summary=f"{_name(project)} {tag} tagged",
        labels={"project": _path(project)},
    )


def _feature_flag(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(Flag, body)
    flag = event.object_attributes
    turned = "on" if flag.active else "off"
    minute = message.received_at.strftime("%Y-%m-%dT%H:%M")  # the body has no time
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"gitlab:{_path(event.project)}:flag:{flag.name}:{turned}:{_delivery(message) or minute}",
        kind=ChangeKind.FEATURE_FLAG_CHANGED,
        subject=subject_of_run(_name(event.project), ChangeKind.BUILD_FINISHED, hook),
        outcome=ChangeOutcome.SUCCESS,
        version=turned,
        author=_who(event.user),
        url=f"{event.project.web_url}/-/feature_flags",
        summary=f"{_name(event.project)}: feature flag {flag.name} turned {turned}",
        labels={"project": _path(event.project), "feature_flag.key": flag.name},
    )
    return Normalized(changes=(change,))


def _path(project: Project) -> str:
    return project.path_with_namespace or project.web_url or project.name or "unnamed"


def _name(project: Project) -> str:
    return project.path_with_namespace.rpartition("/")[2] or project.name or "unnamed"


def _who(user: User | None) -> str:
    return (user.username or user.name) if user else ""


def _number_in(url: str) -> str:
    found = _NUMBER_AT_END.search(url)
    return found[1] if found else url


def _delivery(message: Message) -> str:
    """Stable over GitLab's own retries; X-Gitlab-Event-UUID is shared by all hooks of one event."""
    return message.headers.get("idempotency-key", "") or message.headers.get("webhook-id", "")


DEPLOYED = ChangeKind.SERVICE_DEPLOYED

READERS: dict[str, Callable[[dict[str, Any], Message, Hook], Normalized]] = {
    "deployment": _deployment,
    "pipeline": _pipeline,
    "build": _job,
    "job": _job,
    "release": _release,
    "tag_push": _tag_push,
    "feature_flag": _feature_flag,
}

NOT_CHANGES = {
    "push": "event push: commits change nothing until they are built or deployed",
    "repository_update": "event repository_update: commits change nothing until they are built or deployed",
    "merge_request": "event merge_request: a merge changes nothing until it is built or deployed",
}

SETUP = """In the project or group: Settings → Webhooks → Add new webhook.

- URL `{url}`, secret token `{secret}` (or the same value as signing token, where GitLab offers one: `whsec_…`)
- Triggers: **Deployment events** and **Feature flag events**; where no job names an `environment:`, **Pipeline events**
  instead; **Job events** only where pipelines are too coarse. **Releases events** or **Tag push events** for what is
  published.
- A hook that stands for production takes only deployments to production, by tier or by name;
  `gitlab_environment: eu, us` in its `defaults` lists other names; environment `*` takes all.
- A repository with several services: one hook per service, with `service: checkout` in the hook's `defaults`.
- GitLab disables a hook after repeated failures: Test, or resend from Recent events.
"""

SOURCE = Source(
    name=NAME,
    title="GitLab",
    verify=any_of(signed, token_in("X-Gitlab-Token"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_delivery,
    setup=SETUP,
    ignores=(
        "pushes and merge requests",
        "deployments, pipelines and jobs that have not begun",
        "pipelines of merge requests",
        "releases that are edited or deleted, removed tags",
        "every other event, by its name",
        "deployments to other environments than the hook's",
    ),
)
