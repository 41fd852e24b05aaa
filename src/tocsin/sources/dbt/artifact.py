"""Which models were built, which tests failed, which sources are stale? dbt's run_results.json and sources.json.

Versions 1 to 6 of the results, 1 to 3 of the sources, dbt 2's freshness.json. `dbt compile` and `docs generate` write
the same file and run nothing: their "success" says nothing of the data. Compiled SQL is read for the table's name and
never kept. https://docs.getdbt.com/reference/artifacts/run-results-json
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from tocsin.domain.alert import Alert, Severity, Symptom
from tocsin.domain.change import Change, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._json import kind_of, number, shaped, text
from tocsin.sources._pipeline import MAX_RESULTS, Report, check_symptom, dbt_counts, first_line, time_at
from tocsin.sources._report import Envelope, worst_first
from tocsin.sources._shape import Name
from tocsin.sources.dbt.tested import tested

QUIET_COMMANDS = frozenset({"generate", "compile", "list", "ls", "parse", "show", "docs", "debug", "deps"})
"""args.which of commands that read the project and run nothing of it."""

BUILT = frozenset({"model", "seed", "snapshot", "function", "saved_query", "materialized_view"})
TESTS = frozenset({"test", "unit_test"})
PASSED = frozenset({"pass", "success", "reused"})
FAILED = frozenset({"error", "fail", "runtime error", "partial success", "partial_success"})
WARNED = frozenset({"warn"})
QUIET = frozenset({"skipped", "skip", "no-op", "no_op", "not run", "running", "pending", "compiled"})

UNPLACED_EXPIRES_AFTER = timedelta(days=7)
"""A test that failed before its SQL was compiled may be placed on another subject when it passes: it ends by itself."""

_HEADING = re.compile(r"(\w{1,40} Error) in \w{1,40} \S{1,300}(?: \(.{1,500}\))?")
_AGES = re.compile(r"/dbt/(sources|freshness)/")
_PERIODS = {"minute": 60, "hour": 3600, "day": 86400}


class _Metadata(BaseModel):
    schema_version: str = ""
    dbt_version: str | None = None
    generated_at: Any = None
    invocation_id: str | None = None
    invocation_started_at: Any = None
    env: dict[str, Any] | None = None


class Result(BaseModel):
    """One node's outcome; of a source its freshness."""

    unique_id: Name
    status: str
    message: Any = None
    error: Any = None
    failures: Any = None
    timing: list[dict[str, Any]] | None = None
    compiled_code: Any = None
    compiled_sql: Any = None
    relation_name: Any = None
    adapter_response: dict[str, Any] | None = None
    max_loaded_at: Any = None
    snapshotted_at: Any = None
    max_loaded_at_time_ago_in_s: Any = None
    criteria: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """`model`, `test`, `source` …: the first part of the id."""
        return self.unique_id.partition(".")[0]

    @property
    def parts(self) -> list[str]:
        """The id's parts after the kind: project, then names."""
        return self.unique_id.split(".")[1:]

    @property
    def verdict(self) -> str:
        return self.status.strip().lower()

    @property
    def tells_age(self) -> bool:
        """A source's freshness, since dbt 2 also a model's."""
        return self.kind == "source" or self.criteria is not None or self.max_loaded_at is not None

    @property
    def sql(self) -> str:
        found = self.compiled_code or self.compiled_sql
        return found if isinstance(found, str) else ""

    @property
    def dataset(self) -> str:
        """The table that a built node writes: `orders`, of a versioned model `orders_v2`, of a source `raw.orders`."""
        return ("." if self.kind == "source" else "_").join(self.parts[1:]) or self.unique_id


class _Artifact(BaseModel):
    metadata: dict[str, Any]
    results: list[dict[str, Any]]
    args: dict[str, Any] | None = None
    elapsed_time: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The invocation whose results are read."""

    report: Report
    job: Subject
    dataset: str
    """That the wrapper names, for tests whose table nothing else tells."""
    known: frozenset[str]
    """Names of the tables that stand in the same file."""
    ages: bool
    """The file tells how fresh its nodes are, not how they were built."""
    at: datetime | None


def read_artifact(
    body: dict[str, Any], envelope: Envelope, message: Message, hook: Hook, *, job: str = ""
) -> Normalized:
    """An alert for each test, built model and source that passed or failed, and the run as a change when it wrote.
    Raises BadPayload when the body is no run_results.json or sources.json, or a result has no id or a new status."""
    if not isinstance(body.get("results"), list):
        found = kind_of(body["results"]) if "results" in body else "nothing"
        raise BadPayload(f"expected the results of run_results.json or sources.json, found {found}", path="results")
    artifact = shaped(_Artifact, body)
    told = artifact.metadata
    metadata = shaped(_Metadata, told | {"schema_version": text(told.get("dbt_schema_version"))})
    args = artifact.args or {}
    command = (text(args.get("which"), 40) or text(args.get("command"), 40)).lower()
    if command in QUIET_COMMANDS:
        return Normalized(ignored=f"results of dbt {command}: the project was read, nothing ran")
    results = [_result(entry, n) for n, entry in enumerate(artifact.results[:MAX_RESULTS])]
    labels = _labels(metadata, command, results) | dict(envelope.identity)
    run = _Run(
        report=Report(source="dbt", message=message, hook=hook, environment=envelope.environment, labels=labels),
        job=Subject.of("job", job.strip() or hook.defaults.get("job", "").strip() or _project(results)),
        dataset=envelope.dataset,
        known=frozenset(name for each in results if each.kind in BUILT | {"source"} for name in each.parts[1:]),
        at=envelope.at or time_at(metadata.generated_at, "metadata.generated_at"),
        ages=bool(_AGES.search(metadata.schema_version)),
    )
    alerts = worst_first(alert for n, each in enumerate(results) if (alert := _alert(each, run, n)))
    change = _change(results, metadata, run)
    if not alerts and change is None:
        return Normalized(ignored="no result passed or failed: skipped, no-op or compiled only")
    return Normalized(alerts=alerts, changes=(change,) if change else ())


def _result(entry: dict[str, Any], n: int) -> Result:
    try:
        result = shaped(Result, entry)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"results.{n}.{error.path}") from None
    if result.verdict not in PASSED | FAILED | WARNED | QUIET:
        raise BadPayload(f"{result.status[:40]!r} is no status of dbt that we know", path=f"results.{n}.status")
    return result


def _labels(metadata: _Metadata, command: str, results: list[Result]) -> dict[str, object]:
    env = metadata.env or {}
    return {
        "project": _project(results),
        "dbt_version": metadata.dbt_version,
        "command": command,
        "invocation_id": metadata.invocation_id,
        "job_id": env.get("DBT_CLOUD_JOB_ID"),
        "run_id": env.get("DBT_CLOUD_RUN_ID"),
    }


def _project(results: Iterable[Result]) -> str:
    """The project that most nodes belong to: tests of packages stand beside one's own."""
    counted = Counter(result.parts[0] for result in results if result.parts and result.parts[0])
    return max(counted, key=lambda name: counted[name]) if counted else "dbt"


def _alert(result: Result, run: _Run, n: int) -> Alert | None:
    if result.verdict in QUIET:
        return None
    if result.tells_age or run.ages:
        return _freshness_alert(result, run, n)
    at = _ended(result, n) or run.at
    if result.kind not in TESTS:
        return _build_alert(result, run, at)
    compiled_only = result.verdict == "success"
    return None if compiled_only else _test_alert(result, run, at)


def _ended(result: Result, n: int) -> datetime | None:
    """When it was done: the latest of its phases."""
    phases = [phase.get("completed_at") for phase in result.timing or ()]
    return max((at for phase in phases if (at := time_at(phase, f"results.{n}.timing.completed_at"))), default=None)


def _words(message: object) -> str:
    """What dbt says of a result: its first line, and below `Runtime Error in model orders (models/orders.sql)`, which
    only says where, the line that says what."""
    first = first_line(message)
    heading = _HEADING.fullmatch(first)
    if not heading or not isinstance(message, str):
        return first
    what = first_line(message.strip().partition("\n")[2])
    return f"{heading[1]}: {what}"[:300] if what else first


def _test_alert(result: Result, run: _Run, at: datetime | None) -> Alert:
    test = tested(result.kind, result.parts[1:], result.sql, run.known)
    dataset = test.dataset or run.dataset
    firing = result.verdict not in PASSED
    failures = number(result.failures)
    if failures is None and not isinstance(result.message, str):
        failures = number(result.message)  # version 1 counted there
    where = f"{test.column} of {dataset}" if test.column and dataset else dataset or run.job.name
    broke = result.verdict not in PASSED | WARNED | {"fail"}
    why = "could not be evaluated" if broke else "failed" if firing else "passed"
    said = _words(result.message)
    return run.report.alert(
        name=test.name,
        subject=Subject.of("dataset", dataset) if dataset else run.job,
        symptom=check_symptom(test.kind, test.name),
        severity=Severity.WARNING if result.verdict in WARNED else Severity.ERROR,
        firing=firing,
        summary=f"{where}: {test.kind} {why}" + (f" ({said})" if firing and said else ""),
        at=at,
        resource=test.column,
        metric=test.kind,
        observed=failures,
        threshold=dbt_counts(said)[1],
        sender_key=result.unique_id,
        expires_after=None if dataset else UNPLACED_EXPIRES_AFTER,
        labels={"test": test.name, "column": test.column, "relation": test.relation, "observed_as": "failing rows"},
    )


def _build_alert(result: Result, run: _Run, at: datetime | None) -> Alert:
    firing = result.verdict not in PASSED
    writes = result.kind in BUILT
    said = _words(result.message)
    contract = isinstance(result.message, str) and "enforced contract" in result.message[:2000]
    return run.report.alert(
        name="BuildFailed" if writes else "OperationFailed",
        subject=Subject.of("dataset", result.dataset) if writes else run.job,
        symptom=Symptom.SCHEMA if contract else Symptom.ERRORS,
        severity=Severity.WARNING if result.verdict in WARNED else Severity.ERROR,
        firing=firing,
        summary=f"{result.kind} {result.dataset} " + (f"failed: {said}" if firing else "was built"),
        at=at,
        resource="" if writes else result.dataset,
        sender_key=result.unique_id,
        labels={"resource_type": result.kind, "relation": text(result.relation_name, 300)},
    )


def _freshness_alert(result: Result, run: _Run, n: int) -> Alert:
    criteria = result.criteria or {}
    firing = result.verdict not in PASSED
    age = number(result.max_loaded_at_time_ago_in_s)
    limit = _seconds(criteria.get("warn_after" if result.verdict in WARNED else "error_after"))
    limit = limit if limit is not None else _seconds(criteria.get("warn_after"))
    broke = result.verdict == "runtime error" or (result.verdict == "error" and age is None)
    bound = f", limit {limit / 3600:g} h" if limit is not None else ""
    told = f"rows are {age / 3600:.1f} h old{bound}" if age is not None else f"rows are of unknown age{bound}"
    if broke:
        told = f"its freshness could not be read ({first_line(result.error or result.message) or 'no reason given'})"
    return run.report.alert(
        name="SourceFreshness",
        subject=Subject.of("dataset", result.dataset),
        symptom=Symptom.FRESHNESS,
        severity=Severity.WARNING if result.verdict in WARNED else Severity.ERROR,
        firing=firing,
        summary=f"{result.dataset}: {told}",
        at=time_at(result.snapshotted_at, f"results.{n}.snapshotted_at") or run.at,
        metric="max_loaded_at_time_ago_in_s",
        observed=age,
        threshold=limit,
        sender_key=result.unique_id,
        labels={"max_loaded_at": text(result.max_loaded_at, 64)},
    )


def _seconds(limit: object) -> float | None:
    """`{"count": 12, "period": "hour"}` in seconds; None when the limit is not set."""
    if not isinstance(limit, dict):
        return None
    count, period = number(limit.get("count")), _PERIODS.get(text(limit.get("period")))
    return count * period if count is not None and period else None


def _change(results: list[Result], metadata: _Metadata, run: _Run) -> Change | None:
    """The run, when it wrote anything or tried to; a run of tests alone changes nothing."""
    ran = (result for result in results if result.verdict not in QUIET and not result.tells_age)
    tried = [result for result in ran if result.kind in BUILT | {"operation"}]
    if not tried or run.ages:
        return None
    counts = Counter(result.verdict for result in results)
    command = run.report.labels.get("command") or "run"
    which = metadata.invocation_id or (run.at.isoformat() if run.at else str(run.report.message.id))
    return run.report.change(
        id=f"dbt:{which}",
        subject=run.job,
        summary=f"dbt {command} of {run.job.name}: "
        + ", ".join(f"{count} {status}" for status, count in sorted(counts.items())),
        outcome=ChangeOutcome.FAILURE if FAILED & counts.keys() else ChangeOutcome.SUCCESS,
        began=time_at(metadata.invocation_started_at, "metadata.invocation_started_at") or _began(results),
        ended=run.at,
        version=text((metadata.env or {}).get("DBT_CLOUD_GIT_SHA"), 64),
        touches=(Subject.of("dataset", r.dataset) for r in tried if r.kind in BUILT and r.verdict in PASSED),
    )


def _began(results: list[Result]) -> datetime | None:
    started = (
        time_at(phase.get("started_at"), f"results.{n}.timing.started_at")
        for n, result in enumerate(results)
        for phase in result.timing or ()
    )
    return min((at for at in started if at), default=None)
