"""Which alert rule of a Fiddler model fired? Alert records, with or without the rule that they belong to.

Fiddler publishes no schema of what its webhooks post. Its API's alert records are read as they are documented (one, a
list, or a page), and any other object by the names that records, rules and metrics have there, whatever the nesting.
https://docs.fiddler.ai/technical-reference/api_guidelines/alert-rules
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._by_name import Named
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._identity import symptom_of
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._times import window_start
from tocsin.sources._verify import shared_secret

NAME = "fiddler"

SEVERITIES = {
    "critical": Severity.CRITICAL,
    "high": Severity.CRITICAL,
    "error": Severity.ERROR,
    "medium": Severity.ERROR,
    "warning": Severity.WARNING,
    "warn": Severity.WARNING,
    "low": Severity.WARNING,
    "info": Severity.INFO,
}
"""A record's severity, or its rule's priority, → ours."""
ENDED = frozenset({"resolved", "ok", "normal", "healthy", "success", "none", "cleared", "closed"})
TESTS = frozenset({"test", "test_alert", "test_notification", "webhook_test", "ping"})

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"drift|jsd|psi", Symptom.FEATURE_DRIFT),
    (r"type_violation|data_type", Symptom.SCHEMA),
    (r"violation|null|data_integrity|integrity|range|missing", Symptom.DATA_QUALITY),
    (r"traffic|service_metrics", Symptom.VOLUME),
    (r"calibrat|expected_calibration", Symptom.CALIBRATION),
    (r"fairness|disparate|parity", Symptom.FAIRNESS),
    (r"performance|accuracy|precision|recall|f1|auc|auroc|fpr|log_loss|geometric|mse|mae|mape|wmape|r2|ndcg|\bmap\b"
     r"|hit_rate|toxicity|faithful|relevance|sentiment|pii|safety|jailbreak|hallucinat", Symptom.PERFORMANCE),
    (r"statistic|average|sum|frequency|\bmean\b", Symptom.DATA_QUALITY),
)  # fmt: skip
"""Words in a metric's type or id, then in the rule's name → symptom."""

EXPIRES_AFTER = timedelta(hours=48)
"""Fiddler tells when a bin of time breaks a rule, and never that the next one does not; bins are an hour to a month."""
BINS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}

_SYMPTOMS = tuple((re.compile(words), symptom) for words, symptom in SYMPTOMS)
_PREDICTION = re.compile(r"\b(output|prediction|predicted|score)", re.IGNORECASE)
_RULE = ("alertrulename", "rulename", "alertname", "name", "title", "alertruledisplayname", "alertruleid", "ruleid",
         "alertid", "id")  # fmt: skip
_MODEL = ("modelname", "alertrulemodelname", "rulemodelname", "model", "alertrulemodel", "modelid")
_METRIC = ("metricid", "alertrulemetricid", "metricname", "alertrulemetricname", "metricdisplayname", "metric",
           "alertrulemetric", "alertrulemetricdisplayname")  # fmt: skip
_TYPE = ("metrictype", "alertrulemetrictype", "alerttype", "category", "alertrulecategory", "type")
_FEATURE = ("featurename", "feature", "columnname", "column", "alertrulefeaturename", "alertrulecolumn")
_VALUE = ("alertvalue", "alertrecordalertvalue", "metricvalue", "value", "currentvalue")
_WARNING = ("warningthreshold", "alertrulewarningthreshold", "alertrecordwarningthreshold")
_CRITICAL = ("criticalthreshold", "alertrulecriticalthreshold", "alertrecordcriticalthreshold", "threshold")
_BASELINE = ("baselinevalue", "alertrecordbaselinevalue")
_BUCKET = ("alerttimebucket", "alertrecordalerttimebucket")
"""Start of the bin that was looked at."""
_TIME = ("alertrunstarttime", "triggeredat", "timestamp", "createdat", "alertrecordcreatedat", "alerttime")
_SEGMENT = ("segmentname", "segment", "alertrulesegmentname", "alertrulesegment")


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per record. Raises BadPayload for what names no rule."""
    envelope, body = opened(parsed(message.body), hook)
    found = []
    failed = ""
    for one, path in _records(body, ""):
        fields = Named(one)
        if fields.text("event", "eventtype", "type", "alerttype", "kind").lower().replace(" ", "_") in TESTS:
            return Normalized(ignored="test ping")
        if (reason := fields.text("failurereason")) and fields.number(*_VALUE) is None:
            failed = failed or reason
            continue
        found.append((_finding(fields, path), _named(envelope, fields)))
    if not found:
        return Normalized(ignored=f"the rule could not be evaluated ({failed[:80]})" if failed else "no alert records")
    return Normalized(
        alerts=worst_first(alert_of(finding, named, message, hook, source=NAME) for finding, named in found)
    )


def _records(body: object, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each record with what surrounds it, and its place."""
    if isinstance(body, list):
        for n, each in enumerate(body):
            if not isinstance(each, dict):
                raise BadPayload(f"expected an alert record, found {kind_of(each)}", path=f"{path}{n}")
            yield each, f"{path}{n}."
        return
    if not isinstance(body, dict):
        raise BadPayload(f"expected an alert record, found {kind_of(body)}")
    data = body.get("data", body)
    for key in ("items", "alert_records", "alerts", "records"):
        if isinstance(data, dict) and isinstance(data.get(key), list):
            around = {name: value for name, value in data.items() if name != key}
            within = _records(data[key], f"{path}{'data.' if data is not body else ''}{key}.")
            yield from ((around | one, place) for one, place in within)
            return
    if isinstance(data, list):
        yield from _records(data, f"{path}data.")
    else:
        yield (data, f"{path}data." if data is not body else path) if isinstance(data, dict) else (body, path)


def _named(envelope: Envelope, fields: Named) -> Envelope:
    """The record's model and its version, unless the wrapper names them."""
    told = {"model": fields.text(*_MODEL), "model_version": fields.text("modelversion", "alertrulemodelversion")}
    if envelope.subject is not None:
        told.pop("model")
    return envelope.model_copy(update={key: value for key, value in told.items() if value})


def _finding(fields: Named, path: str) -> Finding:
    rule = fields.text(*_RULE)
    if not rule or not (fields.text(*_METRIC, *_TYPE, "message", "summary", "severity") or fields.text(*_VALUE)):
        raise BadPayload("neither an alert record nor a rule with a value", path=f"{path}alert_rule_id")
    severity = fields.text("severity", "alertrecordseverity").lower()
    status = fields.text("status", "state", "alertstatus").lower()
    ended = status in ENDED or severity in ENDED
    level = SEVERITIES.get(severity) or SEVERITIES.get(fields.text("priority", "alertrulepriority").lower())
    found = _measured(fields, rule, Status.RESOLVED if ended else Status.FIRING, level or Severity.WARNING)
    facts = {"project": fields.text("projectname", "project", "alertruleprojectname")}
    facts |= {"compared_to": fields.text("compareto", "alertrulecompareto")}
    facts |= {"baseline_window": fields.text("baselinename", "alertrulebaselinename", "baselinetimebucket")}
    bucket = fields.moment(*_BUCKET)
    at = fields.moment(*_TIME) or bucket
    batch = BINS.get(fields.text("binsize", "alertrulebinsize").lower())
    return replace(
        found,
        baseline=fields.number(*_BASELINE),
        segment=fields.text(*_SEGMENT, limit=200),
        at=at,
        window_starts_at=window_start(bucket, at),
        facts=dict(found.facts) | facts,
        url=fields.text("url", "link", "alerturl", "alertlink", "monitorurl", limit=2048),
        resolves=Resolves.EXPIRY,
        expires_after=max(EXPIRES_AFTER, 2 * batch) if batch else EXPIRES_AFTER,
    )


def _measured(fields: Named, rule: str, status: Status, severity: Severity) -> Finding:
    metric, column = fields.text(*_METRIC), fields.text(*_FEATURE)
    observed = fields.number(*_VALUE)
    threshold = _threshold(fields, severity)
    symptom = _symptom(fields, metric, rule)
    if symptom is Symptom.FEATURE_DRIFT:
        found = drift(
            column,
            check=rule,
            status=status,
            severity=severity,
            method=metric if metric.lower() != "drift" else "",
            observed=observed,
            threshold=threshold,
            what="" if column else f"drift ({rule})",
        )
        is_output = bool(column) and _PREDICTION.search(column.replace("_", " ")) is not None
        return replace(found, symptom=Symptom.PREDICTION_DRIFT) if is_output else found
    bound = "" if threshold is None else f", threshold {threshold:.3g}"
    measured = "" if observed is None else f": {observed:.3g}{bound}"
    about = f"{metric or rule}{f' of {column}' if column else ''}"
    return Finding(
        check=rule,
        symptom=symptom,
        status=status,
        severity=severity,
        summary=f"{about}{measured}" if measured else fields.text("message", "summary", limit=1024) or about,
        column=column,
        metric=metric,
        observed=observed,
        threshold=threshold,
    )


def _threshold(fields: Named, severity: Severity) -> float | None:
    """That of the severity that was reached."""
    first, second = (_CRITICAL, _WARNING) if severity is Severity.CRITICAL else (_WARNING, _CRITICAL)
    return fields.number(*first, *second)


def _symptom(fields: Named, metric: str, rule: str) -> Symptom:
    for told in (metric, fields.text(*_TYPE), rule):
        plain = told.lower().replace(" ", "_").replace("-", "_")
        if found := next((meant for words, meant in _SYMPTOMS if plain and words.search(plain)), None):
            return found
    said = symptom_of({}, rule, fields.text("message", "summary", limit=300))
    return Symptom.PERFORMANCE if said is Symptom.AVAILABILITY else said


SETUP = """Fiddler, Settings, Webhook Integration: add a webhook with the address `{url}?token={secret}` and choose it
in the notifications of each alert rule. Or post alert records, which carry the numbers:

```python
import json, urllib.request

told = dict(alert_rule_name=rule.name, metric_id=rule.metric_id)
records = [vars(record) | told for record in fiddler.AlertRecord.list(alert_rule_id=rule.id, start_time=since)]
body = dict(source="fiddler", model="churn", model_version="17", report=records)
request = urllib.request.Request("{url}", json.dumps(body, default=str).encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

`tocsin send --source fiddler --model churn records.json` does the same for a file.

- Fiddler publishes no schema of its webhooks: fields are found by the names that records, rules and metrics have in its
  API. What names no rule is kept and quarantined, so that it can be read again after an update.
- A record never ends: an alert ends two bins of time after its last record, at least after 48 hours.
"""

SOURCE = Source(
    name=NAME,
    title="Fiddler alert rules",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    setup=SETUP,
    ignores=("test pings", "records of rules that could not be evaluated", "pages without records"),
)
