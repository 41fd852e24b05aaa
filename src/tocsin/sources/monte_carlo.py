"""Which tables does Monte Carlo find stale, short, changed or in breach of a rule? Its webhooks.

One alert of Monte Carlo is one episode with an id; every later update repeats the id, not always what was found, so
that the id alone is the fingerprint. It ends when somebody gives it a closing status. A secret signs the body,
url-encoded as Python's urlencode writes it. https://docs.getmontecarlo.com/docs/webhooks
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from tocsin.domain.alert import Alert, Resolves, Severity, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.domain.subject import Subject
from tocsin.sources._json import number, parsed, parsed_object, shaped, text
from tocsin.sources._pipeline import Id, Report, Text, check_symptom, time_at
from tocsin.sources._verify import any_of, refused, shared_secret, verdict_of_signature

NAME = "monte_carlo"

HEADER = "x-mcd-signature"

CLOSING = frozenset({"fixed", "expected", "no_action_needed", "false_positive", "resolved"})
OPEN = frozenset({"", "investigating", "work_in_progress", "no_status", "acknowledged"})
SEVERITIES = {
    "sev-1": Severity.CRITICAL,
    "sev-2": Severity.ERROR,
    "sev-3": Severity.WARNING,
    "sev-4": Severity.INFO,
    "p1": Severity.CRITICAL,
    "p2": Severity.ERROR,
    "p3": Severity.WARNING,
    "p4": Severity.INFO,
    "p5": Severity.INFO,
}
"""declared_alert_severity, set when somebody marks the alert as an incident; priority, set on the monitor."""

_VERSUS = re.compile(r"(-?\d[\d,]{0,20}(?:\.\d{1,9})?)\D{1,40}?\bvs\.?\s*(-?\d[\d,]{0,20}(?:\.\d{1,9})?)", re.I)
_TEST = re.compile(r"\btest (notification|message|webhook|alert)\b", re.I)


class _Event(BaseModel):
    details: Text = Field(default="", alias="event_details")
    kind: Text = Field(default="", alias="event_type")
    table: Text = Field(default="", alias="table_name")
    full_table: Text = Field(default="", alias="full_table_id")
    column: Text = Field(default="", alias="field_name")
    data: dict[str, Any] | None = None
    rule: dict[str, Any] | None = None
    at: Any = Field(default=None, alias="event_generated_time")


class _Payload(BaseModel):
    incident_id: Id = ""
    alert_id: Id = ""
    uuid: Id = ""
    group_id: Id = ""
    url: Text = ""
    title: Text = ""
    events: list[_Event] | None = Field(default=None, alias="event_list")
    rule: dict[str, Any] | None = None
    feedback: Text = Field(default="", alias="alert_feedback")
    declared: Text = Field(default="", alias="declared_alert_severity")
    severity: Text = ""
    priority: Text = ""
    owner: Text = ""
    created_at: Any = Field(default=None, alias="created_time")

    @property
    def id(self) -> str:
        return (self.incident_id or self.alert_id or self.uuid).strip()


def verify(message: Message, secrets: Sequence[str]) -> Verdict:
    """The signature when there is one: the hex HMAC-SHA512 of the url-encoded body, or of the body as it is."""
    value = message.headers.get(HEADER, "")
    if not value:
        return refused(f"missing signature: header {HEADER} is absent")
    raw = verdict_of_signature(HEADER, value, message.body, secrets, algorithm="sha512")
    encoded = _encoded(message.body)
    if encoded is None:
        return raw
    told = verdict_of_signature(HEADER, value, encoded, secrets, algorithm="sha512")
    return told if told.verdict == "verified" else raw


def _encoded(body: bytes) -> bytes | None:
    """What Monte Carlo signs; None when the body is no JSON object."""
    try:
        value = parsed(body)
    except BadPayload:
        return None
    return urlencode(value).encode() if isinstance(value, dict) else None


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert, firing or ended. Raises BadPayload without an id, or for an unknown status."""
    body = parsed_object(message.body)
    told = body.get("payload")
    kind = text(body.get("type"), 100)
    if not isinstance(told, dict):
        if _TEST.search(text(body.get("message"), 200) + text(body.get("text"), 200) + kind.replace("_", " ")):
            return Normalized(ignored="test notification")
        raise BadPayload("expected the alert's payload, an object", path="payload")
    beside = {key: body[key] for key in ("alert_feedback", "declared_alert_severity", "owner") if key in body}
    try:
        payload = shaped(_Payload, beside | told)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"payload.{error.path}") from None
    if not payload.id:
        raise BadPayload("the alert has no id", path="payload.incident_id")
    status = payload.feedback.strip().lower().replace(" ", "_")
    if status not in CLOSING | OPEN:
        raise BadPayload(f"{status[:40]!r} is no status of an alert that we know", path="payload.alert_feedback")
    tells = bool(payload.events or payload.rule or payload.title)
    if not tells and status not in CLOSING:
        about = status or "owner, ticket or severity"
        return Normalized(ignored=f"update of an alert ({about}): nothing new was found")
    report = Report(source=NAME, message=message, hook=hook, labels=_labels(payload, kind, status, body))
    return Normalized(alerts=(_alert(payload, kind, report, firing=status not in CLOSING),))


def _labels(payload: _Payload, kind: str, status: str, body: dict[str, Any]) -> dict[str, object]:
    account = body.get("account")
    tables = [_table(event) for event in payload.events or () if _table(event)]
    return {
        "type": kind,
        "group_id": payload.group_id,
        "status": status,
        "owner": payload.owner,
        "account_id": text(account.get("id"), 64) if isinstance(account, dict) else "",
        "tables": ", ".join(dict.fromkeys(tables)) if len(set(tables)) > 1 else "",
        "full_table_id": next((event.full_table for event in payload.events or () if event.full_table), ""),
        "rule_id": text(_rule(payload).get("uuid"), 64),
    }


def _rule(payload: _Payload) -> dict[str, Any]:
    """The rule that was broken: it stands beside the events, or in the first."""
    return payload.rule or next((event.rule for event in payload.events or () if event.rule), {})


def _table(event: _Event) -> str:
    """`shop:mart.orders` → `orders`."""
    return (event.table or event.full_table).rpartition(".")[2].strip()


def _first(listed: object) -> dict[str, Any]:
    return next((each for each in listed if isinstance(each, dict)), {}) if isinstance(listed, list) else {}


def _alert(payload: _Payload, kind: str, report: Report, *, firing: bool) -> Alert:
    events, rule = payload.events or [_Event()], _rule(payload)
    event, data = events[0], events[0].data or {}
    comparison, hit = _first(data.get("rule_comparisons")) or _first(rule.get("comparisons")), _first(data.get("hits"))
    described = text(rule.get("description"), 255)
    metric = text(data.get("metric_display_name"), 255) or text(comparison.get("metric"), 255)
    column = event.column or text(hit.get("field"), 255) or text(comparison.get("field"), 255)
    versus = _VERSUS.search(event.details[:500])
    observed = number(hit.get("value"))
    counted = observed is None and versus is not None
    said = event.details or described or payload.title or metric
    what = said or f"Monte Carlo alert {payload.id}"
    subject = _subject(payload, event, _first(rule.get("comparisons")), what)
    found = what if what == subject.name else f"{subject.name}: {what}"
    alert = report.alert(
        name=described or payload.title or metric or event.kind or kind or "Monte Carlo alert",
        subject=subject,
        symptom=check_symptom(kind.replace("_", " "), event.kind, said, metric) if said else Symptom.DATA_QUALITY,
        severity=_severity(payload, is_rule=bool(rule)),
        firing=firing,
        summary=found if firing else f"{subject.name}: closed in Monte Carlo as {payload.feedback}",
        at=_began(payload, event) if firing else None,
        resource=column,
        metric=metric,
        observed=_plain(versus[1]) if counted and versus else observed,
        threshold=number(comparison.get("threshold")),
        baseline=_plain(versus[2]) if counted and versus else None,
        sender_key=payload.id,
        links={"alert": payload.url},
        resolves=Resolves.SENDER,
    )
    return _known_by_its_id(alert, payload.id)


def _began(payload: _Payload, event: _Event) -> datetime | None:
    created = time_at(payload.created_at, "payload.created_time")
    return created or time_at(event.at, "payload.event_list.0.event_generated_time")


def _plain(digits: str) -> float | None:
    return number(digits.replace(",", ""))


def _subject(payload: _Payload, event: _Event, comparison: dict[str, Any], what: str) -> Subject:
    table = _table(event) or text(comparison.get("full_table_id"), 255).rpartition(".")[2].strip()
    if table:
        return Subject.of("dataset", table)
    return Subject.of("dataset", payload.group_id) if payload.group_id.strip() else Subject.of("unknown", what[:255])


def _severity(payload: _Payload, *, is_rule: bool) -> Severity:
    """As somebody declared it, else as the monitor's priority says; a broken rule is an error, an anomaly a warning."""
    for word in (payload.declared, payload.severity, payload.priority):
        if found := SEVERITIES.get(word.strip().lower().replace("_", "-")):
            return found
    return Severity.ERROR if is_rule else Severity.WARNING


def _known_by_its_id(alert: Alert, id: str) -> Alert:
    parts = "\x1f".join((alert.environment, alert.hook, NAME, id))
    digest = hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return replace(alert, fingerprint=digest)


SETUP = """Settings → Notifications → Create audience → Channel: Webhook.

- URL `{url}`; Secret: the hook's secret (Monte Carlo then signs each call). Without a secret put it into the address:
  `{url}?token={secret}`
- Monte Carlo sends the alert and every later update of it. Closing it there as fixed, expected, no action needed or
  false positive ends it here.
"""

SOURCE = Source(
    name=NAME,
    title="Monte Carlo",
    verify=any_of(verify, shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("updates that tell nothing new (acknowledged, owner, ticket)", "test notifications"),
    aliases=("montecarlo",),
)
