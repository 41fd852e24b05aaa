"""Which Checkly check failed, degraded or recovered, and which certificate runs out?

The body is a template; Checkly's own default has one name per variable (`alert_type`, `check_name` …), people's own
often keep the variables' capitals (`ALERT_TYPE`). https://www.checklyhq.com/docs/integrations/alerts/webhooks/
"""

from __future__ import annotations

from datetime import timedelta

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, tags_of
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "checkly"
SIGNATURE = "X-Checkly-Signature"

TYPES = {
    "ALERT_FAILURE": (Status.FIRING, Severity.CRITICAL),
    "ALERT_FAILURE_REMAIN": (Status.FIRING, Severity.CRITICAL),
    "ALERT_DEGRADED_FAILURE": (Status.FIRING, Severity.CRITICAL),
    "ALERT_DEGRADED": (Status.FIRING, Severity.WARNING),
    "ALERT_DEGRADED_REMAIN": (Status.FIRING, Severity.WARNING),
    "ALERT_FAILURE_DEGRADED": (Status.FIRING, Severity.WARNING),
    "ALERT_RECOVERY": (Status.RESOLVED, Severity.CRITICAL),
    "ALERT_DEGRADED_RECOVERY": (Status.RESOLVED, Severity.WARNING),
}
"""ALERT_TYPE → status and severity. X_Y reads: from X to Y (FAILURE_DEGRADED: it got better, and is degraded now)."""

SSL = "ALERT_SSL"
SSL_REMINDER = timedelta(days=8)
"""Certificates are told of 30, 14, 7, 3 and 1 days before their end; nobody tells of the renewal."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """The check's new state. Raises BadPayload without the check's name or with an unknown alert type."""
    body = _lowered(fields_of(message))
    kind = body.need("alert_type").upper()
    if kind == "NO_ALERT":
        return Normalized(ignored="NO_ALERT: a test of the webhook, or a run that changed nothing")
    name = body.need("check_name")
    if kind == SSL:
        return Normalized(alerts=(_certificate(body, name, message, hook),))
    if kind not in TYPES:
        raise BadPayload(f"{kind[:40]!r} is no alert type", path="alert_type")
    status, severity = TYPES[kind]
    at = body.time("started_at")
    error, title = body.text("check_error_message"), body.text("event", "alert_title", "title")
    tags = tags_of(body.data.get("tags"))
    slow = kind in ("ALERT_DEGRADED", "ALERT_DEGRADED_REMAIN", "ALERT_FAILURE_DEGRADED", "ALERT_DEGRADED_RECOVERY")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", name),
        status=status,
        severity=severity,
        summary=title or f"{name}: {kind.removeprefix('ALERT_').replace('_', ' ').lower()}",
        description=error,
        symptom=Symptom.LATENCY if slow else Symptom.AVAILABILITY,
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags=tags,
        labels=_labels(body),
        links={"check": body.text("link", "result_link")},
        metric="response_time" if slow else "",
        observed=body.number("response_time"),
        sender_key=body.text("check_id"),
        known_by=f"check:{body.text('check_id') or name}",
    )
    return Normalized(alerts=(told,))


def _lowered(body: Fields) -> Fields:
    return Fields({key.lower(): value for key, value in body.data.items()}, body.path)


def _labels(body: Fields) -> dict[str, object]:
    names = ("check_type", "group_name", "api_check_response_status_code", "api_check_response_status_text")
    told = {name: body.text(name) for name in (*names, "check_id", "check_result_id")}
    return {**told, "probe": body.text("run_location", "region")}


def _certificate(body: Fields, name: str, message: Message, hook: Hook) -> Alert:
    domain, days = body.text("ssl_check_domain"), body.number("ssl_days_remaining")
    left = f" in {days:.0f} days" if days is not None else " soon"
    return alert(
        message,
        hook,
        source=NAME,
        name=f"{name}: certificate",
        subject=Subject.of("service", name),
        status=Status.FIRING,
        severity=Severity.WARNING,
        summary=f"The certificate of {domain or name} ends{left}",
        symptom=Symptom.AVAILABILITY,
        starts_at=body.time("started_at"),
        tags=tags_of(body.data.get("tags")),
        labels={**_labels(body), "domain": domain},
        links={"check": body.text("link", "result_link")},
        metric="ssl_days_remaining",
        observed=days,
        sender_key=f"{body.text('check_id')}:ssl",
        resolves=Resolves.EXPIRY,
        expires_after=SSL_REMINDER,
    )


SOURCE = Source(
    name=NAME,
    title="Checkly",
    verify=any_of(hmac_hex(header=SIGNATURE), hmac_hex(header=SIGNATURE, prefix="sha256="), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=("NO_ALERT: test messages and runs that change nothing",),
    setup="""\
Alert channels → Add → Webhook: POST `{url}`, webhook secret `{secret}` (Checkly then signs the body in
`X-Checkly-Signature`). Leave the default body, or keep at least:

```json
{{"event": "{{{{ALERT_TITLE}}}}", "alert_type": "{{{{ALERT_TYPE}}}}", "check_name": "{{{{CHECK_NAME}}}}",
  "check_id": "{{{{CHECK_ID}}}}", "check_error_message": "{{{{CHECK_ERROR_MESSAGE}}}}", "tags": "{{{{TAGS}}}}",
  "response_time": "{{{{RESPONSE_TIME}}}}", "run_location": "{{{{RUN_LOCATION}}}}", "started_at": "{{{{STARTED_AT}}}}",
  "link": "{{{{RESULT_LINK}}}}", "ssl_days_remaining": "{{{{SSL_DAYS_REMAINING}}}}"}}
```

Switch on *recovery*, *failure*, *degraded* and *SSL expiry*. Failing and degraded are one alert whose severity moves.
Tags such as `service:checkout` say what it is about.
""",
)
