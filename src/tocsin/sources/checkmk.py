"""Which host or service of Checkmk has a problem or recovered?

Checkmk posts nothing by itself; a notification script does. Read are the names of the script below and of Checkmk's own
notification variables (`HOSTNAME`, `NOTIFY_SERVICESTATE` …). https://docs.checkmk.com/latest/en/notifications.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, symptom_of_service
from tocsin.sources._verify import shared_secret

NAME = "checkmk"

STATES = {
    "ok": (Status.RESOLVED, Severity.WARNING),
    "up": (Status.RESOLVED, Severity.CRITICAL),
    "warn": (Status.FIRING, Severity.WARNING),
    "warning": (Status.FIRING, Severity.WARNING),
    "crit": (Status.FIRING, Severity.CRITICAL),
    "critical": (Status.FIRING, Severity.CRITICAL),
    "down": (Status.FIRING, Severity.CRITICAL),
    "unreach": (Status.FIRING, Severity.ERROR),
    "unreachable": (Status.FIRING, Severity.ERROR),
    "unknown": (Status.FIRING, Severity.WARNING),
    "unkn": (Status.FIRING, Severity.WARNING),
}

IGNORED = {
    "ACKNOWLEDGEMENT": "acknowledged in Checkmk: the problem stands",
    "DOWNTIMESTART": "downtime begins: Checkmk holds its notifications back by itself",
    "DOWNTIMEEND": "downtime ends: Checkmk notifies again by itself",
    "DOWNTIMECANCELLED": "downtime cancelled: Checkmk notifies again by itself",
    "FLAPPINGSTART": "flapping begins: the states that follow tell more",
    "FLAPPINGSTOP": "flapping ends: the states that follow tell more",
    "FLAPPINGDISABLED": "flap detection switched off",
    "CUSTOM": "a notification that a person sent by hand",
    "ALERTHANDLER": "an alert handler ran",
}
"""NOTIFICATIONTYPE; PROBLEM and RECOVERY are read."""

_NAMES = {
    "host": "host",
    "hostname": "host",
    "hostalias": "alias",
    "hostaddress": "address",
    "service": "service",
    "servicedesc": "service",
    "service_description": "service",
    "notificationtype": "notification_type",
    "servicestate": "service_state",
    "hoststate": "host_state",
    "serviceoutput": "service_output",
    "hostoutput": "host_output",
    "longserviceoutput": "long_output",
    "longhostoutput": "long_output",
    "longdatetime": "long_date_time",
    "shortdatetime": "short_date_time",
    "microtime": "micro_time",
    "omd_site": "site",
    "servicecheckcommand": "check_command",
    "hostcheckcommand": "check_command",
    "serviceproblemid": "id",
    "hostproblemid": "id",
}


def normalize(message: Message, hook: Hook) -> Normalized:
    """The host's or service's new state. Raises BadPayload without host or state."""
    body = _renamed(fields_of(message))
    kind = body.text("notification_type").upper().partition(" ")[0]
    if kind in IGNORED:
        return Normalized(ignored=IGNORED[kind])
    host = body.need("host")
    service = body.text("service")
    word = _state(body, kind)
    status, severity = STATES[word]
    at = _time(body)
    output = body.text("output", "service_output" if service else "host_output")
    told = alert(
        message,
        hook,
        source=NAME,
        name=service or "host state",
        subject=Subject.of("host", host),
        status=status,
        severity=severity,
        summary=body.text("summary") or f"{host} {service}".strip() + f" is {word.upper()}",
        description=output,
        symptom=symptom_of_service(service, output) if service else Symptom.AVAILABILITY,
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        labels={
            "host": host,
            "check": service,
            "address": body.text("address"),
            "event": body.text("event"),
            "site": body.text("site"),
            "check_command": body.text("check_command"),
            "notification_type": kind,
        },
        links={"checkmk": body.text("url")},
        sender_key=f"{body.text('site')}/{host}/{service}",
    )
    return Normalized(alerts=(told,))


def _renamed(body: Fields) -> Fields:
    """The script's short names, whatever spelling the variables came in."""
    found: dict[str, Any] = {}
    for key, value in body.data.items():
        plain = key.lower().removeprefix("notify_")
        found.setdefault(_NAMES.get(plain, plain), value)
    return Fields(found, body.path)


def _state(body: Fields, kind: str) -> str:
    """The new state in lower case: its own field, else the right side of `OK -> CRIT`, else what the type says."""
    own = "service_state" if body.text("service") else "host_state"
    word = body.text(own, "status", "state", "service_state", "host_state").lower()
    word = word or body.text("event").rpartition("->")[2].strip().lower()
    if word not in STATES and kind == "RECOVERY":
        word = "ok"
    if word not in STATES:
        raise BadPayload(f"{word[:40]!r} is no state" if word else "absent", path="status")
    return word


def _time(body: Fields) -> datetime | None:
    """Epoch microseconds, or `date`'s text with its zone; short_date_time has none, so it counts only without them."""
    if (found := body.time("micro_time")) is not None:
        return found
    try:
        return body.time("long_date_time", "short_date_time")
    except BadPayload:  # a local name of month or zone
        return None


SOURCE = Source(
    name=NAME,
    title="Checkmk",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("check_mk",),
    ignores=tuple(f"{kind}: {why}" for kind, why in IGNORED.items()),
    setup="""\
Save as `~/local/share/check_mk/notifications/tocsin` in the site, make it executable, and choose *tocsin* as the method
of a notification rule:

```python
#!/usr/bin/env python3
# Tocsin
import json, os, urllib.request

told = {{key[7:]: value for key, value in os.environ.items() if key.startswith("NOTIFY_")}}
keep = ("WHAT", "NOTIFICATIONTYPE", "HOSTNAME", "HOSTALIAS", "HOSTADDRESS", "HOSTSTATE", "HOSTOUTPUT", "SERVICEDESC",
        "SERVICESTATE", "SERVICEOUTPUT", "MICROTIME", "LONGDATETIME", "OMD_SITE")
request = urllib.request.Request(
    "{url}",
    json.dumps({{key: told[key] for key in keep if key in told}}).encode(),
    {{"Content-Type": "application/json", "Authorization": "Bearer {secret}"}},
)
urllib.request.urlopen(request, timeout=10)
```
""",
)
