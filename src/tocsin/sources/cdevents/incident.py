"""What is broken, by a CDEvent of an incident? Detected and reported ones fire, a resolved one ends."""

from __future__ import annotations

import hashlib
import re

from tocsin.domain.alert import Alert, Status
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import elsewhere, is_production
from tocsin.sources._identity import (
    VERSION_LABELS,
    environment_of,
    first_of,
    labels_of,
    links_of,
    severity_of,
    subject_of,
    symptom_of,
)
from tocsin.sources._json import number
from tocsin.sources._times import moment
from tocsin.sources.cdevents.shapes import Event, package

_LEADING = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*[^\d\s]{0,4}\s*")
"""A number with a unit: `100ms`, `93 %`."""


def alert_of(event: Event, predicate: str, message: Message, hook: Hook) -> Alert | str:
    """One alert per incident: its id and source alone make the fingerprint, as a resolve may say no more."""
    if predicate not in ("detected", "reported", "resolved"):
        return f"incident.{predicate} is not an alert"
    content, about = event.subject.content, event.subject
    place = (content.environment.name or content.environment.id) if content.environment else ""
    if why := elsewhere(place, hook, listed="cdevents_environment"):
        return why.replace("deployment to", "incident in")
    custom = labels_of(event.customData)
    named = {"environment": "production" if is_production(place) else place} if place else {}
    labels = {**hook.defaults, **custom, **named}
    fires, at = predicate != "resolved", moment(event.context.timestamp)
    service = (content.service.name or content.service.id) if content.service else ""
    package_name, version = package(content.artifactId)
    key = f"{about.source or event.context.source}:{about.id}"
    fallback = Subject.of("service", service or package_name) if service or package_name else None
    return Alert(
        hook=hook.name,
        source="cdevents",
        environment=environment_of(labels, hook),
        name=custom.get("name", "") or "Incident",
        subject=subject_of({**hook.defaults, **custom}, fallback=fallback or Subject.of("unknown", about.id)),
        symptom=symptom_of(labels, custom.get("metric", ""), content.description),
        severity=severity_of(custom.get("severity")),
        status=Status.FIRING if fires else Status.RESOLVED,
        summary=(content.description or f"incident {about.id} {predicate}")[:1024],
        received_at=message.received_at,
        starts_at=at if fires else None,
        ends_at=None if fires else at,
        resource=about.id[:255],
        metric=custom.get("metric", ""),
        observed=_number(custom.get("observed", custom.get("value", ""))),
        threshold=_number(custom.get("threshold", "")),
        model_version=first_of(labels, VERSION_LABELS),
        labels={**labels, **({"artifact_version": version} if version else {})},
        links=links_of({"ticket": content.ticketURI, "incident": content.uri}),
        sender_key=key[:1024],
        fingerprint=hashlib.blake2b(
            f"{hook.name}\x1fincident\x1f{key}".encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest(),
    )


def _number(words: str) -> float | None:
    found = _LEADING.fullmatch(words[:64])
    return number(found[1] if found else words)
