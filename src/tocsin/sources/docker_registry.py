"""Which image was pushed? Notifications of a Docker registry (distribution), Azure's, Docker Hub and Quay.

A distribution registry posts a list of events and tries again until it gets a 2xx; only pushes that carry a tag say
that an image is there (the others are layers). Docker Hub cannot send headers: its secret is in the address.
https://distribution.github.io/distribution/about/notifications/ · https://docs.docker.com/docker-hub/repos/manage/webhooks/
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import Body, Words, change_of, first_time, subject_of_run
from tocsin.sources._json import kind_of, parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, shared_secret, token_in

NAME = "docker_registry"


class _Target(Body):
    repository: Name
    tag: Words = ""
    digest: Words = ""
    url: Words = ""
    mediaType: Words = ""  # noqa: N815


class _Actor(Body):
    name: Words = ""


class _Request(Body):
    host: Words = ""


class _Event(Body):
    id: Words = ""
    action: Name
    timestamp: Any = None
    target: _Target | None = None
    actor: _Actor | None = None
    request: _Request | None = None


class _Events(Body):
    events: list[_Event] = Field(max_length=1000)


class _HubPush(Body):
    tag: Words = ""
    pusher: Words = ""
    pushed_at: Any = None


class _HubRepository(Body):
    repo_name: Name
    repo_url: Words = ""


class _Hub(Body):
    push_data: _HubPush
    repository: _HubRepository


class _Quay(Body):
    repository: Name
    docker_url: Words = ""
    homepage: Words = ""
    updated_tags: Any = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change per pushed tag, or why there is none. Raises BadPayload for a body of none of the four senders."""
    body = parsed_object(message.body)
    if "events" in body:
        return _said([_event(each, message, hook) for each in shaped(_Events, body).events])
    if "push_data" in body:
        return _said([_hub(shaped(_Hub, body), message, hook)])
    if "updated_tags" in body:
        return _quay(shaped(_Quay, body), message, hook)
    if "action" in body:
        return _said([_event(shaped(_Event, body), message, hook)])
    raise BadPayload("neither events, nor push_data (Docker Hub), nor updated_tags (Quay), nor an action (Azure)")


def _said(read: list[Change | str]) -> Normalized:
    changes = {each.id: each for each in read if isinstance(each, Change)}
    why = next((each for each in read if isinstance(each, str)), "the list of events is empty")
    return Normalized(changes=tuple(changes.values()), ignored="" if changes else why)


def _event(event: _Event, message: Message, hook: Hook) -> Change | str:
    if event.action == "ping":
        return "ping"
    if event.action not in ("push", "chart_push"):
        return f"action {event.action[:40]}: nothing new is published"
    if event.target is None:
        raise BadPayload("Field required", path="target")
    if not event.target.tag:
        return "push without a tag: a layer or a part of an image"
    host = event.request.host if event.request else ""
    image = f"{host}/{event.target.repository}".lstrip("/")
    who = event.actor.name if event.actor else ""
    return _pushed(image, event.target.tag, event.target.digest, event.timestamp, who, event.target.url, message, hook)


def _hub(said: _Hub, message: Message, hook: Hook) -> Change:
    name, push = said.repository.repo_name, said.push_data
    return _pushed(name, push.tag or "latest", "", push.pushed_at, push.pusher, said.repository.repo_url, message, hook)


def _quay(said: _Quay, message: Message, hook: Hook) -> Normalized:
    tags = said.updated_tags  # a list, or an object whose keys are the tags
    if not isinstance(tags, (list, dict)):
        raise BadPayload(f"expected a list of tags, found {kind_of(tags)}", path="updated_tags")
    names = [text(tag) for tag in tags if text(tag)]
    name = said.docker_url or said.repository
    return _said([_pushed(name, tag, "", None, "", said.homepage, message, hook) for tag in names[:100]])


def _pushed(  # noqa: PLR0917
    image: str, tag: str, digest: str, at: object, who: str, url: str, message: Message, hook: Hook
) -> Change:
    when = first_time(at)
    once = digest or f"{(when or message.received_at):%Y-%m-%dT%H:%M}"
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"image:{image}:{tag}@{once}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=subject_of_run(image, ChangeKind.ARTIFACT_PUBLISHED, hook),
        outcome=ChangeOutcome.SUCCESS,
        began=when,
        ended=when,
        version=tag,
        author=who,
        url=url,
        summary=f"{image}:{tag} pushed",
        labels={"image": f"{image}:{tag}", "digest": digest},
    )


SETUP = """In the registry's `config.yml`:

```yaml
notifications:
  endpoints:
    - name: tocsin
      url: {url}
      headers: {{Authorization: [Bearer {secret}]}}
      timeout: 2s
      threshold: 5
      backoff: 10s
      ignore: {{actions: [pull]}}
```

- Azure Container Registry: Webhooks → Add, service URI `{url}`, custom header `Authorization: Bearer {secret}`,
  action push
- Docker Hub, Quay: webhook address `{url}?token={secret}`
- An image is the service of its repository's last name; `service: checkout` in the hook's `defaults` names another.
"""

SOURCE = Source(
    name=NAME,
    title="Docker registries (distribution, Azure, Docker Hub, Quay)",
    verify=any_of(token_in("Authorization"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("pulls, mounts and deletions", "pushes without a tag: layers", "ping"),
    aliases=("dockerhub", "docker_hub", "quay", "acr", "distribution"),
)
