"""Which device or rule of LibreNMS alerts, and which recovered?

The API transport posts what its body template says; `state` tells: 0 over, 1 alert, 2 acknowledged, 3 worse, 4 better,
5 changed. Times are the server's local ones without a zone. https://docs.librenms.org/Alerting/Transports/
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from tocsin.domain.alert import Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, symptom_of_service
from tocsin.sources._identity import severity_of
from tocsin.sources._verify import shared_secret

NAME = "librenms"

STATES = {
    "0": Status.RESOLVED,
    "ok": Status.RESOLVED,
    "recovered": Status.RESOLVED,
    "1": Status.FIRING,
    "alert": Status.FIRING,
    "3": Status.FIRING,
    "worse": Status.FIRING,
    "4": Status.FIRING,
    "better": Status.FIRING,
    "5": Status.FIRING,
    "changed": Status.FIRING,
}
ACKNOWLEDGED = ("2", "acknowledged")
_ADDRESS = re.compile(r"[\d.]+|[0-9a-fA-F:]+:[0-9a-fA-F:.]*")
TEST_TITLE = "Testing transport"


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert's state. Raises BadPayload without a device or with an unknown state."""
    body = fields_of(message)
    title = body.text("title", "msg")
    if title.startswith(TEST_TITLE):
        return Normalized(ignored="LibreNMS' test of the transport")
    word = _state(body, title)
    if word in ACKNOWLEDGED:
        return Normalized(ignored="acknowledged in LibreNMS: the alert stands")
    if word not in STATES:
        raise BadPayload(f"{word[:40]!r} is no state of an alert" if word else "absent", path="state")
    status = STATES[word]
    host = _host(body)
    name = body.text("name", "rule_name") or title or body.need("name")
    faults = _faults(body.data.get("faults"))
    at = body.time("timestamp")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("host", host),
        status=status,
        severity=severity_of(body.text("severity")) if status is Status.FIRING else Severity.WARNING,
        summary=title or f"{host}: {name}",
        description=faults or body.text("msg").partition("Alert sent to")[0].strip(),  # there come people's addresses
        symptom=symptom_of_service(name, title),
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        labels={
            "hostname": body.text("hostname"),
            "address": body.text("ip"),
            "device_id": body.text("device_id"),
            "os": body.text("os"),
            "hardware": body.text("hardware"),
            "location": body.text("location"),
            "elapsed": body.text("elapsed"),
            "rule_id": body.text("rule_id"),
            "notes": body.text("alert_notes"),
        },
        links={"runbook": body.text("proc")},
        sender_key=f"{body.text('device_id') or host}:{body.text('rule_id') or name}",
        known_by=f"{body.text('device_id') or host}:{body.text('rule_id') or name}",
    )
    return Normalized(alerts=(told,))


def _host(body: Fields) -> str:
    """The device's hostname; when that is an address, the name that the device gives itself."""
    host = body.need("hostname", "sysName", "device")
    return body.text("sysName") or host if _ADDRESS.fullmatch(host) else host


def _state(body: Fields, title: str) -> str:
    if word := body.text("state").lower():
        return word
    if "recovered" in title.lower() or body.text("severity").lower() == "ok":
        return "0"
    return "1" if body.text("severity") else ""


def _faults(faults: Any) -> str:  # noqa: ANN401
    """What is wrong in words: each fault's `string`; the list may come as JSON inside a text."""
    if isinstance(faults, str):
        try:
            faults = orjson.loads(faults)
        except orjson.JSONDecodeError:
            return ""
    entries = list(faults.values()) if isinstance(faults, dict) else faults if isinstance(faults, list) else []
    words = [Fields(entry).text("string") for entry in entries[:5] if isinstance(entry, dict)]
    return "; ".join(filter(None, words))


SOURCE = Source(
    name=NAME,
    title="LibreNMS",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=("the test of the transport", "acknowledgements"),
    setup="""\
Alerts → Alert Transports → Create → **API**: method POST, URL `{url}`, headers `Authorization=Bearer {secret}` and
`Content-Type=application/json`, body:

```json
{{"title": "{{{{ $title }}}}", "state": "{{{{ $state }}}}", "severity": "{{{{ $severity }}}}",
  "name": "{{{{ $name }}}}", "hostname": "{{{{ $hostname }}}}", "sysName": "{{{{ $sysName }}}}",
  "device_id": "{{{{ $device_id }}}}", "rule_id": "{{{{ $rule_id }}}}", "timestamp": "{{{{ $timestamp }}}}",
  "msg": "{{{{ $msg }}}}"}}
```

Let LibreNMS run in UTC: its times carry no zone. A rule on a device is one alert.
""",
)
