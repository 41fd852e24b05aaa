"""Which alert of Librato (SolarWinds AppOptics) was violated or cleared?

A violation lists its conditions and, per source, the measurements that broke them; a clear has only the alert's id and
name, so that the id alone is what joins the two. Older alerts (version 1) have one metric and measurement. Nothing is
signed.
https://docs.appoptics.com/ (Alerts: webhook)
"""

from __future__ import annotations

from typing import NamedTuple

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, objects, symptom_of_service, tags_of
from tocsin.sources._json import parsed_object
from tocsin.sources._verify import shared_secret

NAME = "librato"


class _Broken(NamedTuple):
    """The first measurement that broke a condition."""

    source: str = ""
    metric: str = ""
    observed: float | None = None
    threshold: float | None = None
    condition: str = ""
    at: Fields | None = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert's state. Raises BadPayload without the alert or with neither violation nor clear."""
    body = _payload(message)
    if "alert" not in body and "attachments" in body:
        return Normalized(ignored="a snapshot of a chart: no symptom")
    sent = body.need_inner("alert")
    if body.data.get("triggered_by_user_test") is True:
        return Normalized(ignored="a test that a person triggered by hand")
    name, key = sent.text("name") or sent.need("name", "id"), sent.text("id")
    cleared = body.text("clear")
    broken = _broken(body)
    if not cleared and not broken.metric:
        raise BadPayload("neither violations nor clear is there", path="violations")
    at = body.time("trigger_time") or (broken.at.time("recorded_at") if broken.at else None)
    where = _where(broken, name)
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=where,
        status=Status.RESOLVED if cleared else Status.FIRING,
        severity=Severity.WARNING,
        summary=_summary(name, cleared, broken),
        description=sent.text("description"),
        symptom=Symptom.AVAILABILITY if broken.condition == "absent" else symptom_of_service(name, broken.metric),
        starts_at=None if cleared else at,
        ends_at=at,
        tags=tags_of(broken.at.data.get("tags")) if broken.at else None,
        labels={"source_name": broken.source, "condition": broken.condition, "cleared": cleared, "alert_id": key},
        links={
            "runbook": sent.text("runbook_url"),
            "alert": f"https://metrics.librato.com/alerts/{key}" if key.isdecimal() else "",
        },
        metric=broken.metric,
        observed=broken.observed,
        threshold=broken.threshold,
        sender_key=key or name,
        known_by=f"alert:{key or name}",
    )
    return Normalized(alerts=(told,))


def _payload(message: Message) -> Fields:
    """The body, or the JSON in its form field `payload`."""
    body = fields_of(message)
    inner = body.data.get("payload")
    return Fields(parsed_object(inner.encode("utf-8", "replace"))) if isinstance(inner, str) else body


def _where(broken: _Broken, name: str) -> Subject:
    """The source that broke it, as a host; a clear does not name it."""
    return Subject.of("host", broken.source) if broken.source not in ("", "*") else Subject.of("unknown", name)


def _broken(body: Fields) -> _Broken:
    conditions = {condition.text("id"): condition for condition in body.each("conditions")}
    violations = body.inner("violations")
    for source, entries in violations.data.items():
        for entry in objects(entries, violations.at_path(str(source))):
            condition = conditions.get(entry.text("condition_violated"), Fields({}))
            return _Broken(
                source=str(source)[:255].strip(),
                metric=entry.need("metric"),
                observed=entry.number("value"),
                threshold=condition.number("threshold"),
                condition=condition.text("type"),
                at=entry,
            )
    measurement, metric = body.inner("measurement"), body.inner("metric")
    if metric.text("name"):  # version 1
        return _Broken(
            source=measurement.text("source"),
            metric=metric.text("name"),
            observed=measurement.number("value"),
            condition=metric.text("type"),
            at=measurement,
        )
    return _Broken()


def _summary(name: str, cleared: str, broken: _Broken) -> str:
    if cleared:
        return f"{name} has cleared ({cleared})"
    value = "" if broken.observed is None else f" is {broken.observed:g}"
    limit = "" if broken.threshold is None else f", {broken.condition} {broken.threshold:g}"
    return f"{name}: {broken.metric}{value}{limit}"


SOURCE = Source(
    name=NAME,
    title="Librato (SolarWinds AppOptics)",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("appoptics",),
    ignores=("tests that a person triggers by hand", "snapshots of charts"),
    setup="""\
Settings → Services → **Webhook**: URL `{url}?token={secret}`, then attach it to the alerts. Librato signs nothing, so
the secret stands in the address. A clear names neither source nor metric: one alert per alert definition, known by its
id. `service: checkout` in the hook's `defaults` says what it is about; else the source of the measurement, as a host.
""",
)
