"""Which anomalies did a WhyLabs monitor find? Its analyzer results, digests, and whatever a webhook's template says.

A webhook posts a body of one's own (SETUP has ours) or, without one, `{"monitorId", "monitorName"}`; of the values it
knows only ids, so that the numbers come from analyzer results: the REST API's, or WhyLabs' own (whylabs-oss). Only the
first of each macro is filled in. https://docs.whylabs.ai/docs/whylabs-notifications
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
from tocsin.sources._json import kind_of, parsed, text
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._verify import shared_secret

NAME = "whylabs"

SEVERITIES = {
    "1": Severity.CRITICAL,
    "high": Severity.CRITICAL,
    "2": Severity.ERROR,
    "medium": Severity.ERROR,
    "3": Severity.WARNING,
    "low": Severity.WARNING,
}
"""A monitor's severity → ours. Low is what every monitor starts with, so that it says no more than a warning."""

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"^column_list|inferred_data_type|count_(bool|integral|fractional|string|object)", Symptom.SCHEMA),
    (r"secondssincelastupload|missingdatapoint", Symptom.FRESHNESS),
    (r"^(count|prediction_count|(shape_)?row_?count\w*|column_row_count_sum)$", Symptom.VOLUME),
    (r"^(classification|regression)\b|accuracy|precision|recall|\bfpr\b|\bf1\b", Symptom.PERFORMANCE),
    (r"auc|_error$|_squared_", Symptom.PERFORMANCE),
)
"""Words in a result's type or metric → symptom; drift is drift, any other metric describes data: data quality."""

GRANULARITIES = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=31),
}
EXPIRES_AFTER = timedelta(hours=48)
"""WhyLabs tells of anomalies only: one ends when two batches went by without it."""

RESULTS = ("analyzerResults", "anomalySample", "anomalies", "events", "results", "data", "items")
DIGESTS = (("columnStatistics", "column"), ("featureAnomalies", "column"), ("segmentStatistics", "segment"),
           ("segmentAnomalies", "segment"))  # fmt: skip

_SYMPTOMS = tuple((re.compile(words), symptom) for words, symptom in SYMPTOMS)
_MACRO = re.compile(r"<?\[\[[\w-]+\]\]>?")
_OUTPUT = re.compile(r"output", re.IGNORECASE)
_WHOLE_DATASET = ("", "__internal__.datasetMetrics", "__dataset__", "dataset")
_BOUNDS = ("thresholdcalculatedupper", "thresholdcalculatedlower", "thresholdabsoluteupper", "thresholdabsolutelower")


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per anomaly. Raises BadPayload for what names neither a monitor nor an analyzer."""
    envelope, body = opened(parsed(message.body), hook)
    findings: list[tuple[Finding, Envelope]] = []
    failed = ""
    for outer, one, path in _entries(body, ""):
        fields = Named({key: _filled(value) for key, value in (outer | _first_monitor(one)).items()})
        if failure := fields.text("failuretype"):
            failed = failed or failure
            continue
        findings.append((_finding(fields, path), _named(envelope, fields)))
    if not findings:
        return Normalized(ignored=f"the analysis failed ({failed}), which judges nothing" if failed else "no anomalies")
    return Normalized(
        alerts=worst_first(alert_of(finding, named, message, hook, source=NAME) for finding, named in findings)
    )


def _entries(body: object, path: str) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """What surrounds each result, the result, and where it stands."""
    if isinstance(body, list):
        for n, each in enumerate(body):
            if not isinstance(each, dict):
                raise BadPayload(f"expected an analyzer result, found {kind_of(each)}", path=f"{path}{n}")
            yield {}, each, f"{path}{n}."
        return
    if not isinstance(body, dict):
        raise BadPayload(f"expected an analyzer result, found {kind_of(body)}")
    outer = {key: value for key, value in body.items() if not isinstance(value, (dict, list))}
    if isinstance(body.get("analyzerResult"), dict):
        yield outer, body["analyzerResult"], "analyzerResult."
        return
    for key in RESULTS:
        if isinstance(body.get(key), list) and (body[key] or "monitorId" not in body):
            yield from ((outer, one, f"{key}.{where}") for _, one, where in _entries(body[key], ""))
            return
    for key, named in DIGESTS:
        if isinstance(body.get(key), list) and body[key]:
            counted = (each for each in body[key] if isinstance(each, dict) and text(each.get(named)))
            yield from ((outer, each | {"anomalyCount": each.get("numAnomalies", 1)}, f"{key}.") for each in counted)
            return
    yield {}, body, ""


def _first_monitor(one: dict[str, Any]) -> dict[str, Any]:
    """A result lists the monitors that it concerns; the first names the alert, if nothing else does."""
    listed = one.get("monitorIds")
    first = next((text(each) for each in listed if text(each)), "") if isinstance(listed, list) else ""
    return {"monitorId": first} | one if first else one


def _filled(value: object) -> object:
    """A macro that was not filled in says nothing."""
    return _MACRO.sub("", value) if isinstance(value, str) else value


def _named(envelope: Envelope, fields: Named) -> Envelope:
    """The resource that was monitored, unless the wrapper says what it is called here."""
    resource = fields.text("datasetid", "datasetname", "resourceid")
    if envelope.subject is not None or not resource:
        return envelope
    return envelope.model_copy(update={"model" if resource.startswith("model") else "dataset": resource})


def _finding(fields: Named, path: str) -> Finding:
    monitor = fields.text("monitorname", "monitordisplayname", "displayname", "monitorid", "analyzerid")
    if not monitor:
        raise BadPayload("names neither a monitor nor an analyzer", path=f"{path}monitorId")
    count = fields.number("anomalycount", "numanomalies", "totalanomalies")
    found = _measured(fields, monitor, Status.RESOLVED if count == 0 else Status.FIRING)
    batch = GRANULARITIES.get(fields.text("granularity").lower())
    at = fields.moment("datasettimestamp", "latestanomalydatasettimestamp", "earliestanomalydatasettimestamp",
                       "creationtimestamp", "timestamp")  # fmt: skip
    segment = fields.text("segment", limit=200)
    facts = {"monitor": fields.text("monitorid"), "analyzer": fields.text("analyzerid"), "run": fields.text("runid")}
    return replace(
        found,
        baseline=fields.number("thresholdbaselinemetricvalue"),
        segment="" if segment.upper() in ("ALL", "OVERALL") else segment,
        at=at + (batch or timedelta()) if at else None,
        window_starts_at=at if batch else None,
        facts=dict(found.facts) | facts,
        url=fields.text("url", "anomalyurl", "modelalertsurl", limit=2048),
        resolves=Resolves.EXPIRY,
        expires_after=max(EXPIRES_AFTER, 2 * batch) if batch else EXPIRES_AFTER,
    )


def _measured(fields: Named, monitor: str, status: Status) -> Finding:
    severity = SEVERITIES.get(fields.text("severity").lower(), Severity.WARNING)
    column = "" if (named := fields.text("column", "feature")) in _WHOLE_DATASET else named
    observed = fields.number("driftmetricvalue", "diffmetricvalue", "thresholdmetricvalue", "comparisonobserved")
    threshold = _threshold(fields, observed)
    kind, metric = fields.text("analyzertype").lower(), fields.text("metric")
    symptom = _symptom(kind, metric, monitor)
    if symptom is Symptom.FEATURE_DRIFT:
        found = drift(
            column,
            check=monitor,
            status=status,
            severity=severity,
            method=fields.text("algorithm"),
            observed=observed,
            threshold=threshold,
            what="" if column else "drift of the data",
        )
        is_output = bool(column) and _OUTPUT.search(column) is not None
        return replace(found, symptom=Symptom.PREDICTION_DRIFT) if is_output else found
    bound = "" if threshold is None else f", threshold {threshold:.3g}"
    measured = "" if observed is None else f": {observed:.3g}{bound}"
    about = f"{metric or kind or monitor}{f' of {column}' if column else ''}"
    return Finding(
        check=monitor,
        symptom=symptom,
        status=status,
        severity=severity,
        summary=f"{about}{measured}" if measured else f"{monitor}{f': {column}' if column else ''}",
        column=column,
        metric="freshness_seconds" if symptom is Symptom.FRESHNESS and "seconds" in metric.lower() else metric,
        observed=observed,
        threshold=threshold,
    )


def _threshold(fields: Named, observed: float | None) -> float | None:
    own = fields.number("driftthreshold", "diffthreshold")
    if own is not None:
        return own
    bounds = [bound for bound in (fields.number(name) for name in _BOUNDS) if bound is not None]
    if not bounds or observed is None:
        return bounds[0] if bounds else fields.number("comparisonexpected")
    return min(bounds, key=lambda bound: abs(observed - bound))


def _symptom(kind: str, metric: str, monitor: str) -> Symptom:
    if kind == "drift":
        return Symptom.FEATURE_DRIFT
    for told in (kind, metric.lower()):
        if found := next((meant for words, meant in _SYMPTOMS if told and words.search(told)), None):
            return found
    if kind or metric:
        return Symptom.DATA_QUALITY
    said = symptom_of({}, monitor)
    return Symptom.DATA_QUALITY if said is Symptom.AVAILABILITY else said


SETUP = """In WhyLabs, Notification settings, add a webhook: URL `{url}`, method POST, headers
`{{"Authorization": "Bearer {secret}", "Content-Type": "application/json"}}`, and this body:

```json
{{"source": "whylabs", "orgId": "<[[org-id]]>", "datasetId": "<[[dataset-id]]>", "monitorId": "<[[monitor-id]]>",
 "monitorName": "<[[monitor-name]]>", "runId": "<[[run-id]]>"}}
```

Choose it as an action of each monitor. A webhook knows ids only. Post the analyzer results themselves, from the monitor
results API or your own WhyLabs, and their numbers arrive too:

```sh
tocsin send --source whylabs --model churn analyzer_results.json
```

- Anomalies end after two batches without one, at least after 48 hours: WhyLabs never says that one is over. An analyzer
  result with `anomalyCount` 0 ends it at once.
- `defaults: {{model: churn}}` on the hook gives the resource (`model-12`) the name that your catalogue knows.
- Columns whose names hold `output` are predictions, as WhyLabs itself sees them.
"""

SOURCE = Source(
    name=NAME,
    title="WhyLabs monitors",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    setup=SETUP,
    ignores=("analyses that failed", "lists without an anomaly"),
)
