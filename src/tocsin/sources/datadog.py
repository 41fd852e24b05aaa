"""Datadog monitors: the webhooks integration, with our template, Datadog's default payload or a team's own.

The payload is the customer's (https://docs.datadoghq.com/integrations/webhooks/), so each value is looked for under the
names of Datadog's variables and the names that people give them. Nothing is signed.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, said, tags_of
from tocsin.sources._identity import labels_of, severity_of, subject_of
from tocsin.sources._json import number
from tocsin.sources._monitored import resource_beside
from tocsin.sources._verify import shared_secret

NAME = "datadog"

TRANSITION = ("alert_transition", "transition")
STATE = ("alert_state", "monitor_state", "monitor_status", "overall_state", "state", "status", "alert_status")
"""Names that people give a state; a sentence there (`$ALERT_STATUS`) is none."""
TITLE = ("monitor_name", "alert_name", "alert_title", "event_title", "title", "name")
MESSAGE = ("text_only_msg", "event_msg", "message", "body", "msg", "text", "description")
SCOPE = ("alert_scope", "scope", "scopes")
QUERY = ("alert_query", "query")
METRIC = ("alert_metric", "metric", "metric_name")
MONITOR = ("monitor_id", "alert_id")
LINK = ("link", "url", "alert_url", "event_url", "monitor_url")
PRIORITY = ("alert_priority", "priority", "severity")
TYPE = ("alert_type",)
WHEN = ("date", "last_updated", "date_posix", "timestamp", "event_date")

FIRING = frozenset({"triggered", "re-triggered", "retriggered", "alert", "alerting", "warn", "re-warn", "warning"})
FIRING_TOO = frozenset({"renotify", "re-notify", "renotified", "no data", "re-no data", "nodata", "error", "firing"})
RESOLVED = frozenset({"recovered", "ok", "resolved", "warn recovered", "no data recovered", "success", "closed"})
NO_STATE = frozenset({"null", "muted", "unmuted", "created", "updated", "modified", "deleted"})
"""What people did to a monitor, or the variable of something that is no monitor."""

_KNOWN = FIRING | FIRING_TOO | RESOLVED | NO_STATE

_WORD = r"(?:re-?|warn |no data )?(?:triggered|recovered|warn(?:ing)?|no data|alert|notify|resolved)"
_STATE = re.compile(rf"^\s*\[\s*({_WORD})(?:\s+on\s+(\{{.*?\}}))?\s*\]\s*", re.IGNORECASE)
_SPELT_OUT = re.compile(r"^\s*((?:re-?)?triggered|recovered|no data|alert)(?:\s+on\s+(\{.*?\}))?\s*:\s*", re.IGNORECASE)
_MARK = re.compile(r"^\s*\[\s*(P[1-5]|TEST|MONITOR(?: ALERT)?)\s*\]\s*", re.IGNORECASE)
_LIMIT = re.compile(r"[<>]=?\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*$")
_QUERIED = re.compile(r"(?:^|[(:,\s])([A-Za-z]\w*(?:\.\w+)*)\s*\{")
_VALUE = re.compile(r"\bvalue\b\W{1,4}(-?\d+(?:\.\d+)?)", re.IGNORECASE)
_THRESHOLD = re.compile(r"\bthreshold\b\W{1,4}(-?\d+(?:\.\d+)?)", re.IGNORECASE)

SYMPTOMS = {
    "service check": Symptom.AVAILABILITY,
    "synthetics": Symptom.AVAILABILITY,
    "synthetics alert": Symptom.AVAILABILITY,
    "cost alert": Symptom.COST,
    "error-tracking alert": Symptom.ERRORS,
    "error_tracking_alert": Symptom.ERRORS,
    "synthetics_alert": Symptom.AVAILABILITY,
}
"""What the monitor's type says when no word of the alert does."""

TOLD_ELSEWHERE = frozenset({"env", "environment", "segment", "slice", "cohort", "model_version", "region", "monitor"})
"""Tags of a group that have a field of their own."""

PRIORITIES = {"p1": Severity.CRITICAL, "p2": Severity.ERROR, "p3": Severity.WARNING, "p4": Severity.INFO}
TYPES = {"error": Severity.ERROR, "warning": Severity.WARNING, "success": Severity.INFO, "info": Severity.INFO}


class _Title(NamedTuple):
    name: str
    state: str = ""
    scope: str = ""
    priority: str = ""
    test: bool = False


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert. Raises BadPayload when the body names neither a monitor nor a state that we know."""
    body = fields_of(message)
    if any(key in body for key in ("incident_public_id", "incident_uuid", "incident_title")):
        return Normalized(ignored="a Datadog incident: people work on it there; its monitors send their own alerts")
    told = _flattened(body)
    title = _title_of(told)
    if title.test:
        return Normalized(ignored="test notification of a monitor ([TEST] in its title)")
    word = _word_of(told) or title.state.lower()
    if word in NO_STATE:
        return Normalized(ignored=f"transition {word}: nothing began or ended")
    return Normalized(alerts=(_alert(told, title, word, message, hook),))


def _word_of(told: Fields) -> str:
    """The transition; else a state by another name, when it is a word that we know."""
    if word := told.text(*TRANSITION):
        return word.lower()
    words = (told.text(key).lower() for key in STATE)
    known = next((word for word in words if word in _KNOWN), "")
    return known or ("null" if str(told.data.get("alert_transition")).lower() == "null" and not _titled(told) else "")


def _titled(told: Fields) -> bool:
    """Does one of the titles begin with a state?"""
    return any(_STATE.search(told.text(key)) for key in ("event_title", "alert_title", "title"))


def _flattened(body: Fields) -> Fields:
    """Names in lower case, those of nested `alert`, `event` and `monitor` objects beside the others."""
    found: dict[str, Any] = {}
    for outer in ("monitor", "event", "alert"):
        inner = body.data.get(outer)
        if isinstance(inner, dict):
            prefix = "monitor_" if outer == "monitor" else ""
            found |= {f"{prefix}{key}".lower(): value for key, value in inner.items()}
            found |= {key.lower(): value for key, value in inner.items() if outer != "monitor"}
    found |= {key.lower().lstrip("$"): value for key, value in body.data.items()}
    return Fields(found, body.path)


def _title_of(told: Fields) -> _Title:
    """A title without what Datadog puts before the monitor's name: `[P1] [Triggered on {host:web-1}] Disk is full`."""
    rest = told.text(*TITLE) or told.need("title")
    state = scope = priority = ""
    test = False
    for _ in range(4):
        if mark := _MARK.match(rest):
            test = test or mark[1].upper() == "TEST"
            priority = mark[1] if mark[1].upper().startswith("P") else priority
            rest = rest[mark.end() :]
        elif found := _STATE.match(rest) or _SPELT_OUT.match(rest):
            state, scope = found[1], (found[2] or "").strip("{}")
            rest = rest[found.end() :]
        else:
            break
    if not state and (other := told.text("event_title", "alert_title", "title")) and (found := _STATE.search(other)):
        state, scope = found[1], (found[2] or "").strip("{}")
    return _Title(name=rest.strip() or "unnamed monitor", state=state, scope=scope, priority=priority, test=test)


def _alert(told: Fields, title: _Title, word: str, message: Message, hook: Hook) -> Alert:
    status = _status(word, told)
    scope = _scope_of(told, title)
    grouped = {key: value for key, value in tags_of(scope).items() if key != "tags"}
    tags = tags_of(told.data.get("tags")) | grouped
    at = told.time(*WHEN)
    query, text = told.text(*QUERY), _plain(told.text(*MESSAGE, limit=4000))
    metric = told.text(*METRIC) or _found(_QUERIED, query)
    monitor = told.text(*MONITOR)
    host = told.text("hostname", "host") or tags.get("host", "")
    no_data = "no data" in word or word == "nodata"
    unnamed = Subject.of("host", host) if host else Subject.of("unknown", title.name)
    about = subject_of({**hook.defaults, **tags}, fallback=unnamed)
    return alert(
        message,
        hook,
        source=NAME,
        name=title.name,
        subject=about,
        status=status,
        severity=_severity(told, title, word),
        symptom=Symptom.AVAILABILITY if no_data else _symptom(told, tags, title.name, metric, text),
        summary=_summary(told, title, text),
        description=text,
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags=tags,
        labels={
            "priority": told.text(*PRIORITY) or title.priority,
            "monitor_id": monitor,
            "monitor_type": told.text("event_type", "monitor_type", "type"),
            "transition": word,
            "query": query,
            "organisation": _organisation(told),
            "alert_cycle_key": told.text("alert_cycle_key"),
        },
        links={"monitor": told.text(*LINK, limit=2048), "graph": told.text("snapshot", limit=2048)},
        resource=resource_beside(about, tags, _resource(scope, about) or host),
        metric=metric,
        observed=told.number("value", "alert_value", "observed") or number(_found(_VALUE, text)),
        threshold=_threshold(told, query, text),
        baseline=told.number("baseline"),
        sender_key=told.text("aggreg_key", "aggregation_key") or (f"{monitor}:{scope}" if monitor else ""),
    )


def _status(word: str, told: Fields) -> Status:
    if word in RESOLVED:
        return Status.RESOLVED
    if word in FIRING or word in FIRING_TOO:
        return Status.FIRING
    if not word:
        return Status.RESOLVED if told.text(*TYPE).lower() == "success" else Status.FIRING
    path = next((key for key in TRANSITION if told.text(key)), "title")
    raise BadPayload(f"{word[:40]!r} is no transition of a monitor", path=path)


def _severity(told: Fields, title: _Title, word: str) -> Severity:
    """A warning threshold is a warning whatever the monitor's priority; else the priority, else the alert's type."""
    if word in ("warn", "re-warn", "warning"):
        return Severity.WARNING
    priority = (told.text(*PRIORITY) or title.priority).lower()
    if priority in PRIORITIES or priority == "p5":
        return PRIORITIES.get(priority, Severity.INFO)
    kind = told.text(*TYPE).lower()
    if kind in TYPES and not (kind == "success" or priority):
        return TYPES[kind]
    return severity_of(priority)


def _symptom(told: Fields, tags: dict[str, str], *texts: str) -> Symptom | None:
    """What the monitor's type says outright, unless a tag does; None leaves it to the words."""
    kind = told.text("monitor_type", "event_type", "type").lower()
    return None if "symptom" in tags else SYMPTOMS.get(kind)


def _scope_of(told: Fields, title: _Title) -> str:
    found = told.data.get(next((key for key in SCOPE if told.data.get(key)), "scope"))
    scope = ",".join(said(part, 200) for part in found) if isinstance(found, list) else said(found)
    scope = scope or title.scope
    return "" if scope.strip() in ("*", "{*}") else scope.strip("{} ")


def _resource(scope: str, about: Subject) -> str:
    """Which of the monitor's groups: the value of its tag (`host:web-1` → web-1), or all of several; without what the
    alert already is about."""
    parts = sorted(part.strip() for part in scope.split(",") if part.strip())
    parts = [p for p in parts if p.partition(":")[0] not in TOLD_ELSEWHERE and p.partition(":")[2] != about.name]
    return (parts[0].partition(":")[2] or parts[0]) if len(parts) == 1 else ",".join(parts)


def _threshold(told: Fields, query: str, text: str) -> float | None:
    given = told.number("threshold", "alert_threshold")
    return number(_found(_LIMIT, query) or _found(_THRESHOLD, text)) if given is None else given


def _organisation(told: Fields) -> str:
    org = told.data.get("org")
    return Fields(labels_of(org)).text("name", "id") if isinstance(org, dict) else told.text("org_name", "org")


def _summary(told: Fields, title: _Title, text: str) -> str:
    first = next((line.strip(" #*") for line in text.splitlines() if line.strip(" #*-@")), "")
    detail = told.text("alert_status") if " " in told.text("alert_status") else ""
    return f"{title.name}: {detail or first}" if (detail or first) and (detail or first) != title.name else title.name


def _plain(text: str) -> str:
    """Datadog's message without the marks around its markdown and without its pictures."""
    return re.sub(r"\[?!\[[^\]]*\]\([^)]*\)(\]\([^)]*\))?", "", text).replace("%%%", "").strip()


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


SETUP = """Integrations → Webhooks → New. URL `{url}`, custom header `{{"Authorization": "Bearer {secret}"}}`, *Encode
as form* off, and this payload; then `@webhook-tocsin` in the monitors' messages (outside `{{{{#is_alert}}}}`, so that
the recovery is sent too).

```json
{{
  "title": "$EVENT_TITLE",
  "alert_title": "$ALERT_TITLE",
  "message": "$TEXT_ONLY_MSG",
  "alert_id": "$ALERT_ID",
  "alert_transition": "$ALERT_TRANSITION",
  "alert_type": "$ALERT_TYPE",
  "alert_priority": "$ALERT_PRIORITY",
  "alert_status": "$ALERT_STATUS",
  "alert_metric": "$ALERT_METRIC",
  "alert_query": "$ALERT_QUERY",
  "alert_scope": "$ALERT_SCOPE",
  "aggreg_key": "$AGGREG_KEY",
  "alert_cycle_key": "$ALERT_CYCLE_KEY",
  "event_type": "$EVENT_TYPE",
  "hostname": "$HOSTNAME",
  "tags": "$TAGS",
  "date": "$DATE",
  "link": "$LINK",
  "snapshot": "$SNAPSHOT",
  "org": {{"id": "$ORG_ID", "name": "$ORG_NAME"}},
  "id": "$ID"
}}
```

Tags say what an alert is about: `service`, `model`, `feature`, `dataset`, `env`. Datadog signs nothing and tries again
only after a 5xx. Without a payload of your own Datadog's default one arrives: its title tells the state, and it has no
tags.
"""

SOURCE = Source(
    name=NAME,
    title="Datadog monitors",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("datadog_monitor",),
    ignores=(
        "test notifications of a monitor ([TEST])",
        "transitions that neither begin nor end anything (muted, Null)",
        "Datadog incidents",
    ),
    setup=SETUP,
)
