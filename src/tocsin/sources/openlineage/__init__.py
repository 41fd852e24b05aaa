"""Which job ran, what did it write, which dataset changed? OpenLineage events of Airflow, Spark, dbt, Flink and others.

All events of one run are one change, so that its end completes its start. A failed run is also an alert on the job,
which the job's next COMPLETE ends. Run, dataset and job events share one address and are told apart by their parts.
https://openlineage.io/docs/spec/run-cycle
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of, labels_of, links_of
from tocsin.sources._json import kind_of, parsed, shaped
from tocsin.sources._pipeline import time_at
from tocsin.sources._report import worst_first
from tocsin.sources._verify import shared_secret
from tocsin.sources.openlineage.dataset import NAME, Occasion, assertion_alerts, lifecycle_changes
from tocsin.sources.openlineage.event import (
    DatasetEvent,
    RunEvent,
    author_of,
    environment_labels,
    error_of,
    integration_of,
    is_test,
    labels_of_outputs,
    labels_of_run,
    renamed_columns,
    url_of,
    version_of,
)

MAX_BATCH = 1000


def normalize(message: Message, hook: Hook) -> Normalized:
    """Changes and alerts of one event, or of each in an array. Raises BadPayload when a run event lacks runId, job or a
    time, and for an eventType outside the specification."""
    body = parsed(message.body)
    if isinstance(body, list):
        return _batch(body, message, hook)
    if not isinstance(body, dict):
        raise BadPayload(f"expected an event, an object, found {kind_of(body)}")
    return _event(body, message, hook)


def _batch(events: list[Any], message: Message, hook: Hook) -> Normalized:
    """Events that a proxy or a file collected: they are told in their order."""
    read = []
    for n, each in enumerate(events[:MAX_BATCH]):
        if not isinstance(each, dict):
            raise BadPayload(f"expected an event, an object, found {kind_of(each)}", path=str(n))
        try:
            read.append(_event(each, message, hook))
        except BadPayload as error:
            raise BadPayload(error.reason, path=f"{n}.{error.path}".rstrip(".")) from None
    changes: dict[str, Change] = {}
    for change in (change for said in read for change in said.changes):
        known = changes.get(change.id, change)
        changes[change.id] = replace(
            change,
            occurred_at=min(known.occurred_at, change.occurred_at),
            touches=_each(known.touches + change.touches),
            reads=_each(known.reads + change.reads),
        )
    alerts = {alert.fingerprint: alert for said in read for alert in said.alerts}
    if not changes and not alerts:
        return Normalized(ignored=read[0].ignored if read else "an array without events")
    return Normalized(changes=tuple(changes.values()), alerts=tuple(alerts.values()))


def _event(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    if "run" in body:
        return _run(shaped(RunEvent, body), message, hook)
    if "dataset" in body:
        return _dataset(shaped(DatasetEvent, body), message, hook)
    if "job" in body:
        return Normalized(ignored="JobEvent: describes a job, nothing ran")
    return _run(shaped(RunEvent, body), message, hook)


def _run(event: RunEvent, message: Message, hook: Hook) -> Normalized:
    at = time_at(event.time, "eventTime") or message.received_at
    environment = environment_of(dict(hook.defaults) | environment_labels(event), hook)
    labels = labels_of(dict(hook.defaults) | labels_of_run(event))
    outputs, inputs = event.outputs or [], event.inputs or []
    occasion = Occasion(
        message=message,
        hook=hook,
        environment=environment,
        at=at,
        id=event.run.id,
        outcome=event.outcome,
        labels=labels,
        job=event.job.name,
    )
    changes = list(lifecycle_changes(outputs, occasion))
    if event.type != "OTHER":
        changes.insert(0, _change(event, occasion))
    alerts = list(assertion_alerts(inputs + outputs, occasion)) if event.type != "START" else []
    told_by_assertions = event.type == "FAIL" and is_test(event) and bool(alerts)
    if event.type in ("FAIL", "COMPLETE") and not told_by_assertions:
        alerts.append(_job_alert(event, occasion))
    if not changes and not alerts:
        return Normalized(ignored="OTHER event: adds facets to a run, starts and ends nothing")
    return Normalized(changes=tuple(changes), alerts=worst_first(alerts))


def _change(event: RunEvent, occasion: Occasion) -> Change:
    error = error_of(event)
    return Change(
        id=f"openlineage:{event.run.id}",
        hook=occasion.hook.name,
        source=NAME,
        environment=occasion.environment,
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=Subject.of("job", event.job.name),
        occurred_at=occasion.at,
        received_at=occasion.message.received_at,
        finished_at=occasion.at if event.ended else None,
        outcome=event.outcome,
        version=version_of(event),
        author=author_of(event),
        url=url_of(event),
        summary=_renames(event) or f"{event.job.name}: {event.outcome}" + (f": {error}" if error else ""),
        touches=_each(dataset.subject for dataset in event.outputs or ()),
        reads=_each(dataset.subject for dataset in event.inputs or ()),
        labels=labels_of(occasion.labels | labels_of_outputs(event)),
    )


def _renames(event: RunEvent) -> str:
    """`order_total renamed to total_eur`: what a reader must know of a run that went well."""
    return ", ".join(f"{before} renamed to {after}" for before, after in renamed_columns(event)[:3])


def _each(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    return tuple(dict.fromkeys(subjects))


def _job_alert(event: RunEvent, occasion: Occasion) -> Alert:
    failed = event.type == "FAIL"
    error = error_of(event)
    return Alert(
        hook=occasion.hook.name,
        source=NAME,
        environment=occasion.environment,
        name="JobFailed",
        subject=Subject.of("job", event.job.name),
        symptom=Symptom.ERRORS,
        severity=Severity.ERROR,
        status=Status.FIRING if failed else Status.RESOLVED,
        summary=f"{event.job.name} failed" + (f": {error}" if error else "")
        if failed
        else f"{event.job.name} completed",
        received_at=occasion.message.received_at,
        starts_at=occasion.at if failed else None,
        ends_at=None if failed else occasion.at,
        labels=occasion.labels,
        links=links_of({"run": url_of(event)}),
        resolves=Resolves.NEXT_PASS,
    )


def _dataset(event: DatasetEvent, message: Message, hook: Hook) -> Normalized:
    at: datetime = time_at(event.time, "eventTime") or message.received_at
    facts: dict[str, Any] = {"integration": integration_of(event.producer, {})}
    occasion = Occasion(
        message=message,
        hook=hook,
        environment=environment_of(hook.defaults, hook),
        at=at,
        id=at.isoformat(),
        outcome=ChangeOutcome.SUCCESS,
        labels=labels_of(dict(hook.defaults) | {key: value for key, value in facts.items() if value}),
    )
    changes = tuple(lifecycle_changes([event.dataset], occasion))
    alerts = worst_first(assertion_alerts([event.dataset], occasion))
    if not changes and not alerts:
        return Normalized(ignored="DatasetEvent: describes a dataset, it was not altered, renamed, dropped or emptied")
    return Normalized(changes=changes, alerts=alerts)


def _bearer(message: Message) -> str:
    """The API key of OpenLineage's own HTTP transport."""
    scheme, _, key = message.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


SETUP = """Every OpenLineage client posts with an API key as Bearer. By its environment (dbt-ol, Spark, Python):

```sh
export OPENLINEAGE__TRANSPORT='{{"type": "http", "url": "{url}", "endpoint": "",
  "auth": {{"type": "api_key", "apiKey": "{secret}"}}}}'
```

Airflow (provider apache-airflow-providers-openlineage), in `airflow.cfg`:

```ini
[openlineage]
namespace = airflow-production
transport = {{"type": "http", "url": "{url}", "endpoint": "", "auth": {{"type": "api_key", "apiKey": "{secret}"}}}}
```

- Tools that can set only a host find the hook by their API key under `/api/v1/lineage`.
- Output datasets are what a run touches. What its job reads and writes becomes lineage from the next full hour on
  (`tocsin learned --lineage`). With `schema` and `lifecycleStateChange` facets renamed and altered tables
  become changes of their own, with `dataQualityAssertions` failing checks become alerts.
"""

SOURCE = Source(
    name=NAME,
    title="OpenLineage",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    routes=("/api/v1/lineage",),
    route_secret=_bearer,
    setup=SETUP,
    ignores=(
        "job events",
        "dataset events that only describe",
        "OTHER events that only add facets",
        "assertions in START events (their run's end tells them again)",
    ),
)
