"""Which columns drifted, which checks of a model failed? The JSON of an Evidently report, of 0.7 and of before.

A report names neither model nor dataset nor, since 0.7, its time (see `_report`). Each test is a check that passes or
fails; a report without tests is judged by its drift metrics. For a p-value lower means drift.
https://docs.evidentlyai.com/docs/library/report
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._finding import alert_of
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._report import opened, worst_first
from tocsin.sources._verify import shared_secret
from tocsin.sources.evidently import legacy, report

NAME = "evidently"


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per test (or per drift metric, without tests): firing when it failed, ended when it passed."""
    envelope, body = opened(parsed(message.body), hook)
    if not isinstance(body, dict):
        raise BadPayload(f"expected a report, found {kind_of(body)}")
    if not any(key in body for key in ("metrics", "tests", *legacy.PROFILE_SECTIONS)):
        raise BadPayload("neither metrics nor tests: no report of Evidently", path="metrics")
    findings = legacy.findings(body) if legacy.is_legacy(body) else report.findings(body)
    if not findings:
        return Normalized(ignored="a report without tests and without drift metrics judges nothing")
    if envelope.timestamp is None:
        envelope = envelope.model_copy(update={"timestamp": _time(body)})
    return Normalized(
        alerts=worst_first(alert_of(finding, envelope, message, hook, source=NAME) for finding in findings)
    )


def _time(body: dict[str, Any]) -> str | None:
    """Reports before 0.7 say when they were made."""
    sections = (body.get(section) for section in legacy.PROFILE_SECTIONS)
    told = [body.get("timestamp"), *(each.get("datetime") for each in sections if isinstance(each, dict))]
    return next((time for time in told if isinstance(time, str)), None)


SETUP = """Evidently writes reports; post each with what it is about:

```sh
tocsin send --source evidently --model churn --dataset churn_features report.json
```

or from Python, after the run:

```python
import json, urllib.request

body = dict(source="evidently", model="churn", model_version="17", dataset="churn_features",
            timestamp=checked_at.isoformat(), sample_size=len(current), prediction="prediction", target="target",
            report=json.loads(snapshot.json()))
request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

A report holds no histograms. With these lines, before the request, its drift alerts show how the values were spread
(of a text column the categories are the labels, and their counts the rest):

```python
import numpy

def spread(column):
    edges = numpy.histogram_bin_edges([*reference[column], *current[column]], bins=10)
    counts = [numpy.histogram(data[column], edges)[0].tolist() for data in (reference, current)]
    return dict(labels=edges.tolist(), reference=counts[0], current=counts[1])

body["distributions"] = dict(age_days=spread("age_days"))
```

`tocsin send` takes a file with `distributions` beside `report` as well.

- Run reports with `include_tests=True`; without tests only `ValueDrift` and `DriftedColumnsCount` are judged.
- A bare report works when the hook's `defaults` say `model:` or `dataset:`; without them it is about `unknown:<hook>`.
- Post passing reports too: the next pass ends an alert.
- Reports, test suites and profiles from before 0.7 are read as well, with their histograms.
"""

SOURCE = Source(
    name=NAME,
    title="Evidently reports",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("reports without tests and without drift metrics", "tests that were skipped"),
)
