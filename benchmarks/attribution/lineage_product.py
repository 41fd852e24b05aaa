"""A case of the lineage world as the product sees it, with all that senders tell or with a part left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from benchmarks.attribution.lineage_runs import Event
from benchmarks.attribution.lineage_world import LineageWorld, Shown
from benchmarks.attribution.product import incident_of, moment
from benchmarks.attribution.world import Case, Fired
from tocsin.decide.experience import Lesson
from tocsin.decide.lineage import taught, with_learned
from tocsin.domain.alert import Alert, AlertState, Severity, Status, Symptom
from tocsin.domain.catalog import Catalog, Entry
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Incident
from tocsin.domain.subject import Subject

KINDS = {
    "deploy": ChangeKind.SERVICE_DEPLOYED,
    "config": ChangeKind.ENVIRONMENT_MODIFIED,
    "flag": ChangeKind.FEATURE_FLAG_CHANGED,
    "pipeline": ChangeKind.PIPELINERUN_FINISHED,
    "schema": ChangeKind.DATASET_SCHEMA_CHANGED,
    "outage": ChangeKind.FEATURE_OUTAGE,
    "promotion": ChangeKind.MODEL_PROMOTED,
    "registered": ChangeKind.MODEL_REGISTERED,
}
SYMPTOMS = {
    "service": Symptom.ERRORS,
    "job": Symptom.AVAILABILITY,
    "dataset": Symptom.DATA_QUALITY,
    "feature": Symptom.FEATURE_DRIFT,
    "model": Symptom.PREDICTION_DRIFT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What senders tell beside kinds, subjects and times."""

    facts: bool = True
    """Ends, outcomes, rows and columns of runs; versions."""
    lineage: bool = True
    """What runs read and wrote."""
    windows: bool = True


class LineageTold:
    """One world's changes and alerts in the domain's words."""

    def __init__(self, world: LineageWorld, telling: Telling) -> None:
        self._world, self._telling = world, telling
        self._subjects = [Subject(node.subject) for node in world.nodes]
        self._change = cache(self._made)
        self.catalog = self._catalog()

    def _catalog(self) -> Catalog:
        """The mappings, and, where runs tell it, what was learned of lineage: by the 30th day every job has run."""
        world, names = self._world, self._subjects
        catalog = Catalog(
            entries={
                name: Entry(
                    subject=name,
                    depends_on=tuple(names[v] for v in world.mapped_needs[at]),
                    monitored=world.monitored[at],
                )
                for at, name in enumerate(names)
                if world.mapped[at]
            }
        )
        if not self._telling.lineage:
            return catalog
        runs = {change.node: change for change in world.changes if change.kind == "pipeline"}
        return with_learned(catalog, (edge for run in runs.values() for edge in taught(self._change(run, True))))

    def changes(self, case: Case) -> list[Change]:
        """The candidates as they stand when the case is decided: what still runs tells no end."""
        return [
            self._change(event, event.ended <= case.decide_at) for event in case.changes if isinstance(event, Event)
        ]

    def incident(self, case: Case) -> Incident:
        """The incident of a case."""
        return incident_of(tuple(self._state(alert) for alert in case.alerts))

    def lesson(self, case: Case) -> Lesson:
        """The case once it was judged, with what a person said of it."""
        return Lesson(
            members=self.incident(case).members,
            changes=self.changes(case),
            catalog=self.catalog,
            decided_at=moment(case.decide_at),
            told=case.told,
            cause=case.cause,
        )

    def _made(self, event: Event, ended: bool) -> Change:
        name = self._subjects[event.node]
        change = Change(
            id=event.id,
            hook="h",
            source="s",
            environment="production",
            kind=KINDS[event.kind],
            subject=name if event.known else Subject(f"{name.kind}:x{name.name}"),
            occurred_at=moment(event.at),
            received_at=moment(event.at),
            outcome=ChangeOutcome.SUCCESS,
        )
        if event.kind == "pipeline":
            return self._run(change, event, ended)
        if self._telling.facts:
            return replace(change, version=event.version, previous_version=event.previous)
        return change

    def _run(self, change: Change, event: Event, ended: bool) -> Change:
        job = self._world.jobs[event.node]
        if self._telling.lineage and job.tells_lineage:
            reads, writes = (tuple(self._subjects[v] for v in of) for of in (job.reads, job.writes))
            change = replace(change, reads=reads, touches=writes)
        if not self._telling.facts:
            return change
        if not ended:
            return replace(change, outcome=ChangeOutcome.RUNNING)
        counted = zip(job.writes, event.rows or (), strict=False)
        labels = {f"rowCount.{self._subjects[v].name}": str(rows) for v, rows in counted}
        if event.columns:
            labels[f"schema.{self._subjects[job.writes[0]].name}"] = event.columns
        outcome = ChangeOutcome.FAILURE if event.failed else ChangeOutcome.SUCCESS
        return replace(change, finished_at=moment(event.ended), outcome=outcome, labels=labels)

    def _state(self, fired: Fired) -> AlertState:
        name, at = self._subjects[fired.node], moment(fired.at)
        since, version = fired.looked_since, fired.version if isinstance(fired, Shown) else ""
        alert = Alert(
            hook="h",
            source="s",
            environment="production",
            name="drift" if isinstance(fired, Shown) and fired.by >= 0 else "bad",
            subject=name,
            symptom=SYMPTOMS[name.kind],
            severity=Severity.CRITICAL,
            status=Status.FIRING,
            summary="",
            received_at=at,
            starts_at=at,
            window_starts_at=moment(since) if self._telling.windows and since is not None else None,
            model_version=version if self._telling.facts else "",
        )
        return AlertState(
            alert=alert, status=Status.FIRING, episode=1, starts_at=at, last_report_at=at, last_received_at=at
        )
