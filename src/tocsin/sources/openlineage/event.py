"""What does an OpenLineage event say? The parts that the specification fixes, and its facets as plain values.

Only the core is checked: facets are extras of many producers, so that an odd one is left out and never costs the run.
https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from tocsin.domain.change import ChangeOutcome
from tocsin.domain.subject import Subject
from tocsin.sources._identity import ENVIRONMENT_LABELS, labels_of, link_of
from tocsin.sources._json import text
from tocsin.sources._shape import Name

EventType = Literal["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]

OUTCOMES: Mapping[EventType | None, ChangeOutcome] = {
    "START": ChangeOutcome.RUNNING,
    "RUNNING": ChangeOutcome.RUNNING,
    "COMPLETE": ChangeOutcome.SUCCESS,
    "FAIL": ChangeOutcome.FAILURE,
    "ABORT": ChangeOutcome.CANCELED,
    "OTHER": ChangeOutcome.UNKNOWN,
    None: ChangeOutcome.UNKNOWN,
}

Facets = dict[str, Any]
MAX_SCHEMA = 900
"""Longer schemas are cut and end in a hash of the whole, so that any difference still shows."""

_INTEGRATION = re.compile(r"/integration/(\w+)|/(airflow|spark|flink|dagster|dbt|trino|hive)\b", re.I)


class Dataset(BaseModel):
    namespace: str
    name: Name
    facets: Facets | None = None
    input_facets: Facets | None = Field(default=None, alias="inputFacets")
    output_facets: Facets | None = Field(default=None, alias="outputFacets")

    @property
    def subject(self) -> Subject:
        """Without the namespace: catalogues know a table by its name; the namespace stays in the labels."""
        return Subject.of("dataset", self.name)

    def facet(self, name: str) -> Facets:
        """The dataset's facet of this name, wherever it stands; empty when absent."""
        return next(
            (found for each in (self.facets, self.input_facets, self.output_facets) if (found := facet(each, name))), {}
        )


class Job(BaseModel):
    namespace: str
    name: Name
    facets: Facets | None = None


class Run(BaseModel):
    id: Name = Field(alias="runId")
    facets: Facets | None = None


class RunEvent(BaseModel):
    type: EventType | None = Field(default=None, alias="eventType")
    time: str = Field(alias="eventTime")
    run: Run
    job: Job
    inputs: list[Dataset] | None = None
    outputs: list[Dataset] | None = None
    producer: str | None = None

    @property
    def ended(self) -> bool:
        return self.type in ("COMPLETE", "FAIL", "ABORT")

    @property
    def outcome(self) -> ChangeOutcome:
        return OUTCOMES[self.type]


class DatasetEvent(BaseModel):
    time: str = Field(alias="eventTime")
    dataset: Dataset
    producer: str | None = None


def facet(facets: Facets | None, *path: str) -> Facets:
    """The object at this path of facets; empty when any step is absent or no object."""
    found: Any = facets
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def error_of(event: RunEvent) -> str:
    """First line of the errorMessage facet, at most 300 characters: the stack trace below it is left out."""
    return text(facet(event.run.facets, "errorMessage").get("message"), 5000).partition("\n")[0][:300]


def author_of(event: RunEvent) -> str:
    """The first owner that the job's ownership facet names."""
    owners = facet(event.job.facets, "ownership").get("owners")
    first = owners[0] if isinstance(owners, list) and owners else None
    return text(first.get("name"), 200) if isinstance(first, dict) else ""


def url_of(event: RunEvent) -> str:
    """Airflow's task log, else the source code."""
    log = facet(event.run.facets, "airflow", "taskInstance").get("log_url")
    return link_of(log) or link_of(facet(event.job.facets, "sourceCodeLocation").get("url"))


def version_of(event: RunEvent) -> str:
    """The version of the job's source code."""
    return text(facet(event.job.facets, "sourceCodeLocation").get("version"), 200)


def renamed_columns(event: RunEvent) -> list[tuple[str, str]]:
    """Columns that the run renamed in place, (before, after): its column lineage takes them unchanged (IDENTITY) from
    another column of the same dataset.
    https://openlineage.io/docs/spec/facets/dataset-facets/column_lineage_facet"""
    return [pair for dataset in event.outputs or () for pair in _renamed_in(dataset)]


def _renamed_in(dataset: Dataset) -> Iterator[tuple[str, str]]:
    for after, told in facet(dataset.facets, "columnLineage", "fields").items():
        inputs = told.get("inputFields") if isinstance(told, dict) else None
        only = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict) else {}
        before = text(only.get("field"), 200)
        if before and before != after and only.get("name") == dataset.name and _is_identity(only):
            yield before, after


def _is_identity(source: Facets) -> bool:
    steps = source.get("transformations")
    return isinstance(steps, list) and any(isinstance(s, dict) and s.get("subtype") == "IDENTITY" for s in steps)


def is_test(event: RunEvent) -> bool:
    """A run that only checks data, such as `dbt test`."""
    return text(facet(event.job.facets, "jobType").get("jobType")).upper() == "TEST"


def environment_labels(event: RunEvent) -> dict[str, str]:
    """The run's and the job's tags that name an environment."""
    listed = [facet(facets, "tags").get("tags") for facets in (event.run.facets, event.job.facets)]
    tags = [tag for some in listed if isinstance(some, list) for tag in some if isinstance(tag, dict)]
    return labels_of({text(t.get("key")): t.get("value") for t in tags if t.get("key") in ENVIRONMENT_LABELS})


def labels_of_run(event: RunEvent) -> dict[str, str]:
    """What is worth keeping of a run: who ran it, under which parent."""
    run, job = event.run, event.job
    facts: dict[str, object] = {
        "run_id": run.id,
        "job_namespace": job.namespace,
        "integration": integration_of(event.producer, facet(job.facets, "jobType")),
        "job_type": facet(job.facets, "jobType").get("jobType"),
        "parent": facet(run.facets, "parent", "job").get("name"),
        "parent_run_id": facet(run.facets, "parent", "run").get("runId"),
    }
    return labels_of({key: value for key, value in facts.items() if value})


def labels_of_outputs(event: RunEvent) -> dict[str, str]:
    """What is worth keeping of the datasets that a run wrote: namespace, schema, rows, version, lifecycle."""
    facts = dict(fact for dataset in event.outputs or () for fact in _facts(dataset))
    return labels_of({key: value for key, value in facts.items() if value not in ("", None)})


def integration_of(producer: str | None, job_type: Facets) -> str:
    """`dbt`, `airflow`, `spark` …: as the jobType facet says, else as the producer's address does."""
    if named := text(job_type.get("integration"), 40):
        return named.lower()
    found = _INTEGRATION.search(producer or "")
    return next((each for each in found.groups() if each), "").lower() if found else ""


def _facts(dataset: Dataset) -> Iterator[tuple[str, object]]:
    yield f"namespace.{dataset.name}", dataset.namespace
    yield f"schema.{dataset.name}", schema_of(dataset)
    yield f"rowCount.{dataset.name}", dataset.facet("outputStatistics").get("rowCount")
    yield f"version.{dataset.name}", dataset.facet("version").get("datasetVersion")
    yield f"lifecycle.{dataset.name}", dataset.facet("lifecycleStateChange").get("lifecycleStateChange")


def schema_of(dataset: Dataset) -> str:
    """`id:INTEGER,amount:NUMERIC` in the table's order; empty when the event does not tell."""
    fields = dataset.facet("schema").get("fields")
    told = [each for each in fields if isinstance(each, dict)] if isinstance(fields, list) else []
    joined = ",".join(f"{text(each.get('name'), 200)}:{text(each.get('type'), 200)}" for each in told)
    if len(joined) <= MAX_SCHEMA:
        return joined
    digest = hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{joined[:MAX_SCHEMA]}…#{digest}"
