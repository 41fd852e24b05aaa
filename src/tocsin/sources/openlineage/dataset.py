"""What happened to a dataset, and which checks of it failed? Lifecycle changes and data quality assertions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._identity import severity_of
from tocsin.sources._json import number, text
from tocsin.sources.openlineage.event import Dataset, Facets, facet, schema_of

NAME = "openlineage"

KINDS = {
    "ALTER": ChangeKind.DATASET_SCHEMA_CHANGED,
    "RENAME": ChangeKind.DATASET_SCHEMA_CHANGED,
    "DROP": ChangeKind.DATASET_SCHEMA_CHANGED,
    "TRUNCATE": ChangeKind.DATASET_MODIFIED,
}
"""lifecycleStateChange → kind. CREATE and OVERWRITE are what every run of a table's job does: no change of their own,
the run's `touches` tell them. https://openlineage.io/docs/spec/facets/dataset-facets/lifecycle_state_change"""

SYMPTOMS: tuple[tuple[re.Pattern[str], Symptom], ...] = (
    (re.compile(r"row_?count|volume", re.I), Symptom.VOLUME),
    (re.compile(r"fresh|recency", re.I), Symptom.FRESHNESS),
    (re.compile(r"schema|column_(exists|type)|to_exist|of_type", re.I), Symptom.SCHEMA),
)
"""Words in an assertion's type → symptom; any other assertion is about data quality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """The event in which something was said of datasets."""

    message: Message
    hook: Hook
    environment: str
    at: datetime
    id: str
    """Of the run, or of the dataset event."""
    outcome: ChangeOutcome
    labels: dict[str, str]
    job: str = ""


def lifecycle_changes(datasets: list[Dataset], occasion: Occasion) -> Iterator[Change]:
    """One change for each dataset that was altered, renamed, dropped or emptied."""
    for dataset in datasets:
        told = dataset.facet("lifecycleStateChange")
        state = text(told.get("lifecycleStateChange")).upper()
        if state in KINDS:
            yield _lifecycle_change(dataset, state, facet(told, "previousIdentifier"), occasion)


def _lifecycle_change(dataset: Dataset, state: str, previous: Facets, occasion: Occasion) -> Change:
    before = text(previous.get("name"), 500)
    facts = {"lifecycle": state, "namespace": dataset.namespace, "schema": schema_of(dataset), "previous": before}
    finished = occasion.outcome is not ChangeOutcome.RUNNING
    return Change(
        id=f"openlineage:{occasion.id}:{dataset.namespace}/{dataset.name}:{state}",
        hook=occasion.hook.name,
        source=NAME,
        environment=occasion.environment,
        kind=KINDS[state],
        subject=dataset.subject,
        occurred_at=occasion.at,
        received_at=occasion.message.received_at,
        finished_at=occasion.at if finished else None,
        outcome=occasion.outcome,
        version=text(dataset.facet("version").get("datasetVersion"), 200),
        summary=_summary(dataset.name, state, before) + (f" by {occasion.job}" if occasion.job else ""),
        touches=(Subject.of("dataset", before),) if before and before != dataset.name else (),
        labels={**occasion.labels, **{key: value for key, value in facts.items() if value}},
    )


def _summary(name: str, state: str, before: str) -> str:
    if state == "RENAME":
        return f"{before or 'a dataset'} renamed to {name}"
    return f"{name} " + {"ALTER": "altered", "DROP": "dropped", "TRUNCATE": "emptied"}[state]


def assertion_alerts(datasets: list[Dataset], occasion: Occasion) -> Iterator[Alert]:
    """One alert for each assertion: firing when it failed, ended when it held. dbt tells each one twice, in the
    dataset's facets and in the input's: the second is the same."""
    for dataset in datasets:
        assertions = dataset.facet("dataQualityAssertions").get("assertions")
        for assertion in assertions if isinstance(assertions, list) else ():
            if isinstance(assertion, dict) and isinstance(assertion.get("success"), bool):
                yield _assertion_alert(dataset, assertion, occasion)


def _assertion_alert(dataset: Dataset, assertion: Facets, occasion: Occasion) -> Alert:
    kind = text(assertion.get("assertion"), 200) or "assertion"
    column, held = text(assertion.get("column"), 200), assertion["success"]
    name = text(assertion.get("name"), 255) or kind
    severity = text(assertion.get("severity"))
    where = f"{column} of {dataset.name}" if column else dataset.name
    actual, expected = number(assertion.get("actual")), number(assertion.get("expected"))
    rows = number(dataset.facet("dataQualityMetrics").get("rowCount"))
    measured = f": {actual:g}, expected {expected:g}" if actual is not None and expected is not None else ""
    return Alert(
        hook=occasion.hook.name,
        source=NAME,
        environment=occasion.environment,
        name=name,
        subject=dataset.subject,
        symptom=next((meant for words, meant in SYMPTOMS if words.search(kind)), Symptom.DATA_QUALITY),
        severity=severity_of(severity) if severity else Severity.ERROR,
        status=Status.RESOLVED if held else Status.FIRING,
        summary=f"{where}: {kind} {'holds' if held else 'does not hold'}{measured}",
        received_at=occasion.message.received_at,
        starts_at=None if held else occasion.at,
        ends_at=occasion.at if held else None,
        resource=column,
        metric=kind,
        observed=actual,
        threshold=expected,
        sample_size=int(rows) if rows is not None and 0 <= rows < 2**63 else None,
        labels={**occasion.labels, "namespace": dataset.namespace},
        resolves=Resolves.NEXT_PASS,
    )
