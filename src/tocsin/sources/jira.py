"""Who did what to our issue in Jira? Issue and comment webhooks as updates of our records.

Statuses have other names in every workflow, so that only the status category and the resolution say what a move means.
https://developer.atlassian.com/cloud/jira/platform/webhooks/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tocsin.domain.alert import Resolves
from tocsin.domain.message import Hook, Message, Normalized, RecordAction, RecordUpdate, Source
from tocsin.domain.people import Stands
from tocsin.sources._identity import environment_of
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._times import moment
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "jira"

MAX_COMMENT = 4000
_OUR_LABEL = re.compile(r"[a-z]+-([0-9a-f]{32})")
"""The label that the connector writes: a word and the record's key."""
_CAUSE = "root cause"
"""Name of the field that says what caused it, unless the hook's default `cause_field` names another."""


STANDS: Mapping[RecordAction, Stands] = {
    RecordAction.CREATED: "open",
    RecordAction.ACKNOWLEDGED: "acknowledged",
    RecordAction.RESOLVED: "resolved",
    RecordAction.REOPENED: "open",
}


class _User(BaseModel):
    name: str = ""
    key: str = ""
    account_id: str = Field(default="", alias="accountId")
    display_name: str = Field(default="", alias="displayName")
    email: str = Field(default="", alias="emailAddress")
    account_type: str = Field(default="", alias="accountType")


class _Named(BaseModel):
    name: str = ""


class _Category(BaseModel):
    key: str = ""


class _Status(BaseModel):
    name: str = ""
    category: _Category = Field(default=_Category(), alias="statusCategory")


class _Fields(BaseModel):
    summary: str | None = None
    status: _Status | None = None
    priority: _Named | None = None
    assignee: _User | None = None
    resolution: _Named | None = None
    labels: list[str] = []


class _Issue(BaseModel):
    id: Name
    key: Name
    fields: _Fields = _Fields()


class _Item(BaseModel):
    field: str
    to: str | None = Field(default=None, alias="toString")
    """What people read; the vendor's `to` holds an id."""
    before: str | None = Field(default=None, alias="fromString")


class _Changelog(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str = ""
    items: list[_Item] = []


class _Comment(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str = ""
    author: _User | None = None
    body: Any = None


class _Event(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    webhook_event: str = Field(alias="webhookEvent")
    timestamp: int | None = None
    issue: _Issue
    user: _User | None = None
    changelog: _Changelog | None = None
    comment: _Comment | None = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """An update of the record for each thing that the event changed, or the reason why it says nothing.
    Raises BadPayload for an issue or comment event that names no issue."""
    body = parsed_object(message.body)
    kind = str(body.get("webhookEvent", ""))
    if kind not in ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created"):
        return Normalized(ignored=f"event {kind[:60] or 'without a name'} says nothing of a record's state")
    event = shaped(_Event, body)
    actions = tuple(dict.fromkeys(_actions(event, hook)))
    if not actions:
        fields = ", ".join(item.field for item in event.changelog.items) if event.changelog else ""
        return Normalized(ignored=f"issue updated in nothing that we follow: {fields[:200] or 'no changelog'}")
    return Normalized(record_updates=tuple(_update(event, action, message, hook) for action in actions))


def _actions(event: _Event, hook: Hook) -> Iterator[RecordAction]:
    if event.webhook_event == "jira:issue_created":
        yield RecordAction.CREATED
    elif event.webhook_event == "jira:issue_deleted":
        yield RecordAction.DELETED
    else:
        items = {item.field.lower(): item for item in event.changelog.items} if event.changelog else {}
        yield from _moves(event.issue.fields, items)
        if "assignee" in items:
            yield RecordAction.REASSIGNED
        if "priority" in items:
            yield RecordAction.PRIORITY_CHANGED
        if (cause := items.get(_cause_field(hook))) and cause.to:
            yield RecordAction.CAUSE_SET
        if event.comment is not None:
            yield RecordAction.COMMENTED


def _moves(fields: _Fields, items: dict[str, _Item]) -> Iterator[RecordAction]:
    """What a change of status or resolution means. A set resolution or the category `done` resolves, a cleared one
    reopens, the category `indeterminate` (in progress) is somebody taking it on."""
    resolution = items.get("resolution")
    category = fields.status.category.key if fields.status and "status" in items else ""
    if (resolution and resolution.to) or category == "done":
        yield RecordAction.RESOLVED
    elif resolution and resolution.before:
        yield RecordAction.REOPENED
    elif category == "indeterminate":
        yield RecordAction.ACKNOWLEDGED
    elif "status" in items:
        yield RecordAction.UPDATED


def _cause_field(hook: Hook) -> str:
    return hook.defaults.get("cause_field", _CAUSE).lower()


def _update(event: _Event, action: RecordAction, message: Message, hook: Hook) -> RecordUpdate:
    fields = event.issue.fields
    actor = event.user or (event.comment.author if event.comment else None) or _User()
    items = {item.field.lower(): item for item in event.changelog.items} if event.changelog else {}
    cause = items.get(_cause_field(hook))
    return RecordUpdate(
        source=NAME,
        hook=hook.name,
        environment=environment_of(hook.defaults, hook),
        action=action,
        external_id=event.issue.id,
        record_key=next((found[1] for label in fields.labels if (found := _OUR_LABEL.fullmatch(label))), ""),
        number=event.issue.key,
        actor=actor.display_name or actor.name or actor.account_id,
        actor_kind=_actor_kind(actor, hook),
        occurred_at=moment(event.timestamp) or message.received_at,
        received_at=message.received_at,
        event_id=_event_id(event, action, message),
        status=fields.status.name if fields.status else "",
        stands=STANDS.get(action, ""),
        assignee=fields.assignee.display_name or fields.assignee.name if fields.assignee else "",
        priority=fields.priority.name if fields.priority else "",
        comment=text(event.comment.body, MAX_COMMENT) if event.comment and action is RecordAction.COMMENTED else "",
        caused_by=(cause.to or "")[:200] if cause else "",
        close_code=fields.resolution.name if fields.resolution else "",
        summary=f"{event.issue.key} {action.replace('_', ' ')}: {(fields.summary or '')[:200]}",
    )


def _event_id(event: _Event, action: RecordAction, message: Message) -> str:
    """The same for an act, whether it was posted here or polled: by the changelog's or the comment's id."""
    if action is RecordAction.COMMENTED and event.comment and event.comment.id:
        return f"comment:{event.comment.id}"
    if event.changelog and event.changelog.id:
        return f"changelog:{event.changelog.id}:{action}"
    return f"{_delivery(message) or f'{event.issue.id}:{event.timestamp}'}:{action}"


def _actor_kind(actor: _User, hook: Hook) -> str:
    """`integration` for an app and for our own account (the hook's default `own_account`: account id, name or mail
    address); `user` for anybody else who is named."""
    names = {actor.account_id, actor.name, actor.key, actor.email, actor.display_name} - {""}
    if actor.account_type == "app" or hook.defaults.get("own_account") in names:
        return "integration"
    return "user" if names else ""


def _delivery(message: Message) -> str:
    """X-Atlassian-Webhook-Identifier stays the same over retries."""
    return message.headers.get("x-atlassian-webhook-identifier", "")


SETUP = """System → WebHooks → Create a WebHook (an administrator's):

- URL `{url}`, secret `{secret}`: Jira Cloud then signs with X-Hub-Signature. Data Center before 10 cannot sign:
  use `{url}?token={secret}`.
- JQL: the projects that Tocsin opens issues in. Events: issue created, updated, deleted; comment created.
- In the hook's `defaults`, `own_account` (account id of the account that Tocsin writes with) keeps our own writes apart
  from people's, and `cause_field: Root cause` names the field that tells what caused it.
"""

SOURCE = Source(
    name=NAME,
    title="Jira webhooks",
    verify=any_of(hmac_hex(header="X-Hub-Signature", prefix="sha256="), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_delivery,
    setup=SETUP,
    ignores=("edited and deleted comments", "fields other than status, resolution, assignee, priority and cause"),
)
