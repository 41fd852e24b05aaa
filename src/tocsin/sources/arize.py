"""Which Arize monitor was triggered, and which is healthy again? Webhooks of monitors, and monitors from its API.

Arize tells that a monitor's status changed: Healthy, No Data or Triggered. It publishes no schema of the body, so that
fields are found by the names that a monitor has in its GraphQL API, whatever the nesting and the spelling. Answers of
that API (`monitors.edges[].node`) are read as well, for spaces without webhooks.
https://arize.com/docs/ax/machine-learning/machine-learning/how-to-ml/monitors/configure-monitors/notifications-and-integrations
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tocsin.domain.alert import Resolves, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._by_name import Named, plain
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._identity import severity_of, symptom_of
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._verify import shared_secret

NAME = "arize"

STATUSES = {
    "triggered": Status.FIRING,
    "firing": Status.FIRING,
    "alert": Status.FIRING,
    "alerting": Status.FIRING,
    "critical": Status.FIRING,
    "open": Status.FIRING,
    "true": Status.FIRING,
    "nodata": Status.FIRING,
    "healthy": Status.RESOLVED,
    "cleared": Status.RESOLVED,
    "resolved": Status.RESOLVED,
    "ok": Status.RESOLVED,
    "recovered": Status.RESOLVED,
    "closed": Status.RESOLVED,
    "false": Status.RESOLVED,
}
"""A monitor's status → ours. No Data means that nothing can be said of the model: the data is not fresh."""
NO_DATA = "nodata"
TESTS = frozenset({"test", "testalert", "testnotification", "webhooktest", "ping", "verification"})

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"drift|psi|kldivergence|jsdistance|ksstatistic", Symptom.FEATURE_DRIFT),
    (r"fairness|bias|disparate|parity", Symptom.FAIRNESS),
    (r"calibration", Symptom.CALIBRATION),
    (r"freshness|staleness|delay", Symptom.FRESHNESS),
    (r"^count$|volume|rowcount", Symptom.VOLUME),
    (r"latency|duration", Symptom.LATENCY),
    (r"cost|tokencount", Symptom.COST),
    (r"dataquality|percentempty|cardinality|missing|newvalues|p\d\d|avg|stddev|uniquevalues|sum", Symptom.DATA_QUALITY),
    (r"performance|accuracy|precision|recall|f1|auc|logloss|mae|mape|rmse|mse|wape|smape|rsquared|ndcg|map"
     r"|falsepositive|falsenegative|sensitivity|specificity|eval|hallucinat", Symptom.PERFORMANCE),
)  # fmt: skip
"""Words in a monitor's metric, then in its category, then in its name → symptom, first match wins."""

DIMENSIONS = {
    "prediction": Symptom.PREDICTION_DRIFT,
    "predictionclass": Symptom.PREDICTION_DRIFT,
    "predictionscore": Symptom.PREDICTION_DRIFT,
    "predictionvalue": Symptom.PREDICTION_DRIFT,
    "actual": Symptom.LABEL_DRIFT,
    "actuals": Symptom.LABEL_DRIFT,
    "actualclass": Symptom.LABEL_DRIFT,
    "actualscore": Symptom.LABEL_DRIFT,
}
"""A dimension's category → what drifted; any other dimension is a feature."""

_SYMPTOMS = tuple((re.compile(words), symptom) for words, symptom in SYMPTOMS)
_MONITOR = ("monitorname", "monitordisplayname", "name", "title", "alertname", "monitor", "monitorid", "id")
_STATUS = ("status", "monitorstatus", "currentstatus", "newstatus", "state", "alertstatus", "statuscurrent",
           "monitorcurrentstatus", "istriggered", "monitoristriggered", "triggered")  # fmt: skip
_CATEGORY = ("monitorcategory", "category", "monitortype", "monitormonitorcategory", "monitormonitortype", "type")
_MODEL = ("modelname", "monitormodelname", "model", "modelexternalid", "projectname", "tracingprojectname", "project",
          "modelid")  # fmt: skip
_VERSION = ("modelversion", "modelversionname", "monitormodelversion", "modelversionid")
_DIMENSION = ("dimensionname", "dimension", "featurename", "feature", "monitordimensionname", "primarydimension",
              "monitorprimarydimensionname", "primarymetricwindowdimensionname", "monitorfeaturename",
              "primarymetricwindowdimensionfeaturename")  # fmt: skip
_DIMENSION_CATEGORY = ("dimensioncategory", "dimensiontype", "primarymetricwindowdimensioncategory",
                       "monitordimensioncategory", "primarymetricwindowfilterdimensiontype")  # fmt: skip
_METRIC = ("driftmetric", "performancemetric", "dataqualitymetric", "monitordriftmetric", "monitorperformancemetric",
           "monitordataqualitymetric", "custommetricname", "custommetric", "metricname", "evaluationmetric", "metric",
           "monitormetric", "metrictype")  # fmt: skip
_VALUE = ("metricvalue", "currentmetricvalue", "currentvalue", "observedvalue", "value", "latestvalue",
          "latestcomputedvalue", "monitorvalue", "evaluatedvalue", "monitorcurrentvalue", "monitorcurrentmetricvalue",
          "metriccurrentvalue")  # fmt: skip
_THRESHOLD = ("threshold", "thresholdvalue", "monitorthreshold", "monitorthresholdvalue", "metricthreshold",
              "threshold2")  # fmt: skip
_BASELINE = ("baselinevalue", "referencevalue", "monitorbaselinevalue", "baselinemetricvalue")
_TIME = ("triggeredat", "statuschangedat", "evaluatedat", "latestcomputedat", "timestamp", "occurredat", "time",
         "updatedat", "monitorevaluatedat", "eventtime", "createdat", "alerttime")  # fmt: skip
_URL = ("monitorurl", "url", "link", "uri", "monitorlink", "alerturl", "monitoruri")


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per monitor. Raises BadPayload for what names no monitor, and for a status that is not known."""
    envelope, body = opened(parsed(message.body), hook)
    found = []
    for one, path in _monitors(body, ""):
        fields = Named(one)
        if (
            plain(fields.text("event", "eventtype", "type", "notificationtype")) in TESTS
            or fields.get("istest") is True
        ):
            return Normalized(ignored="test ping")
        found.append((_finding(fields, path), _named(envelope, fields)))
    if not found:
        return Normalized(ignored="no monitors")
    return Normalized(
        alerts=worst_first(alert_of(finding, named, message, hook, source=NAME) for finding, named in found)
    )


def _monitors(body: object, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each monitor: a body, a list of them, or the nodes of an answer, which stand under their model."""
    if isinstance(body, list):
        for n, each in enumerate(body):
            yield from _monitors(each, f"{path}{n}.")
        return
    if not isinstance(body, dict):
        raise BadPayload(f"expected a monitor, found {kind_of(body)}", path=path.rstrip("."))
    listed = next((key for key in ("monitors", "alerts") if isinstance(body.get(key), (list, dict))), "")
    inner = body.get(listed)
    if isinstance(inner, dict) and isinstance(inner.get("edges"), list):
        nodes = [edge.get("node") if isinstance(edge, dict) else edge for edge in inner["edges"]]
        model = {"modelName": body["name"]} if isinstance(body.get("name"), str) else {}
        for one, place in _monitors(nodes, f"{path}{listed}.edges."):
            yield model | one, place
    elif isinstance(inner, list):
        yield from _monitors(inner, f"{path}{listed}.")
    elif nested := next((key for key in ("data", "node", "model", "space") if _holds_monitors(body.get(key))), ""):
        yield from _monitors(body[nested], f"{path}{nested}.")
    else:
        yield body, path


def _holds_monitors(value: object) -> bool:
    """Is it the answer's outer part? Looked for three levels down, as the API nests them."""
    level = [value]
    for _ in range(3):
        objects = [each for each in level if isinstance(each, dict)]
        if any(isinstance(each.get("monitors"), (dict, list)) for each in objects):
            return True
        level = [inner for each in objects for inner in each.values()]
    return False


def _named(envelope: Envelope, fields: Named) -> Envelope:
    """The monitor's model and version, unless the wrapper names them."""
    told = {"model": fields.text(*_MODEL), "model_version": fields.text(*_VERSION)}
    if envelope.subject is not None:
        told.pop("model")
    return envelope.model_copy(update={key: value for key, value in told.items() if value})


def _finding(fields: Named, path: str) -> Finding:
    monitor = fields.text(*_MONITOR)
    if not monitor:
        raise BadPayload("names no monitor", path=f"{path}monitor_name")
    key = next((name for name in _STATUS if fields.get(name) not in (None, "")), "")
    word = plain(str(fields.get(key, ""))) if key else _event(fields)
    if word not in STATUSES:
        known = "Triggered, Healthy, No Data"
        raise BadPayload(f"{str(fields.get(key, ''))[:40]!r} is none of {known}", path=f"{path}{key or 'status'}")
    found = _measured(fields, monitor, STATUSES[word], no_data=word == NO_DATA)
    facts = {"space": fields.text("spacename", "space"), "monitor_id": fields.text("monitorid", "id")}
    facts |= {"baseline_window": fields.text("baseline", "baselinename", "modelbaseline")}
    return replace(
        found,
        baseline=fields.number(*_BASELINE),
        segment=fields.text("slice", "segment", "filter", "cohort", limit=200),
        at=fields.moment(*_TIME),
        facts=dict(found.facts) | facts,
        url=fields.text(*_URL, limit=2048),
        resolves=Resolves.SENDER,
    )


def _event(fields: Named) -> str:
    """`monitor.triggered` → `triggered`: the status, where only the event tells it."""
    event = plain(fields.text("event", "eventtype", "eventname", "notificationtype"))
    return next((status for status in STATUSES if event.endswith(status)), "")


def _measured(fields: Named, monitor: str, status: Status, *, no_data: bool) -> Finding:
    severity = severity_of(fields.text("severity", "alertseverity", "monitorseverity", "priority"))
    metric, column = fields.text(*_METRIC), fields.text(*_DIMENSION)
    observed, threshold = fields.number(*_VALUE), fields.number(*_THRESHOLD)
    symptom = _symptom(fields, metric, monitor)
    if symptom is Symptom.FEATURE_DRIFT:
        told = drift(
            column,
            check=monitor,
            status=status,
            severity=severity,
            method=metric if plain(metric) != "drift" else "",
            observed=observed,
            threshold=threshold,
            what="" if column else f"drift ({monitor})",
        )
        about = DIMENSIONS.get(plain(fields.text(*_DIMENSION_CATEGORY)))
        found = replace(told, symptom=about) if about else told
    else:
        bound = "" if threshold is None else f", threshold {threshold:.3g}"
        measured = "" if observed is None else f": {observed:.3g}{bound}"
        found = Finding(
            check=monitor,
            symptom=symptom,
            status=status,
            severity=severity,
            summary=f"{metric or monitor}{f' of {column}' if column else ''}{measured}",
            column=column,
            metric=metric,
            observed=observed,
            threshold=threshold,
        )
    if no_data:
        return replace(found, symptom=Symptom.FRESHNESS, summary=f"{monitor}: no data in the monitor's window")
    return found


def _symptom(fields: Named, metric: str, monitor: str) -> Symptom:
    for told in (metric, fields.text(*_CATEGORY), monitor):
        word = plain(told)
        if found := next((meant for words, meant in _SYMPTOMS if word and words.search(word)), None):
            return found
    said = symptom_of({}, monitor, fields.text("message", "description", "notes", limit=300))
    return Symptom.PERFORMANCE if said is Symptom.AVAILABILITY else said


SETUP = """In Arize, workspace settings, add a webhook destination with the address `{url}` and the header
`Authorization: Bearer {secret}` (or the address `{url}?token={secret}`), and choose it under Alerting of each monitor.

Where there are no webhooks, post what the GraphQL API says of the monitors:

```python
import json, urllib.request

body = dict(source="arize", model="churn", report=answer)  # node(id: model) with monitors edges node: id name status …
request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

`tocsin send --source arize --model churn monitors.json` does the same for a file.

- Triggered opens, Healthy ends, No Data is an alert of its own kind: the data is not fresh.
- Arize publishes no schema of its webhooks: fields are found by the names that a monitor has in its API. What names no
  monitor is kept and quarantined, so that it can be read again after an update.
"""

SOURCE = Source(
    name=NAME,
    title="Arize monitors",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("test pings", "answers without monitors"),
)
