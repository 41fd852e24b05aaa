"""Which UptimeRobot monitor went down, came back, or has a certificate that runs out?

The web-hook contact sends its variables as JSON, as a form or in the query, under the names `monitorFriendlyName` or,
from people's own templates, `monitor_friendly_name`; variables that it does not know stay as `*alertDuration*`.
https://help.uptimerobot.com/en/articles/14498593-webhook-integration
"""

from __future__ import annotations

from datetime import timedelta

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, tags_of
from tocsin.sources._verify import shared_secret

NAME = "uptimerobot"

DOWN, UP, EXPIRES_SOON = "down", "up", "expires"
TYPES = {"1": DOWN, "2": UP, "3": EXPIRES_SOON, "4": EXPIRES_SOON}
"""alertType: 3 is a certificate, 4 a domain that runs out."""
NAMES = {
    "down": DOWN,
    "up": UP,
    "ssl expiry": EXPIRES_SOON,
    "ssl expiration": EXPIRES_SOON,
    "domain expiry": EXPIRES_SOON,
    "domain expiration": EXPIRES_SOON,
}
NO_STATES = ("paused", "started", "not checked yet", "pending", "98", "99")
"""Also as numbers: 98 started, 99 paused."""

EXPIRY_REMINDER = timedelta(days=8)
"""Reminders come 30, 14, 7 and 1 days before the end, and nobody tells of the renewal."""

MONITOR = ("monitor_friendly_name", "monitorFriendlyName", "monitor_name", "friendly_name")
ID = ("monitor_id", "monitorID", "monitorId", "id")
URL = ("monitor_url", "monitorURL", "monitorUrl", "url")


def normalize(message: Message, hook: Hook) -> Normalized:
    """The monitor's new state. Raises BadPayload without the monitor's name or id and for an unknown alert type."""
    body = fields_of(message)
    kind = _kind(body)
    if not kind:
        return Normalized(ignored="monitor paused or not checked yet: no symptom")
    name = body.text(*MONITOR) or body.text(*ID) or body.need(*MONITOR)
    at = body.time("alert_date_time", "alertDateTime", "incident_start", "incidentStart", "date_time", "datetime")
    details = body.text("alert_details", "alertDetails", "reason")
    firing = kind != UP
    expiry = kind == EXPIRES_SOON
    days = body.number("ssl_expiry_days_left", "sslExpiryDaysLeft", "domainExpiryDaysLeft") if expiry else None
    told = alert(
        message,
        hook,
        source=NAME,
        name=f"{name}: expiry" if expiry else name,
        subject=Subject.of("service", name),
        status=Status.FIRING if firing else Status.RESOLVED,
        severity=Severity.WARNING if expiry else Severity.CRITICAL,
        summary=f"{name} {'expires soon' if expiry else 'is ' + kind}" + (f": {details}" if details and firing else ""),
        symptom=Symptom.AVAILABILITY,
        starts_at=at if firing else None,
        ends_at=at,
        tags=tags_of(body.data.get("tags", body.data.get("monitorTags"))),
        labels={
            "target": body.text(*URL),
            "reason": details,
            "monitor_type": body.text("monitor_type", "monitorType", "monitorTypeName"),
            "duration": body.text("alert_friendly_duration", "alertFriendlyDuration", "alertDuration"),
            "expires": body.text("ssl_expiry_date", "sslExpiryDate", "domainExpireDate", "domainExpiryDate"),
            "group": body.text("monitorGroup", "monitor_group", "group"),
        },
        links={
            "target": body.text(*URL),
            "dashboard": body.text("dashboard_url", "dashboardURL", "dashboardUrl"),
        },
        observed=days,
        sender_key=body.text(*ID) or name,
        resolves=Resolves.EXPIRY if expiry else Resolves.SENDER,
        expires_after=EXPIRY_REMINDER if expiry else None,
    )
    return Normalized(alerts=(told,))


def _kind(body: Fields) -> str:
    """DOWN, UP or EXPIRES_SOON; empty for a monitor that is not watching. Raises BadPayload for anything else."""
    number = body.text("alert_type", "alertType")
    word = body.text("alert_type_friendly_name", "alertTypeFriendlyName", "status").lower()
    if word in NO_STATES or number in NO_STATES:
        return ""
    kind = TYPES.get(number) or NAMES.get(word) or NAMES.get(number.lower())
    if kind is None:
        found = number or word
        raise BadPayload(f"{found[:40]!r} is no alert type" if found else "absent", path="alert_type")
    return kind


SOURCE = Source(
    name=NAME,
    title="UptimeRobot",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("uptime_robot",),
    ignores=("monitors that are paused or were not checked yet",),
    setup="""\
Integrations → Webhook → URL to notify `{url}?token={secret}`, *Send as JSON* on, with the default body or:

```json
{{"monitor_id": "*monitorID*", "monitor_friendly_name": "*monitorFriendlyName*", "monitor_url": "*monitorURL*",
  "alert_type": "*alertType*", "alert_type_friendly_name": "*alertTypeFriendlyName*", "alert_details": "*alertDetails*",
  "alert_date_time": "*alertDateTime*", "ssl_expiry_days_left": "*sslExpiryDaysLeft*"}}
```

Down and up of one monitor are one alert. A reminder that a certificate or domain runs out is an alert of its own,
which ends 8 days after the last reminder.
""",
)
