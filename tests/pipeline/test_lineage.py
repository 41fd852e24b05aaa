"""Nobody wrote down what rests on what: pipeline runs told it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.world import MAPPINGS, World
from tocsin.decide.lineage import FORGOTTEN_AFTER, hour_of
from tocsin.domain.subject import Subject
from tocsin.store import experience, lineage

BARE = MAPPINGS | {
    "teams.yaml": """
        teams:
          platform: {title: Platform, owns: ["service:*"], destinations: {out: {}}}
          data: {title: Data Engineering, owns: ["job:*"], destinations: {out: {}}}
          ml: {title: ML, owns: ["model:*"], destinations: {out: {}}}
        datasets:
          mart.orders: {}
        models:
          churn: {version: "4.2"}
        """,
    "policies.yaml": MAPPINGS["policies.yaml"].replace(
        "hooks:",
        """hooks:
          ol: {source: openlineage, environment: production, unverified: true}
          ci: {source: native_change, environment: production, unverified: true}""",
    ),
}


class Pipelines(World):
    """A world whose clock began at a full hour, three of them ago: what runs told in it counts by now."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory, BARE)
        self.start = hour_of(datetime.now(UTC)) - timedelta(hours=3)

    def run(
        self, job: str, *, minutes: float, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (),
        state: str = "COMPLETE", run: str = "",
    ) -> None:  # fmt: skip
        """An OpenLineage run event."""
        event: dict[str, Any] = {
            "eventType": state,
            "eventTime": self.at(minutes).isoformat(),
            "run": {"runId": run or f"{job}-{minutes}"},
            "job": {"namespace": "airflow", "name": job},
            "inputs": [{"namespace": "warehouse", "name": name} for name in reads],
            "outputs": [{"namespace": "warehouse", "name": name} for name in writes],
            "producer": "https://github.com/apache/airflow",
        }
        self.post("ol", event, minutes=minutes)

    def told(self) -> list[tuple[str, str]]:
        """The edges in the database, (upstream, downstream)."""
        found = self.sql("SELECT DISTINCT upstream, downstream FROM lineage ORDER BY 1, 2")
        return [(row["upstream"], row["downstream"]) for row in found]

    def learned_at(self, minutes: float) -> dict[str, tuple[str, ...]]:
        """What is learned as an alert sees it that comes then."""
        found = self.app.lineage.of("production", self.app.active().mappings.catalog, self.at(minutes)).learned
        return {str(below): tuple(map(str, above)) for below, above in found.items()}


@pytest.fixture
def pipelines(database: str, tmp_path: Path) -> Any:
    made = Pipelines(database, tmp_path)
    yield made
    made.close()


def three_runs(world: Pipelines, minutes: float = 5) -> None:
    """raw.orders → load → staging.orders → build → mart.orders → score"""
    world.run("load", minutes=minutes, reads=("raw.orders",), writes=("staging.orders",))
    world.run("build", minutes=minutes + 1, reads=("staging.orders",), writes=("mart.orders",))
    world.run("score", minutes=minutes + 2, reads=("mart.orders",))


LEARNED = {
    "job:load": ("dataset:raw.orders",),
    "dataset:staging.orders": ("job:load",),
    "job:build": ("dataset:staging.orders",),
    "dataset:mart.orders": ("job:build",),
    "job:score": ("dataset:mart.orders",),
}


def test_a_stale_dataset_names_the_failed_upstream_job_with_the_path(pipelines: Pipelines) -> None:
    """Yesterday's runs told who reads what; today the first of them failed, and the others did not come."""
    three_runs(pipelines, minutes=5 - 1440)
    failed = {"kind": "pipelinerun.finished", "subject": "job:load", "outcome": "failure"}
    pipelines.post("ci", failed, minutes=65)
    pipelines.alert("Stale", minutes=170, dataset="mart.orders", symptom="freshness")
    pipelines.settle()
    [incident] = pipelines.sql(
        "SELECT i.attribution->'suspects'->0 AS suspect, i.attribution->>'lineage_at' AS lineage_at, i.enrichment,"
        " i.routing FROM incidents i JOIN alerts a ON a.incident_id = i.id WHERE a.state->'alert'->>'name' = 'Stale'"
    )
    suspect = incident["suspect"]
    assert (suspect["change"]["subject"], suspect["change"]["outcome"]) == ("job:load", "failure")
    assert suspect["path"] == ["job:load", "dataset:staging.orders", "job:build", "dataset:mart.orders"]
    assert suspect["probability"] > 0.5
    assert "that dataset:staging.orders rests on job:load was learned from runs" in " ".join(suspect["because"])
    assert datetime.fromisoformat(incident["lineage_at"]) == pipelines.at(120)


def test_the_job_s_own_alert_and_the_stale_dataset_are_one_ticket_for_the_job_s_team(pipelines: Pipelines) -> None:
    three_runs(pipelines)
    pipelines.run("load", minutes=65, state="FAIL")
    pipelines.alert("Stale", minutes=70, dataset="mart.orders", symptom="freshness")
    pipelines.settle()
    [incident] = pipelines.sql("SELECT enrichment, routing FROM incidents")
    assert incident["enrichment"]["head"] == "job:load"
    assert [item["subject"] for item in incident["enrichment"]["blast"]] == [
        *("dataset:staging.orders", "job:build", "dataset:mart.orders", "job:score"),
    ]
    assert incident["routing"]["ownership"]["team"] == "data"


def test_a_resent_event_changes_nothing(pipelines: Pipelines) -> None:
    three_runs(pipelines)
    pipelines.settle()
    before = pipelines.sql("SELECT *, xmin::text FROM lineage ORDER BY upstream, downstream")
    three_runs(pipelines, minutes=20)
    three_runs(pipelines, minutes=20)
    pipelines.settle()
    assert pipelines.sql("SELECT *, xmin::text FROM lineage ORDER BY upstream, downstream") == before, "none rewritten"
    assert pipelines.learned_at(61) == LEARNED


def test_runs_count_from_the_next_full_hour_and_in_their_environment_only(pipelines: Pipelines) -> None:
    three_runs(pipelines, minutes=57)
    pipelines.settle()
    assert pipelines.learned_at(59) == {}
    assert pipelines.learned_at(60) == LEARNED
    staging = pipelines.app.lineage.of("staging", pipelines.app.active().mappings.catalog, pipelines.at(60))
    assert not staging.learned


def test_an_hour_is_asked_for_again_until_all_that_came_before_it_is_read(pipelines: Pipelines) -> None:
    three_runs(pipelines)
    assert pipelines.learned_at(60) == {}, "the messages wait to be understood"
    pipelines.settle()
    assert pipelines.learned_at(60) == LEARNED
    catalog = pipelines.app.active().mappings.catalog
    seen = [pipelines.app.lineage.of("production", catalog, pipelines.at(minutes)) for minutes in (60, 90, 125)]
    assert seen[0] is seen[1] is seen[2], "one object while nothing changes, so that its tables are made once"


def test_a_batch_that_crosses_the_hour_is_decided_as_two_would_be(pipelines: Pipelines) -> None:
    """An alert of this hour does not see what was told in it, one of the next does; in one batch or alone."""

    def decided(together: bool) -> list[Any]:
        pipelines.do(
            "TRUNCATE messages, inbox, signals, alerts, incidents, changes, lineage, occurrences, records CASCADE"
        )
        pipelines.app.__dict__.pop("lineage", None)
        steps = [
            lambda: three_runs(pipelines, minutes=2),
            lambda: pipelines.alert("Stale", minutes=50, dataset="raw.orders"),
            lambda: pipelines.alert("Old", minutes=55, dataset="staging.orders"),
            lambda: pipelines.alert("Late", minutes=61, dataset="mart.orders"),
        ]
        for step in steps:
            step()
            if not together:
                pipelines.settle()
        pipelines.settle()
        found = pipelines.sql(
            "SELECT array_agg(a.state->'alert'->>'name' ORDER BY a.state->'alert'->>'name') AS names,"
            " i.attribution->'suspects' AS suspects, i.enrichment->>'head' AS head FROM incidents i"
            " JOIN alerts a ON a.incident_id = i.id GROUP BY i.id, i.attribution, i.enrichment ORDER BY names"
        )
        return [(row["names"], row["head"], row["suspects"]) for row in found]

    apart = decided(together=False)
    assert [names for names, _, _ in apart] == [["Late", "Old"], ["Stale"]]
    assert decided(together=True) == apart


def test_whoever_understands_which_message_first_leaves_the_same_rows(pipelines: Pipelines) -> None:
    """Runs of two days, read in either order: the same first telling of each day."""
    said = [
        (minutes, job) for minutes, job in ((-1500, "load"), (-1440, "load"), (5, "load"), (3, "load"), (4, "build"))
    ]
    kept = []
    for order in (said, said[::-1]):
        pipelines.do("TRUNCATE lineage, messages, inbox")
        for minutes, job in order:
            pipelines.run(job, minutes=minutes, reads=("raw.orders",))
            pipelines.settle()
        kept.append(pipelines.sql("SELECT * FROM lineage ORDER BY upstream, downstream, since"))
    assert kept[0] == kept[1]
    assert len(kept[0]) == 3


def test_what_is_not_told_again_is_forgotten_and_can_be_learned_anew(pipelines: Pipelines) -> None:
    month = FORGOTTEN_AFTER / timedelta(minutes=1)
    three_runs(pipelines, minutes=5 - month)
    pipelines.run("load", minutes=20 - month + 1440, reads=("raw.orders",))
    pipelines.settle()
    assert pipelines.learned_at(-1) == LEARNED
    assert pipelines.learned_at(60) == {"job:load": ("dataset:raw.orders",)}, "told a day later, it lasts a day longer"
    assert pipelines.learned_at(60 + 1440) == {}
    assert pipelines.learned_at(61 - month) == LEARNED, "what an hour of the past knew can be asked for again"
    three_runs(pipelines)
    pipelines.settle()
    assert pipelines.learned_at(61 + 2880) == LEARNED


def test_of_more_edges_than_can_be_kept_those_told_most_often_stay(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "MOST_EDGES", 5)
    three_runs(pipelines, minutes=5 - 1440)
    three_runs(pipelines, minutes=5)
    for n in range(10):
        pipelines.run("daily", minutes=30 + n, writes=(f"part-{n}",))
    pipelines.settle()
    assert pipelines.learned_at(60) == LEARNED
    monkeypatch.setattr(lineage, "MOST_ROWS", 7)
    with pipelines.app.database.transaction() as connection:
        lineage.forget(connection, pipelines.app.active().mappings.policy.retention)
    assert len(pipelines.sql("SELECT FROM lineage")) == 7


def test_a_job_that_reads_what_it_writes_goes_in_no_circle(pipelines: Pipelines) -> None:
    pipelines.run("merge", minutes=3, state="START", reads=("mart.orders",), run="r1")
    pipelines.run("merge", minutes=5, reads=("new",), writes=("mart.orders",), run="r1")
    pipelines.run("loop", minutes=6, reads=("mart.orders",), writes=("new",))
    pipelines.run("merge", minutes=62, state="FAIL")
    pipelines.alert("Stale", minutes=65, dataset="mart.orders", symptom="freshness")
    pipelines.settle()
    assert pipelines.learned_at(60)["dataset:mart.orders"] == ("job:merge",)
    assert pipelines.learned_at(60)["job:merge"] == ("dataset:new",)
    [incident] = pipelines.sql("SELECT attribution->'suspects'->0->'change'->>'subject' AS cause FROM incidents")
    assert incident["cause"] == "job:merge"


def test_a_reset_forgets_from_the_next_full_hour_and_the_past_stays_as_it_was(pipelines: Pipelines) -> None:
    three_runs(pipelines)
    pipelines.settle()
    experience.reset(pipelines.app.database, actor="kim")
    pipelines.do(f"UPDATE installation SET learn_since = '{pipelines.at(70).isoformat()}'")
    assert pipelines.learned_at(115) == LEARNED, "as the hour began it was known"
    assert pipelines.learned_at(121) == {}
    pipelines.run("load", minutes=75, reads=("raw.orders",))
    pipelines.settle()
    pipelines.app.__dict__.pop("lineage")
    assert pipelines.learned_at(121) == {"job:load": ("dataset:raw.orders",)}
    assert pipelines.learned_at(115) == LEARNED


def test_batches_without_runs_ask_for_nothing(pipelines: Pipelines) -> None:
    with pipelines.app.database.transaction() as connection:
        lineage.keep(connection, ())
    pipelines.deploy("checkout", minutes=1)
    pipelines.settle()
    assert pipelines.told() == []
    catalog = pipelines.app.active().mappings.catalog
    assert pipelines.app.lineage.of("production", catalog, pipelines.at(61)) is catalog
    assert Subject("job:load") not in catalog.learned

