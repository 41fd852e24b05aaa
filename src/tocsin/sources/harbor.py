"""Which image was pushed to Harbor? Its webhook events, in its own format and in that of CloudEvents.

Each tag of an artifact is one change. Harbor signs nothing; a policy's `Auth Header` is sent as `Authorization`.
https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import Body, Words, change_of, first_time, subject_of_run
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, shared_secret, token_in

NAME = "harbor"

PUSHES = frozenset(
    {"PUSH_ARTIFACT", "PUSHARTIFACT", "PUSHIMAGE", "UPLOAD_CHART", "UPLOADCHART", "HARBOR.ARTIFACT.PUSHED"}
)
IGNORED = (
    ("PULL", "a pull changes nothing"),
    ("DOWNLOAD", "a pull changes nothing"),
    ("DELETE", "what runs already keeps its image"),
    ("SCAN", "a scan changes nothing that runs"),
    ("QUOTA", "a quota is not a change"),
    ("REPLICATION", "a copy changes nothing that runs"),
    ("TAG_RETENTION", "what runs already keeps its image"),
)
"""Word in the type → why it is no change."""


class _Resource(Body):
    digest: Words = ""
    tag: Words = ""
    resource_url: Words = ""


class _Repository(Body):
    name: Words = ""
    namespace: Words = ""
    repo_full_name: Words = ""


class _Data(Body):
    resources: list[_Resource] = Field(min_length=1)
    repository: _Repository


class _Event(Body):
    type: Name
    occur_at: Any = None
    time: Any = None
    operator: Words = ""
    event_data: _Data | None = None
    data: _Data | None = None


class _Type(Body):
    type: Name


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change per pushed tag, or why there is none. Raises BadPayload without a type, and for a push without
    resources or repository."""
    body = parsed_object(message.body)
    kind = shaped(_Type, body).type
    if kind.upper() not in PUSHES:
        reason = next((why for word, why in IGNORED if word in kind.upper().replace("PULLED", "PULL")), "not a change")
        return Normalized(ignored=f"event {kind[:60]}: {reason}")
    event = shaped(_Event, body if "event_data" in body else {**body, "event_data": body.get("data"), "data": None})
    data = event.event_data or shaped(_Data, {})
    return Normalized(changes=tuple(_pushed(each, data.repository, event, message, hook) for each in data.resources))


def _pushed(resource: _Resource, repository: _Repository, event: _Event, message: Message, hook: Hook) -> Change:
    full = repository.repo_full_name or f"{repository.namespace}/{repository.name}".strip("/") or resource.resource_url
    version = resource.tag or resource.digest.removeprefix("sha256:")[:12]
    at = first_time(event.occur_at, event.time)
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"image:{resource.resource_url or full}@{resource.digest}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=subject_of_run(full, ChangeKind.ARTIFACT_PUBLISHED, hook),
        outcome=ChangeOutcome.SUCCESS,
        began=at,
        ended=at,
        version=version,
        author=event.operator,
        summary=f"{full}:{version} pushed",
        labels={"image": resource.resource_url, "repository": full, "digest": resource.digest},
    )


SETUP = """In the project: Webhooks → New Webhook.

- Notify type `http`, payload format `Default` or `CloudEvents`, event type **Artifact pushed**
- Endpoint URL `{url}`, auth header `Bearer {secret}`
- An image is the service of its repository's last name; `service: checkout` in the hook's `defaults` names another.
"""

SOURCE = Source(
    name=NAME,
    title="Harbor",
    verify=any_of(token_in("Authorization"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=tuple(f"{word.lower()} events: {why}" for word, why in IGNORED),
)
