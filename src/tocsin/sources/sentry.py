"""Sentry: the integration platform's webhooks (issues, issue alerts, metric alerts, errors) and the legacy plugin's.

https://docs.sentry.io/organization/integrations/integration-platform/webhooks/
The kind of event stands in the header Sentry-Hook-Resource alone; where a proxy drops it, the body's own shape tells.
Sentry wants its answer within 1 s; it signs the body only, so that its timestamp proves nothing: a repeated delivery is
known by its Request-ID.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Sample, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields
from tocsin.sources._identity import labels_of, link_of, severity_of, symptom_of
from tocsin.sources._json import number, parsed_object
from tocsin.sources._monitor import alert_of, any_time, claims_in, filled
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "sentry"

CATEGORIES = {
    "error": Symptom.ERRORS,
    "replay": Symptom.ERRORS,
    "performance": Symptom.LATENCY,
    "db_query": Symptom.LATENCY,
    "http_client": Symptom.LATENCY,
    "frontend": Symptom.LATENCY,
    "mobile": Symptom.LATENCY,
    "cron": Symptom.AVAILABILITY,
    "uptime": Symptom.AVAILABILITY,
    "outage": Symptom.AVAILABILITY,
}
"""Sentry's category of an issue → what is wrong; any other is read from the words of its title."""

OCCURRENCES = ((1000, 3000, "performance"), (4000, 5000, "cron"), (7000, 8000, "uptime"))
"""Numbers of `occurrence.type` (a grouptype) of an event, from and before, where it says no category."""

TOLD_BY_WORDS = frozenset(Symptom) - {Symptom.AVAILABILITY, Symptom.LATENCY, Symptom.SATURATION, Symptom.VOLUME}
"""A message that somebody logged (no exception) is an error unless its words tell one of these."""

ISSUE_FIRES = frozenset({"created", "unresolved", "escalating", "regressed"})
ISSUE_STANDS = {
    "assigned": "issue assigned: someone looks at it, the symptom stands",
    "unassigned": "issue unassigned: the symptom stands",
    "ignored": "issue ignored: a person muted it in Sentry, the symptom stands",
    "archived": "issue archived: a person muted it in Sentry, the symptom stands",
}

LEGACY_EXPIRES_AFTER = timedelta(hours=24)
"""The legacy plugin reports events only: an issue without an event for a day is over."""

_SAMPLE = re.compile(r"This is an example .{1,40} exception")
_ISSUE_ID = re.compile(r"/(?:issues|groups)/(\d+)")
_PROJECT = re.compile(r"/projects/[^/]+/([^/]+)/")
_LEADING = re.compile(r"\s*([\d.,]+)")
_PERSONAL = ("user", "sentry:user", "url")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert for an event, an issue or a metric alert. Raises BadPayload when the body fits no resource."""
    body = Fields(parsed_object(message.body))
    if "data" not in body:
        return _legacy(body, message, hook)
    data = body.need_inner("data")
    action = body.need("action").lower()
    resource = message.headers.get("sentry-hook-resource", "").strip().lower() or _resource(data)
    reader = READERS.get(resource)
    if reader is None:
        return Normalized(ignored=f"{resource[:40]} {action[:40]}: it tells of no symptom")
    return reader(data, action, message, hook)


def _resource(data: Fields) -> str:
    for key, resource in (("metric_alert", "metric_alert"), ("event", "event_alert"), ("error", "error")):
        if key in data:
            return resource
    for key, resource in (("comment_id", "comment"), ("issue", "issue"), ("installation", "installation")):
        if key in data:
            return resource
    raise BadPayload("neither an event, an issue nor a metric alert, and no header Sentry-Hook-Resource", path="data")


def _event_alert(data: Fields, action: str, message: Message, hook: Hook) -> Normalized:
    del action  # always `triggered`
    event = data.need_inner("event")
    return _of_event(event, _issue_of(event), data.text("triggered_rule"), message, hook)


def _error(data: Fields, action: str, message: Message, hook: Hook) -> Normalized:
    del action  # always `created`
    event = data.need_inner("error")
    return _of_event(event, _issue_of(event), "", message, hook)


def _legacy(body: Fields, message: Message, hook: Hook) -> Normalized:
    """The WebHooks plugin of old projects: it signs nothing, has no action and never says that an issue is over."""
    issue_id = body.text("id") or _found(_ISSUE_ID, body.text("url", limit=2048)) or body.need("id")
    event = body.inner("event")
    seen = {key: body.data[key] for key in ("level", "culprit", "logger") if body.data.get(key)}
    project = {"project_slug": body.text("project_slug", "project", "project_name")}
    title = body.text("message") or event.text("title") or body.text("culprit")
    told = Fields({**event.data, "web_url": body.data.get("url"), "title": title, **seen, **project}, event.path)
    said = _of_event(told, issue_id, ", ".join(_texts(body.data.get("triggering_rules"))), message, hook)
    ending = partial(replace, resolves=Resolves.EXPIRY, expires_after=LEGACY_EXPIRES_AFTER)
    return replace(said, alerts=tuple(map(ending, said.alerts)))


def _of_event(event: Fields, issue_id: str, rule: str, message: Message, hook: Hook) -> Normalized:
    title = event.text("title", "message") or event.inner("metadata").text("title", "type") or event.need("culprit")
    if _SAMPLE.fullmatch(title.removeprefix("Exception: ")):
        return Normalized(ignored="Sentry's sample event")
    tags = _tags(event.data.get("tags"))
    project = event.text("project_slug", "project_name") or _found(_PROJECT, event.text("url")) or event.text("project")
    labels = tags | filled(
        {
            "project": project,
            "level": event.text("level") or tags.get("level", ""),
            "culprit": event.text("culprit"),
            "environment": event.text("environment") or tags.get("environment", ""),
            "release": _release(event.data.get("release")) or tags.get("release", ""),
            "platform": event.text("platform"),
            "rule": rule,
        }
    )
    link = link_of(event.text("web_url", limit=2048))
    alert = _alert(
        message,
        hook,
        title=title,
        issue_id=issue_id,
        project=project,
        labels=labels,
        symptom=_symptom(event, labels, title),
        samples=(Sample(request_id=event.text("event_id"), trace_url=link),) if event.text("event_id") else (),
        links={"issue": link},
        starts_at=any_time(*(event.data.get(k) for k in ("datetime", "timestamp", "dateCreated", "received"))),
    )
    return Normalized(alerts=(alert,))


def _issue(data: Fields, action: str, message: Message, hook: Hook) -> Normalized:
    issue = data.need_inner("issue")
    if action in ISSUE_STANDS:
        return Normalized(ignored=ISSUE_STANDS[action])
    if action not in ISSUE_FIRES and action != "resolved":
        raise BadPayload(f"{action[:40]!r} is no action on an issue that Sentry documents", path="action")
    if issue.text("issueCategory").lower() == "feedback":
        return Normalized(ignored="user feedback: a person's words, no symptom that was measured")
    title = issue.text("title") or issue.need("culprit")
    if _SAMPLE.fullmatch(title):
        return Normalized(ignored="Sentry's sample event")
    sent_at = any_time(message.headers.get("sentry-hook-timestamp"))
    ended = action == "resolved"
    project = issue.inner("project").text("slug", "name", "id")
    labels = filled(
        {
            "project": project,
            "level": issue.text("level"),
            "culprit": issue.text("culprit"),
            "platform": issue.text("platform"),
            "issue": issue.text("shortId"),
            "substatus": issue.text("substatus"),
            "resolution": data.text("resolution_type"),
            "priority": issue.text("priority"),
        }
    )
    alert = _alert(
        message,
        hook,
        title=title,
        issue_id=issue.need("id"),
        project=project,
        labels=labels,
        symptom=_symptom(issue, labels, title),
        links={"issue": issue.text("permalink", "web_url", limit=2048)},
        status=Status.RESOLVED if ended else Status.FIRING,
        starts_at=None if ended else _began(issue, action, sent_at),
        ends_at=sent_at if ended else None,
    )
    return Normalized(alerts=(alert,))


def _began(issue: Fields, action: str, sent_at: datetime | None) -> datetime | None:
    """When it fires. One that a person opened again keeps the time of its last event, which lies before its end: then
    the time at which Sentry tells of it."""
    last = any_time(issue.data.get("lastSeen"))
    if action == "created":
        return any_time(issue.data.get("firstSeen")) or last
    return max((found for found in (last, sent_at) if found), default=None)


def _metric_alert(data: Fields, action: str, message: Message, hook: Hook) -> Normalized:
    """A rule on a metric: the rule is the alert's identity, as each incident of it has another id."""
    incident = data.need_inner("metric_alert")
    if action not in ("critical", "warning", "resolved"):
        raise BadPayload(f"{action[:40]!r} is neither critical, warning nor resolved", path="action")
    rule = incident.inner("alert_rule")
    name = rule.text("name") or incident.text("title") or data.need("description_title")
    projects = _texts(incident.data.get("projects") or rule.data.get("projects"))
    summary = data.text("description_text").replace("\\n", "; ").replace("\n", "; ")
    labels = filled(
        {
            "project": projects[0] if projects else "",
            "query": rule.text("query"),
            "dataset_of_rule": rule.text("dataset"),
            "environment": rule.text("environment"),
            "rule": rule.text("id"),
        }
    )
    ended = action == "resolved"
    alert = alert_of(
        message,
        hook,
        source=NAME,
        name=name,
        about=Subject.of("service", projects[0]) if projects else Subject.of("unknown", name),
        status=Status.RESOLVED if ended else Status.FIRING,
        severity=severity_of("warning" if ended else action),
        labels=labels,
        claims=claims_in(_query_tags(rule.text("query"))),
        summary=f"{name}: {summary}" if summary else name,
        key=f"metric:{rule.text('id') or incident.text('identifier', 'id') or name}",
        metric=rule.text("aggregate"),
        observed=number(_found(_LEADING, summary).replace(",", "").rstrip(".")),
        threshold=_threshold(rule, action),
        links={"incident": data.text("web_url", limit=2048)},
        starts_at=any_time(incident.data.get("date_started"), incident.data.get("date_detected")),
        ends_at=any_time(incident.data.get("date_closed"), message.headers.get("sentry-hook-timestamp")),
    )
    return Normalized(alerts=(alert,))


READERS: dict[str, Callable[[Fields, str, Message, Hook], Normalized]] = {
    "event_alert": _event_alert,
    "error": _error,
    "issue": _issue,
    "metric_alert": _metric_alert,
}


def _alert(
    message: Message,
    hook: Hook,
    *,
    title: str,
    issue_id: str,
    project: str,
    labels: dict[str, str],
    status: Status = Status.FIRING,
    **more: Any,  # noqa: ANN401
) -> Alert:
    """The issue is the identity: its events report it, its resolution ends it."""
    about = Subject.of("service", project) if project else Subject.of("unknown", title[:255])
    if monitor := labels.get("monitor.slug"):  # a cron monitor watches a job
        about = Subject.of("job", monitor)
    return alert_of(
        message,
        hook,
        source=NAME,
        name=title,
        about=about,
        status=status,
        severity=severity_of(labels.get("level")),
        labels=labels,
        claims=claims_in(labels),
        key=f"issue:{issue_id}",
        **more,
    )


def _symptom(told: Fields, labels: dict[str, str], title: str) -> Symptom:
    category = told.text("issueCategory").lower()
    occurrence = told.inner("occurrence").number("type") if isinstance(told.data.get("occurrence"), dict) else None
    if not category and occurrence is not None:
        category = next((name for first, end, name in OCCURRENCES if first <= occurrence < end), "metric")
    if category in CATEGORIES and category != "error":
        return CATEGORIES[category]
    words = symptom_of(labels, title, "errors")
    if category == "metric":
        return words
    logged = told.text("type") not in ("error", "csp") and "exception" not in told
    return words if logged and words in TOLD_BY_WORDS else Symptom.ERRORS


def _issue_of(event: Fields) -> str:
    """The id of the event's issue: a field of newer Sentry, else in the address of the issue."""
    found = event.text("issue_id", "groupID") or _found(_ISSUE_ID, event.text("issue_url", limit=2048))
    if found := found or _found(_ISSUE_ID, event.text("web_url", limit=2048)):
        return found
    raise BadPayload("the event names no issue", path=event.at_path("issue_id"))


def _tags(tags: object) -> dict[str, str]:
    """Tags as Sentry writes them: pairs, objects with key and value, one object. What tells of a person stays out."""
    if isinstance(tags, dict):
        pairs = list(tags.items())
    elif isinstance(tags, list):
        pairs = [(t[0], t[1]) for t in tags if isinstance(t, list) and len(t) == 2 and isinstance(t[0], str)]
        pairs += [(t["key"], t.get("value")) for t in tags if isinstance(t, dict) and isinstance(t.get("key"), str)]
    else:
        pairs = []
    return labels_of({key: value for key, value in pairs if key not in _PERSONAL and not key.startswith("user.")})


def _query_tags(query: str) -> dict[str, str]:
    """`model:churn level:error` as labels: what the rule counts is what it is about."""
    parts = (part.partition(":") for part in query.split() if not part.startswith("!"))
    return {key: value.strip('"') for key, colon, value in parts if colon and value}


def _threshold(rule: Fields, action: str) -> float | None:
    """The threshold that was crossed; of a resolve, the one at which it resolves."""
    triggers = rule.data.get("triggers")
    listed = [t for t in triggers if isinstance(t, dict)] if isinstance(triggers, list) else []
    of_action = next((t for t in listed if t.get("label") == action), None)
    if of_action is not None:
        return Fields(of_action).number("alert_threshold", "alertThreshold")
    return rule.number("resolve_threshold", "resolveThreshold") if action == "resolved" else None


def _release(release: object) -> str:
    if isinstance(release, dict):
        return Fields(release).text("version")
    return release[:255] if isinstance(release, str) else ""


def _texts(value: object) -> list[str]:
    return [str(each)[:255] for each in value if isinstance(each, (str, int))] if isinstance(value, list) else []


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.match(text) if pattern is _LEADING else pattern.search(text)
    return match[1] if match else ""


def _delivery(message: Message) -> str:
    """The header Request-ID."""
    return message.headers.get("request-id", "")


SETUP = """\
Settings → Developer Settings → Custom Integrations → New Internal Integration:

- Webhook URL `{url}`, *Alert Rule Action* on; permissions *Issue & Event: Read*; webhooks **issue** (its `resolved`
  ends the alert). Store the integration's **Client Secret** as this hook's secret: Sentry signs with it.
- Alerts → your issue and metric alert rules → action *Send a notification via* this integration.
- Without an integration (the legacy WebHooks plugin, which signs nothing): `{url}?token={secret}`.

Sentry waits 1 s and does not try again; after 1000 timeouts in a day it disables the integration.

Tags `service`, `model`, `feature`, `dataset` or `symptom` on an event say what it is about; otherwise it is the service
of the project's name. What the legacy plugin alone reports ends a day
after its last event: prefer the integration.
"""

SOURCE = Source(
    name=NAME,
    title="Sentry",
    verify=any_of(hmac_hex(header="Sentry-Hook-Signature"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_delivery,
    setup=SETUP,
    ignores=(
        "installation, comment and other resources that tell of no symptom",
        "issues that were assigned, ignored or archived: the symptom stands",
        "user feedback",
        "Sentry's sample event (This is an example … exception)",
    ),
)
