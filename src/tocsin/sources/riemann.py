"""Which service on which host is how, says Riemann?

An event or a list of events as Riemann's own JSON: host, service, state, metric, description, time, tags, ttl. `ok` is
over; `expired` means that nothing was heard for the ttl. https://riemann.io/concepts.html
"""

from __future__ import annotations

import re

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, objects, said, symptom_of_service, tags_of
from tocsin.sources._identity import severity_of
from tocsin.sources._json import parsed
from tocsin.sources._verify import shared_secret

NAME = "riemann"

OVER = frozenset({"ok", "up", "cleared", "normal"})
_GAUGES = re.compile(r"(cpu|load|memory|swap|disk|net|io|uptime|ntp|users|processes)\b")
_NOT_ON_HOSTS = frozenset({"model", "feature", "dataset"})
"""Of these the event's host is only the monitor that measured them."""
_OWN = frozenset(
    {"host", "service", "state", "description", "metric", "time", "tags", "ttl", "metric_f", "metric_d", "environment"}
)


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert per event. Raises BadPayload for an event with a state but no service."""
    body = parsed(message.body)
    events = (
        objects(body, "") if isinstance(body, list) else (fields_of(message).each("events") or [fields_of(message)])
    )
    if not events:
        return Normalized(ignored="the list holds no events")
    stated = [event for event in events if event.text("state")]
    if not stated:
        return Normalized(ignored="events without a state: metrics, no symptom")
    return Normalized(alerts=tuple(_alert(event, message, hook) for event in stated))


def _alert(event: Fields, message: Message, hook: Hook) -> Alert:
    service, state = event.need("service"), event.need("state").lower()
    host = event.text("host")
    over, expired = state in OVER, state == "expired"
    words = event.text("description")
    at = event.time("time", "isoformat")
    custom = {str(key): said(value) for key, value in event.data.items() if key not in _OWN and said(value)}
    return alert(
        message,
        hook,
        source=NAME,
        name=service,
        subject=_subject(service, host),
        resource="" if _NOT_ON_HOSTS & custom.keys() else host,
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.WARNING if over or expired else severity_of(state),
        summary=words or f"{host} {service}".strip() + f" is {state}",
        symptom=Symptom.AVAILABILITY if expired else symptom_of_service(service, words),
        starts_at=None if over else at,
        ends_at=at,
        tags={**custom, **tags_of(event.data.get("tags"))},
        labels={"host": host, "check": service, "state": state, "environment": event.text("environment")},
        metric=service,
        observed=event.number("metric", "metric_d", "metric_f"),
        sender_key=f"{host}/{service}",
    )


def _subject(service: str, host: str) -> Subject:
    """The service, unless it is one of riemann-health's gauges of the host."""
    return Subject.of("host", host) if host and _GAUGES.match(service.lower()) else Subject.of("service", service)


SOURCE = Source(
    name=NAME,
    title="Riemann",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=("empty lists of events", "events without a state"),
    setup="""\
In `riemann.config`, for the streams that matter:

```clojure
(def tocsin (fn [e] (clj-http.client/post "{url}"
  {{:headers {{"Authorization" "Bearer {secret}"}} :content-type :json :body (cheshire.core/generate-string e)}})))
(streams (changed-state {{:init "ok"}} tocsin))
```

Custom fields such as `:model`, `:feature` or `:dataset` say what an event is about; else its service is, or
the host for what riemann-health measures (cpu, load, memory, disk …).
""",
)
