"""Nobody wrote down what rests on what: pipeline runs told it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.runs import Pipelines, three_runs
from tocsin.decide.lineage import FORGOTTEN_AFTER
from tocsin.domain.subject import Subject
from tocsin.store import experience, lineage


@pytest.fixture
def pipelines(database: str, tmp_path: Path) -> Any:
    made = Pipelines(database, tmp_path)
    yield made
    made.close()


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
        steps: list[Callable[[], None]] = [
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
        pipelines.do("UPDATE incidents SET attribute_due_at = now(), attribute_round = 0")
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
    day = -(pipelines.start - pipelines.start.replace(hour=0)) / timedelta(minutes=1)
    said = [(day - 700, "load"), (day - 640, "load"), (day + 5, "load"), (day + 3, "load"), (day + 4, "build")]
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
