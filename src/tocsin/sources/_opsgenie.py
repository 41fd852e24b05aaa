"""An alert as Opsgenie describes one: the same fields in its webhook and in its Alert API."""

from __future__ import annotations

import re
from datetime import datetime

from tocsin.domain.alert import Alert, Status
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, tags_of
from tocsin.sources._identity import labels_of, severity_of
from tocsin.sources._monitor import alert_of, filled

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_LEVEL = re.compile(r"[1-5]")


def told(
    alert: Fields,
    message: Message,
    hook: Hook,
    *,
    source: str,
    name: str,
    key: str,
    ended: bool,
    at: datetime | None = None,
    labels: dict[str, str] | None = None,
) -> Alert:
    """The alert known by `key` alone, because what closes it may carry nothing else. Details and tags written
    `key:value` say what it is about, else the entity does."""
    own = tags_of(alert.data.get("tags")) | labels_of(alert.data.get("details"))
    own |= filled(
        {
            "entity": alert.text("entity"),
            "source": _nobody(alert.text("source")),
            "priority": _priority(alert.text("priority")),
            "description": alert.text("description"),
            **(labels or {}),
        }
    )
    entity = alert.text("entity", limit=255)
    return alert_of(
        message,
        hook,
        source=source,
        name=own.get("alertname") or name,
        summary=name,
        about=Subject.of("unknown", entity or name[:255]),
        status=Status.RESOLVED if ended else Status.FIRING,
        severity=severity_of(own.get("severity") or own.get("priority")),
        labels=own,
        key=key,
        starts_at=None if ended else at,
        ends_at=at,
    )


def _priority(said: str) -> str:
    """`P1` … `P5`; older bodies carry the number alone."""
    return f"P{said}" if _LEVEL.fullmatch(said) else said


def _nobody(source: str) -> str:
    """Where the alert came from, unless it is a person's address."""
    return "" if _EMAIL.fullmatch(source) else source
