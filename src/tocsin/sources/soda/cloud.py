"""What does Soda Cloud tell? Results of checks, its incidents, and contracts that were published.

An incident is what a person opened over failing checks; it has a status of its own and ends when that is resolved.
Severities are minor, major, critical in older organisations and low to critical in newer ones.
https://docs.soda.io/reference/webhook-api
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, Field

from tocsin.domain.alert import Alert, Resolves, Severity, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._json import kind_of, shaped, text
from tocsin.sources._pipeline import MAX_RESULTS, Id, Report, Text, check_symptom, time_at
from tocsin.sources._report import worst_first
from tocsin.sources._shape import Name
from tocsin.sources.soda.check import (
    FAILED,
    PASSED,
    UNEVALUATED,
    WARNED,
    Finding,
    alert_of,
    attributes_of,
    own_line,
)

EXPIRES_AFTER = timedelta(days=7)
"""Passing results come only when the notification rules ask for them."""
ENDED = frozenset({"resolved", "closed", "done", "fixed"})
OPEN = frozenset({"opened", "open", "reported", "created", "investigating", "in_progress", "fixing", "acknowledged"})
SEVERITIES = {
    "minor": Severity.WARNING,
    "low": Severity.WARNING,
    "medium": Severity.WARNING,
    "major": Severity.ERROR,
    "high": Severity.ERROR,
    "critical": Severity.CRITICAL,
}


class _Named(BaseModel):
    name: Text = ""
    label: Text = ""
    id: Id = ""
    url: Text = Field(default="", alias="sodaCloudUrl")
    attributes: Any = None


class _CheckResult(BaseModel):
    id: Id = ""
    name: Text = ""
    definition: Text = ""
    url: Text = Field(default="", alias="sodaCloudUrl")
    datasets: list[_Named] | None = None
    column: Text = ""
    outcome: str
    at: Any = Field(default=None, alias="dataTimestamp")
    diagnostics: dict[str, Any] | None = None
    attributes: Any = None

    @property
    def verdict(self) -> str:
        return self.outcome.strip().lower()


class _Incident(BaseModel):
    id: Name
    number: Id = ""
    title: Text = ""
    description: Text = ""
    severity: Text = ""
    status: Text = ""
    url: Text = Field(default="", alias="sodaCloudUrl")
    created: Any = None
    created_at: Any = Field(default=None, alias="createdTimestamp")
    updated: Any = Field(default=None, alias="lastUpdated")
    updated_at: Any = Field(default=None, alias="lastUpdatedTimestamp")
    resolved_at: Any = Field(default=None, alias="resolutionTimestamp")
    checks: list[dict[str, Any]] | None = Field(default=None, alias="checkResults")


class _Contract(BaseModel):
    dataset: Name
    data_source: Text = Field(default="", alias="datasource")
    author: dict[str, Any] | None = None
    contents: Text = ""


def read_event(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """What the event tells. Raises BadPayload when it lacks what its kind documents."""
    event = text(body.get("event"), 60)
    if event == "validate":
        return Normalized(ignored="validate: Soda Cloud tries the address")
    report = Report(source="soda", message=message, hook=hook, labels={})
    if event == "checkEvaluation":
        return _evaluated(_listed(body, "checkResults"), report)
    if event in ("incidentCreated", "incidentUpdated"):
        return Normalized(alerts=(_incident(body.get("incident"), report),))
    if event == "contractPublished":
        return _contract(body.get("contract"), report)
    if event.startswith("agreement"):
        return Normalized(ignored=f"event {event}: agreements are made by people, nothing was checked")
    return Normalized(ignored=f"event {event or 'unnamed'} is neither a result nor an incident")


def _listed(body: dict[str, Any], key: str) -> list[Any]:
    found = body.get(key)
    if not isinstance(found, list):
        raise BadPayload(f"expected a list, found {kind_of(found)}", path=key)
    return found[:MAX_RESULTS]


def _evaluated(listed: list[Any], report: Report) -> Normalized:
    results = [_result(entry, f"checkResults.{n}") for n, entry in enumerate(listed)]
    alerts = [
        _alert(each, report, f"checkResults.{n}") for n, each in enumerate(results) if each.verdict not in UNEVALUATED
    ]
    return Normalized(alerts=worst_first(alerts)) if alerts else Normalized(ignored="no check was evaluated")


def _result(entry: object, path: str) -> _CheckResult:
    try:
        result = shaped(_CheckResult, entry)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"{path}.{error.path}".rstrip(".")) from None
    if result.verdict not in PASSED | WARNED | FAILED | UNEVALUATED:
        raise BadPayload(f"{result.outcome[:40]!r} is not pass, warn, fail or error", path=f"{path}.outcome")
    return result


def _datasets(result: _CheckResult, report: Report, path: str) -> list[str]:
    named = [each.name or each.label or each.id for each in result.datasets or ()]
    found = [name for name in named if name.strip()] or [report.hook.defaults.get("dataset", "")]
    if not found[0].strip():
        raise BadPayload("names no dataset; set dataset in the hook's defaults", path=f"{path}.datasets")
    return found


def _alert(result: _CheckResult, report: Report, path: str) -> Alert:
    datasets = _datasets(result, report, path)
    attributes = {key: value for each in result.datasets or () for key, value in attributes_of(each.attributes).items()}
    finding = Finding(
        name=result.name,
        definition=result.definition,
        dataset=datasets[0],
        column=result.column,
        outcome=result.verdict,
        diagnostics=result.diagnostics,
        attributes=attributes | attributes_of(result.attributes),
    )
    return alert_of(
        finding,
        report,
        at=time_at(result.at, f"{path}.dataTimestamp"),
        key=result.id,
        labels={"datasets": ", ".join(datasets) if len(datasets) > 1 else ""},
        links={"check": result.url},
        expires_after=EXPIRES_AFTER,
    )


def _incident(told: object, report: Report) -> Alert:
    try:
        incident = shaped(_Incident, told)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"incident.{error.path}".rstrip(".")) from None
    status = incident.status.strip().lower().replace(" ", "_").replace("-", "_")
    if status and status not in ENDED | OPEN:
        raise BadPayload(f"{incident.status[:40]!r} is no status of an incident that we know", path="incident.status")
    firing = status not in ENDED
    checks = [_result(entry, f"incident.checkResults.{n}") for n, entry in enumerate(incident.checks or ())]
    named = [name for each in checks for name in (d.name or d.label for d in each.datasets or ()) if name.strip()]
    dataset = named[0] if named else report.hook.defaults.get("dataset", "")
    label = f"#{incident.number}" if incident.number else incident.id
    times = (
        (incident.created, incident.created_at)
        if firing
        else (incident.resolved_at, incident.updated, incident.updated_at)
    )
    at = next((at for value in times if (at := time_at(value, "incident"))), None)
    lines = [own_line(each.definition) for each in checks]
    return report.alert(
        name=f"Soda incident {label}",
        subject=Subject.of("dataset", dataset) if dataset.strip() else Subject.of("unknown", f"Soda incident {label}"),
        symptom=check_symptom(*lines, incident.title) if checks or incident.title else Symptom.DATA_QUALITY,
        severity=SEVERITIES.get(incident.severity.strip().lower(), Severity.WARNING),
        firing=firing,
        summary=incident.title or incident.description or f"Soda incident {label}",
        at=at,
        sender_key=incident.id,
        labels={"incident": label, "status": incident.status, "checks": str(len(checks))},
        links={"incident": incident.url},
        resolves=Resolves.SENDER,
    )


def _contract(told: object, report: Report) -> Normalized:
    """Expectations of a dataset changed: what fails from now on may have been well before."""
    try:
        contract = shaped(_Contract, told)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"contract.{error.path}".rstrip(".")) from None
    name = contract.dataset.strip("/").rpartition("/")[2] or contract.dataset
    at = report.message.received_at
    digest = hashlib.blake2b(contract.contents.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    change = report.change(
        id=f"soda:contract:{contract.dataset}:{digest}",
        kind=ChangeKind.DATASET_SCHEMA_CHANGED,
        subject=Subject.of("dataset", name),
        summary=f"the contract of {name} was published",
        outcome=ChangeOutcome.SUCCESS,
        ended=at,
        author=text((contract.author or {}).get("email"), 200) or text((contract.author or {}).get("id"), 200),
        labels={"dataset": contract.dataset, "data_source": contract.data_source},
    )
    return Normalized(changes=(change,))
