"""Zabbix: a media type of type Webhook, whose script posts the macros that its parameters hold.

https://www.zabbix.com/documentation/current/en/manual/config/notifications/media/webhook
There is no fixed body; `setup` and docs/howto/monitors.md have the template. Macros under their own names (`EVENT.ID`),
in snake case, and the names that other tools' templates chose are read too.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tocsin.domain.alert import Alert, Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, fields_of
from tocsin.sources._identity import labels_of, severity_of
from tocsin.sources._json import number, parsed
from tocsin.sources._monitor import alert_of, any_time, filled
from tocsin.sources._verify import shared_secret

NAME = "zabbix"

KEYS: dict[str, tuple[str, ...]] = {
    "event": ("event_id", "eventid", "event.id", "id"),
    "trigger": ("trigger_id", "triggerid", "trigger.id"),
    "name": (
        "event_name",
        "event.name",
        "name",
        "trigger",
        "trigger_name",
        "trigger.name",
        "problem",
        "alert_subject",
        "alert.subject",
        "subject",
    ),
    "status": ("event_status", "event.status", "status", "trigger_status", "trigger.status"),
    "value": ("event_value", "event.value", "trigger_value", "trigger.value"),
    "update": ("event_update_status", "event.update.status"),
    "action": ("event_update_action", "event.update.action"),
    "source": ("event_source", "event.source"),
    "severity": ("event_severity", "event.severity", "severity", "trigger_severity", "trigger.severity", "priority"),
    "level": ("event_nseverity", "event.nseverity", "nseverity", "trigger_nseverity", "trigger.nseverity"),
    "host": ("host", "hostname", "host_name", "host.name", "host.host", "host_host", "service"),
    "group": ("host_group", "hostgroup", "host_groups", "trigger.hostgroup.name"),
    "item": ("item", "item_name", "item.name", "item.name1", "metric"),
    "itemvalue": (
        "item_value",
        "item.value",
        "item.lastvalue",
        "item_lastvalue",
        "opdata",
        "event_opdata",
        "event.opdata",
        "operational_data",
    ),
    "message": (
        "alert_message",
        "alert.message",
        "message",
        "description",
        "trigger_description",
        "trigger.description",
    ),
    "tags": ("event_tags", "event.tags", "event.tagsjson", "event_tags_json", "tags"),
    "link": ("link", "url", "event_url", "trigger_url", "trigger.url", "problem_url"),
    "front": ("zabbix_url", "zabbix.url", "$zabbix.url"),
    "began": ("event_timestamp", "event.timestamp", "clock", "started_at", "lastreceived"),
    "date": ("event_date", "event.date", "date"),
    "time": ("event_time", "event.time", "time"),
    "ended": ("event_recovery_timestamp", "event.recovery.timestamp", "r_clock"),
    "ended_date": ("event_recovery_date", "event.recovery.date"),
    "ended_time": ("event_recovery_time", "event.recovery.time"),
}
"""What we want of a report → the names under which templates send it, in lower case, the most exact first."""

BEGUN = frozenset({"problem", "1", "unknown", "trouble", "firing"})
ENDED = frozenset({"ok", "0", "resolved", "recovery", "recovered", "normal", "closed"})
NOT_TRIGGERS = {"1": "network discovery", "2": "autoregistration"}
"""{EVENT.SOURCE}: 0 is a trigger, 3 an internal event (an item or rule that stopped working), 4 a service."""
LEVELS = dict(enumerate((Severity.INFO, Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL)))
"""{EVENT.NSEVERITY}: not classified, information, warning, average, high; 5, disaster, is critical too."""

_MACRO = re.compile(r"\{[A-Z$#?][A-Z0-9_.$<>{}\[\]:#-]*\}|\*UNKNOWN\*", re.IGNORECASE)
_DOTTED = re.compile(r"(\d{4})\.(\d\d)\.(\d\d \d\d:\d\d:\d\d)")
"""{DATE} {TIME}, as Zabbix writes them."""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


class _Report:
    """The body's fields under our own words; a macro that Zabbix could not resolve says nothing."""

    def __init__(self, body: Fields) -> None:
        self._sent = {key.strip("{}").lower(): value for key, value in body.data.items()}

    def text(self, what: str, limit: int = 1024) -> str:
        said = Fields(self._sent)
        for key in KEYS[what]:
            if (found := said.text(key, limit=limit)) and not _MACRO.fullmatch(found):
                return found
        return ""

    def raw(self, what: str) -> Any:  # noqa: ANN401
        return next((self._sent[key] for key in KEYS[what] if self._sent.get(key) not in (None, "")), None)

    @property
    def is_unfilled(self) -> bool:
        """A macro stands where the state should: the media type's Test window sends its parameters as they are."""
        states = [self._sent.get(key) for key in (*KEYS["status"], *KEYS["value"])]
        texts = [state for state in states if isinstance(state, str) and state.strip()]
        return bool(texts) and all(_MACRO.fullmatch(state.strip()) for state in texts)


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert of a problem or its recovery. Raises BadPayload without a state or a name."""
    report = _Report(fields_of(message))
    if report.is_unfilled:
        return Normalized(ignored="test of the media type: its macros are not filled in")
    if (kind := report.text("source")) in NOT_TRIGGERS:
        return Normalized(ignored=f"event of {NOT_TRIGGERS[kind]}: no problem")
    status = _status(report)
    if report.text("update") == "1" and status is Status.FIRING and "severity" not in report.text("action"):
        return Normalized(ignored="a person's update of a problem (acknowledged, commented): the symptom stands")
    return Normalized(alerts=(_alert(report, status, message, hook),))


def _status(report: _Report) -> Status:
    for word in (report.text("value"), report.text("status")):
        if word.lower() in BEGUN:
            return Status.FIRING
        if word.lower() in ENDED:
            return Status.RESOLVED
    found = report.text("status") or report.text("value")
    raise BadPayload(f"{found[:40]!r} is neither PROBLEM nor OK" if found else "absent", path="status")


def _alert(report: _Report, status: Status, message: Message, hook: Hook) -> Alert:
    name = report.text("name") or report.text("item")
    if not name:
        raise BadPayload("absent: send {EVENT.NAME}", path="event_name")
    host, link = report.text("host"), report.text("link", 2048)
    linked = parse_qs(urlsplit(link).query) if link.startswith("http") else {}
    event = report.text("event") or next(iter(linked.get("eventid", [])), "")
    trigger = report.text("trigger") or next(iter(linked.get("triggerid", [])), "")
    tags = _tags(report.raw("tags"))
    front = report.text("front").rstrip("/")
    if not link and front and event and trigger:
        link = f"{front}/tr_events.php?triggerid={trigger}&eventid={event}"
    labels = tags | filled({"host": host, "host_group": report.text("group"), "item": report.text("item")})
    labels |= filled({"zabbix_event": event, "zabbix_trigger": trigger, "severity": report.text("severity")})
    message_text = report.text("message").replace("\n", "; ")
    value = report.text("itemvalue")
    return alert_of(
        message,
        hook,
        source=NAME,
        name=name,
        about=Subject.of("unknown", name[:255]),
        status=status,
        severity=_severity(report),
        labels=labels,
        summary=f"{name}: {message_text}" if message_text and message_text != name else name,
        key=f"trigger:{trigger}" if trigger else f"{host}:{name}",
        sender_key=f"event:{event}" if event else "",
        starts_at=_time(report, hook, "began", "date", "time") if status is Status.FIRING else None,
        ends_at=_time(report, hook, "ended", "ended_date", "ended_time"),
        observed=number(_first(value)) if value else None,
        links={"problem": link},
    )


def _severity(report: _Report) -> Severity:
    word = report.text("severity")
    level = number(report.text("level") or word)  # some templates send the number as the severity
    if level is not None and 0 <= level <= 5:
        return LEVELS.get(int(level), Severity.CRITICAL)
    return Severity.INFO if word.lower() == "not classified" else severity_of(word)


def _time(report: _Report, hook: Hook, epoch: str, date: str, time: str) -> datetime | None:
    """The moment: an epoch macro, else date and time. Those are the server's own: the hook's default `utc_offset`
    (`+02:00`) says where it stands, otherwise it is UTC."""
    offset = hook.defaults.get("utc_offset", "")
    told = report.raw(epoch)
    if dotted := _DOTTED.fullmatch(told) if isinstance(told, str) else None:
        told = f"{dotted[1]}-{dotted[2]}-{dotted[3]}{offset}"
    if found := any_time(told):
        return found
    day, clock = report.text(date).replace(".", "-"), report.text(time)
    return any_time(f"{day} {clock}{offset}") if day and clock else None


def _first(value: str) -> str:
    match = _NUMBER.search(value)
    return match[0] if match else ""


def _tags(sent: object) -> dict[str, str]:
    """{EVENT.TAGSJSON}: a list of tag and value, as JSON or as its text; {EVENT.TAGS}: `model:churn, scope:ml`."""
    if isinstance(sent, str) and sent.lstrip().startswith(("[", "{")):
        try:
            sent = parsed(sent.encode("utf-8", "replace"))
        except BadPayload:
            return {}
    if isinstance(sent, dict):
        return labels_of(sent)
    if isinstance(sent, str) and not _MACRO.fullmatch(sent.strip()):
        pairs = (part.partition(":") for part in sent.split(","))
        return filled({key.strip(): value.strip() for key, colon, value in pairs if colon})
    listed = [tag for tag in sent if isinstance(tag, dict)] if isinstance(sent, list) else []
    return filled({str(tag["tag"]): tag.get("value") for tag in listed if isinstance(tag.get("tag"), str)})


SETUP = """\
Alerts → Media types → Create, type **Webhook**. Parameters (name → value):

| name | value | name | value |
| --- | --- | --- | --- |
| `url` | `{url}` | `secret` | `{secret}` |
| `event_id` | `{{EVENT.ID}}` | `trigger_id` | `{{TRIGGER.ID}}` |
| `event_value` | `{{EVENT.VALUE}}` | `event_update_status` | `{{EVENT.UPDATE.STATUS}}` |
| `event_name` | `{{EVENT.NAME}}` | `event_nseverity` | `{{EVENT.NSEVERITY}}` |
| `host` | `{{HOST.HOST}}` | `event_tags` | `{{EVENT.TAGSJSON}}` |
| `opdata` | `{{EVENT.OPDATA}}` | `event_source` | `{{EVENT.SOURCE}}` |
| `event_date` | `{{EVENT.DATE}}` | `event_time` | `{{EVENT.TIME}}` |
| `event_recovery_date` | `{{EVENT.RECOVERY.DATE}}` | `event_recovery_time` | `{{EVENT.RECOVERY.TIME}}` |

Script:

```js
var p = JSON.parse(value), r = new HttpRequest();
r.addHeader('Content-Type: application/json');
r.addHeader('Authorization: Bearer ' + p.secret);
var url = p.url; delete p.url; delete p.secret;
var answer = r.post(url, JSON.stringify(p));
if (r.getStatus() !== 202) {{ throw 'Tocsin answered ' + r.getStatus() + ': ' + answer; }}
return 'OK';
```

Options: *Attempts* 3 (the default), 10 s apart. Message templates: Problem and Problem recovery. Zabbix sends times in
the server's zone: put `utc_offset: "+02:00"` into the hook's `defaults` when that is not UTC. Tags `service`, `model`,
`feature`, `dataset` and `symptom` say what it is about.
"""

SOURCE = Source(
    name=NAME,
    title="Zabbix",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "a person's update of a problem that stands (acknowledged, commented)",
        "events of network discovery and autoregistration",
        "the media type's Test window: its macros are not filled in",
    ),
)
