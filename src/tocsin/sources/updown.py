"""Which updown.io check went down, came back, slowed down or has a bad certificate?

The body is an array of events. Nothing is signed. https://updown.io/api#webhooks
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, objects
from tocsin.sources._json import parsed
from tocsin.sources._verify import shared_secret

NAME = "updown"

SSL = {
    "check.ssl_invalid": (Status.FIRING, Severity.ERROR),
    "check.ssl_expiration": (Status.FIRING, Severity.WARNING),
    "check.ssl_valid": (Status.RESOLVED, Severity.ERROR),
    "check.ssl_renewed": (Status.RESOLVED, Severity.WARNING),
}

SLOW_FOR = timedelta(hours=6)
"""A performance drop compares the last hours with those before; nobody tells of its end."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert per event of the array. Raises BadPayload for events without a check."""
    body = parsed(message.body)
    events = objects([body] if isinstance(body, dict) else body, "")
    if not events:
        return Normalized(ignored="the array holds no events")
    alerts, unread = [], ""
    for event in events:
        kind = event.need("event")
        read = READERS.get(kind)
        if read is None:
            unread = f"event {kind[:40]}: it tells of no symptom"
            continue
        alerts.append(read(event, kind, message, hook))
    return Normalized(alerts=tuple(alerts)) if alerts else Normalized(ignored=unread)


def _names(event: Fields) -> tuple[Fields, str]:
    check = event.need_inner("check")
    return check, check.text("alias") or check.need("url")


def _subject(name: str) -> Subject:
    """The alias, or the host of the address that stands for it."""
    try:
        host = urlsplit(name).hostname if "://" in name else ""
    except ValueError:
        host = ""
    return Subject.of("service", host or name)


def _uptime(event: Fields, kind: str, message: Message, hook: Hook) -> Alert:
    check, name = _names(event)
    downtime = event.inner("downtime")
    firing = kind != "check.up"
    error = downtime.text("error") or check.text("error")
    return alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=_subject(name),
        status=Status.FIRING if firing else Status.RESOLVED,
        severity=Severity.CRITICAL,
        summary=f"{name} is {'down' if firing else 'up'}" + (f": {error}" if error and firing else ""),
        description=event.text("description"),
        symptom=Symptom.AVAILABILITY,
        starts_at=downtime.time("started_at") or (check.time("down_since") if firing else None),
        ends_at=downtime.time("ended_at") or check.time("up_since", "last_check_at"),
        labels={
            "target": check.text("url"),
            "error": error,
            "last_status": check.text("last_status"),
            "downtime_seconds": downtime.text("duration"),
            "downtime_id": downtime.text("id"),
        },
        links={"target": check.text("url")},
        sender_key=check.text("token"),
        known_by=f"check:{check.text('token') or check.text('url')}",
    )


def _certificate(event: Fields, kind: str, message: Message, hook: Hook) -> Alert:
    check, name = _names(event)
    ssl = event.inner("ssl")
    cert = ssl.inner("cert")
    status, severity = SSL[kind]
    days = ssl.number("days_before_expiration")
    what = {"check.ssl_invalid": "is not valid", "check.ssl_expiration": "ends soon"}.get(kind, "is good again")
    return alert(
        message,
        hook,
        source=NAME,
        name=f"{name}: certificate",
        subject=_subject(name),
        status=status,
        severity=severity,
        summary=f"The certificate of {name} {what}" + (f": {ssl.text('error')}" if ssl.text("error") else ""),
        description=event.text("description"),
        symptom=Symptom.AVAILABILITY,
        starts_at=event.time("time") if status is Status.FIRING else None,
        ends_at=event.time("time"),
        labels={"target": check.text("url"), "issuer": cert.text("issuer"), "expires": cert.text("to")},
        links={"target": check.text("url")},
        metric="days_before_expiration" if kind == "check.ssl_expiration" else "",
        observed=days,
        sender_key=f"{check.text('token')}:ssl",
        known_by=f"certificate:{check.text('token') or check.text('url')}",
    )


def _slow(event: Fields, kind: str, message: Message, hook: Hook) -> Alert:
    """Apdex fell; updown tells nothing when it recovers."""
    check, name = _names(event)
    return alert(
        message,
        hook,
        source=NAME,
        name=f"{name}: performance drop",
        subject=_subject(name),
        status=Status.FIRING,
        severity=Severity.WARNING,
        summary=event.text("description") or f"{name} is slower: Apdex fell by {event.text('apdex_dropped')}",
        symptom=Symptom.LATENCY,
        starts_at=event.time("time"),
        labels={"target": check.text("url"), "apdex_t": check.text("apdex_t"), "dropped": event.text("apdex_dropped")},
        links={"target": check.text("url")},
        metric="apdex_drop_percent",
        observed=event.number("apdex_dropped"),
        sender_key=f"{check.text('token')}:performance",
        resolves=Resolves.EXPIRY,
        expires_after=SLOW_FOR,
    )


READERS: dict[str, Callable[[Fields, str, Message, Hook], Alert]] = {
    "check.down": _uptime,
    "check.still_down": _uptime,
    "check.up": _uptime,
    **dict.fromkeys(SSL, _certificate),
    "check.performance_drop": _slow,
}

SOURCE = Source(
    name=NAME,
    title="updown.io",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("updown_io",),
    ignores=("empty arrays", "events that are neither uptime, certificate nor performance"),
    setup="""\
Settings → Recipients → Webhook `{url}?token={secret}`, then tick it in each check. updown signs nothing, so the secret
stands in the address. The check's alias, else its address, is the service; `service: checkout` in the hook's `defaults`
names another.
""",
)
