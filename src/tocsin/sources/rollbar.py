"""Which item of Rollbar is new, frequent, back or resolved, and what was deployed?

`event_name` names it. Nothing is signed; without an answer in 3 seconds it comes again up to ten times over 16 days.
https://docs.rollbar.com/docs/webhooks
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, change, fields_of
from tocsin.sources._verify import shared_secret

NAME = "rollbar"
EXPIRES_AFTER = timedelta(hours=24)
"""Most items are never resolved by hand: a day without another report ends one."""

ITEMS = {
    "new_item": "new item",
    "occurrence": "occurred",
    "exp_repeat_item": "occurs again and again",
    "item_velocity": "occurs often",
    "reactivated_item": "is back after it was resolved",
    "reopened_item": "was reopened",
    "resolved_item": "is resolved",
}

LEVELS = {
    "50": Severity.CRITICAL,
    "40": Severity.ERROR,
    "30": Severity.WARNING,
    "20": Severity.INFO,
    "10": Severity.INFO,
    "critical": Severity.CRITICAL,
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "info": Severity.INFO,
    "debug": Severity.INFO,
}

DEPLOY_STATES = {
    "started": ChangeOutcome.RUNNING,
    "succeeded": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "timed_out": ChangeOutcome.FAILURE,
}


def normalize(message: Message, hook: Hook) -> Normalized:
    """The item's state or a deploy. Raises BadPayload when the object of the event's kind is absent."""
    body = fields_of(message)
    kind = body.need("event_name")
    data = body.inner("data")
    if kind == "test":
        return Normalized(ignored="Rollbar's test of the webhook")
    if kind == "deploy":
        return _deploy(data, message, hook)
    if kind not in ITEMS:
        return Normalized(ignored=f"event {kind[:40]}: it tells of no symptom")
    return _item(data, kind, message, hook)


def _item(data: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    occurrence = data.inner("occurrence")
    item = data.inner("item") if "item" in data or not occurrence.data else occurrence
    last = occurrence if occurrence.data else item.inner("last_occurrence")
    title = item.text("title") or last.inner("body").inner("message").text("body") or item.need("title")
    key = item.text("hash") or item.text("id") or last.text("item_id") or title
    over = kind == "resolved_item" or item.text("status") == "resolved"
    project = data.text("project_name") or item.text("project_name", "project_id") or last.text("project_id")
    trigger = data.inner("trigger")
    told = alert(
        message,
        hook,
        source=NAME,
        name=title,
        subject=Subject.of("service", project) if not project.isdecimal() and project else _by_number(project, title),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=LEVELS.get((item.text("level") or last.text("level")).lower(), Severity.ERROR),
        summary=f"{title}: {ITEMS[kind]}",
        symptom=Symptom.ERRORS,
        starts_at=None if over else _started(item, last, kind),
        ends_at=item.time("resolved_timestamp", "last_modified_timestamp"),
        labels={
            "environment": item.text("environment") or last.text("environment"),
            "project_id": item.text("project_id"),
            "counter": item.text("counter"),
            "occurrences": item.text("total_occurrences"),
            "unique_occurrences": item.text("unique_occurrences"),
            "framework": last.text("framework"),
            "language": last.text("language"),
            "host": last.inner("server").text("host"),
            "code_version": last.text("code_version"),
            "window": trigger.text("window_size_description"),
        },
        links={"item": data.text("url") or item.text("url", "public_url")},
        observed=data.number("occurrences", "rate") or trigger.number("occurrences"),
        threshold=trigger.number("threshold"),
        sample_size=_count(item),
        sender_key=key,
        known_by=f"item:{project}:{item.text('environment')}:{key}",
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


def _by_number(project: str, title: str) -> Subject:
    return Subject.of("unknown", f"rollbar project {project}" if project else title)


def _started(item: Fields, last: Fields, kind: str) -> datetime | None:
    """A new item began with its first occurrence, one that is back when it was activated again. One that a person
    reopened keeps its old times, which lie before its end: then the receipt's order rules."""
    if kind == "reopened_item":
        return None
    first = "first_occurrence_timestamp" if kind == "new_item" else "last_activated_timestamp"
    return item.time(first, "last_occurrence_timestamp") or last.time("timestamp")


def _count(item: Fields) -> int | None:
    count = item.number("total_occurrences")
    return int(count) if count is not None and 0 <= count < 2**63 else None


def _deploy(data: Fields, message: Message, hook: Hook) -> Normalized:
    deploy = data.need_inner("deploy")
    revision = deploy.text("revision")
    project = data.text("project_name") or deploy.text("project_name", "project_id")
    started, finished = deploy.time("start_time"), deploy.time("finish_time")
    word = deploy.text("status").lower()
    outcome = DEPLOY_STATES.get(word, ChangeOutcome.SUCCESS if finished or not word else ChangeOutcome.UNKNOWN)
    comment = deploy.text("comment")
    made = change(
        message,
        hook,
        source=NAME,
        id=f"deploy:{deploy.text('id') or f'{project}:{revision}'}",
        kind=ChangeKind.SERVICE_DEPLOYED,
        subject=Subject.of("service", project)
        if project and not project.isdecimal()
        else _by_number(project, "deploy"),
        occurred_at=started or finished,
        finished_at=None if outcome is ChangeOutcome.RUNNING else finished or started,
        outcome=outcome,
        version=revision,
        author=deploy.text("local_username", "username"),
        summary=f"{revision[:12] or 'a revision'} deployed" + (f": {comment}" if comment else ""),
        labels={"environment": deploy.text("environment"), "project_id": deploy.text("project_id")},
    )
    return Normalized(changes=(made,))


SOURCE = Source(
    name=NAME,
    title="Rollbar",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    expires_after=EXPIRES_AFTER,
    ignores=("the test of the webhook", "events of other kinds"),
    setup="""\
Project settings → Notifications → **Webhook**: URL `{url}?token={secret}`, format JSON; rules *new item*,
*item reactivated*, *reopened*, *resolved*, *high occurrence rate* and *deploy*. Rollbar signs nothing, so the secret
stands in the address.

Rollbar sends the project's number only: put `service: checkout` into the hook's `defaults`, one hook per project.
""",
)
