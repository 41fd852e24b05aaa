"""Honeycomb: the webhook recipient of triggers and SLO burn alerts.

https://docs.honeycomb.io/notify/webhooks
One body holds every group of the query; old ones also held the shared secret, which is never kept.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, tags_of
from tocsin.sources._identity import labels_of, severity_of
from tocsin.sources._json import number, parsed_object
from tocsin.sources._monitor import alert_of, any_time, filled
from tocsin.sources._verify import any_of, shared_secret, token_in

NAME = "honeycomb"

STATES = {
    "triggered": Status.FIRING,
    "firing": Status.FIRING,
    "alerting": Status.FIRING,
    "ok": Status.RESOLVED,
    "resolved": Status.RESOLVED,
    "recovered": Status.RESOLVED,
}

_PLACE = re.compile(r"/(?:environments/(?P<environment>[^/]+)/)?datasets/(?P<dataset>[^/]+)/")
_ENVIRONMENT = re.compile(r"/environments/([^/]+)/")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert a trigger: which of its groups ended is not told. Raises BadPayload without a name or with a state
    that Honeycomb does not have."""
    body = Fields(parsed_object(message.body))
    alert = body.inner("alert") if isinstance(body.data.get("alert"), dict) else Fields({}, "alert")
    if body.data.get("is_test") is True or alert.data.get("is_test") is True or body.text("is_test") == "true":
        return Normalized(ignored="Honeycomb's test notification (is_test)")
    state = body.text("status") or alert.text("status") or body.need("status")
    status = STATES.get(state.lower())
    if status is None:
        raise BadPayload(f"{state[:40]!r} is neither TRIGGERED nor OK", path="status")
    name = body.need("name")
    links = {
        "trigger": body.text("trigger_url", "slo_url", "url", limit=2048),
        "result": body.text("result_url", limit=2048),
    }
    slo = (
        "slo_url" in body
        or "burn_alert" in body
        or "exhaustion" in _type(body, alert)
        or "budget" in _type(body, alert)
    )
    groups = _groups(body)
    shared, worst = _shared(groups), _worst(groups, body.text("operator"))
    place = _PLACE.search(links["trigger"] + "/")
    datasets = _listed(body.data.get("datasets")) or ([place["dataset"]] if place else [])
    datasets = [body.text("dataset")] if body.text("dataset") else datasets
    environment = body.text("environment") or _found(_ENVIRONMENT, links["trigger"])
    labels = tags_of(body.data.get("tags")) | shared
    labels |= filled(
        {
            "honeycomb_dataset": datasets[0] if datasets else "",
            "environment": environment,
            "operator": body.text("operator"),
            "groups": str(len(groups)) if groups else "",
            "description": body.text("trigger_description", "slo_description"),
        }
    )
    summary = body.text("summary") or alert.text("summary")
    more = body.text("description") or alert.text("description")
    told = alert_of(
        message,
        hook,
        source=NAME,
        name=name,
        about=Subject.of("service", datasets[0]) if len(datasets) == 1 else Subject.of("unknown", name[:255]),
        status=status,
        severity=_severity(body, alert, labels, slo=slo),
        labels=labels,
        symptom=Symptom.ERRORS if slo else None,
        summary=f"{summary}: {more}" if summary and more else summary or more or name,
        key=body.text("id") or name,
        observed=worst,
        threshold=body.number("threshold"),
        starts_at=_time(body, alert) if status is Status.FIRING else None,
        ends_at=_time(body, alert),
        links=links,
    )
    return Normalized(alerts=(told,))


def _type(body: Fields, alert: Fields) -> str:
    return (alert.text("type") or body.text("alert_type", "type")).lower()


def _time(body: Fields, alert: Fields) -> datetime | None:
    return any_time(alert.data.get("timestamp"), body.data.get("timestamp"))


def _severity(body: Fields, alert: Fields, labels: dict[str, str], *, slo: bool) -> Severity:
    """Variables of the webhook named `severity`; a burn alert is critical unless it says otherwise."""
    told = alert.text("severity") or body.text("severity") or Fields(_vars(body)).text("severity")
    told = told or labels.get("severity", "")
    return severity_of(told) if told or not slo else Severity.CRITICAL


def _vars(body: Fields) -> dict[str, Any]:
    found = body.data.get("vars")
    return found if isinstance(found, dict) else {}


def _groups(body: Fields) -> list[Fields]:
    """The groups that crossed the threshold, else all of them; null in tests and for queries without groups."""
    for key in ("result_groups_triggered", "result_groups"):
        found = body.data.get(key)
        if isinstance(found, list) and found:
            return [Fields(one) for one in found if isinstance(one, dict)]
    return []


def _shared(groups: list[Fields]) -> dict[str, str]:
    """What all the groups have in common: the trigger's one alert is about that."""
    told = [_group(one) for one in groups]
    return {k: v for k, v in told[0].items() if all(other.get(k) == v for other in told[1:])} if told else {}


def _group(one: Fields) -> dict[str, str]:
    found = one.data.get("Group", one.data.get("group"))
    if isinstance(found, dict) and set(found) == {"Key", "Value"}:
        return filled({str(found["Key"]): found["Value"]})
    if isinstance(found, list):
        pairs = [pair for pair in found if isinstance(pair, dict) and isinstance(pair.get("Key"), str)]
        return filled({pair["Key"]: pair.get("Value") for pair in pairs})
    return labels_of(found)


def _worst(groups: list[Fields], operator: str) -> float | None:
    values = [value for one in groups if (value := number(one.data.get("Result", one.data.get("result")))) is not None]
    if not values:
        return None
    return min(values) if "less" in operator or operator.startswith("<") else max(values)


def _listed(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _delivery(message: Message) -> str:
    """The header X-Honeycomb-Webhook-Delivery-ID, the same over retries."""
    return message.headers.get("x-honeycomb-webhook-delivery-id", "")


SOURCE = Source(
    name=NAME,
    title="Honeycomb",
    verify=any_of(token_in("X-Honeycomb-Webhook-Token"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_delivery,
    ignores=("test notifications (is_test)",),
    setup="""\
Team Settings → Integrations → Trigger and SLO Recipients → Add → **Webhook**: URL `{url}`, shared secret `{secret}`
(Honeycomb sends it as `X-Honeycomb-Webhook-Token`). Keep the default payload, and add the webhook as recipient of your
triggers and burn alerts.

Honeycomb waits 10 s; a repeated delivery keeps its id and counts once.

A trigger is one alert, whatever number of its groups crossed the threshold; it is about what those groups have in
common (`service.name`, `model`, `feature` …), else about the service of the dataset's name. A variable named
`severity` in a payload of your own says how bad it is; a burn alert is critical otherwise.
""",
)
