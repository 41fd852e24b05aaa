"""The lineage world: nothing of the truth is visible, and its ceiling answers every case."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.attribution.lineage import answers, macro_difference
from benchmarks.attribution.lineage_ceiling import LineageCeiling
from benchmarks.attribution.lineage_product import LineageTold, Telling
from benchmarks.attribution.lineage_runs import Event, log_ratio
from benchmarks.attribution.lineage_world import LINEAGE_KINDS, LineageWorld
from benchmarks.attribution.measure import Tally
from benchmarks.attribution.product import moment

from tocsin.decide.experience import COLD
from tocsin.domain.change import ChangeOutcome


@pytest.fixture(scope="module")
def world() -> LineageWorld:
    return LineageWorld(seed=1)


def test_mappings_know_a_part_of_the_lineage_and_runs_tell_more(world: LineageWorld) -> None:
    lineage = [at for at, node in enumerate(world.nodes) if node.kind in ("job", "dataset", "feature")]
    true, mapped, seen = (
        sum(len(of[at]) for at in lineage) for of in (world.needs, world.mapped_needs, world.seen_needs)
    )
    assert 0.4 < mapped / true < 0.8
    assert mapped < seen < true


def test_a_case_shows_nothing_later_than_its_decision_and_its_cause_came_before_the_first_alert(
    world: LineageWorld,
) -> None:
    for case in world.cases:
        at = {change.id: change.at for change in case.changes}
        assert max(at.values(), default=0) <= case.decide_at
        assert max(alert.at for alert in case.alerts) <= case.decide_at
        if case.cause in at:
            assert at[case.cause] < min(alert.at for alert in case.alerts)


def test_every_kind_of_lineage_breaks_something(world: LineageWorld) -> None:
    kinds = [case.cause_kind for case in world.cases]
    assert all(kinds.count(kind) >= 10 for kind in LINEAGE_KINDS)
    assert 0.2 < kinds.count("") / len(kinds) < 0.45


def test_a_run_that_has_not_ended_tells_no_facts(world: LineageWorld) -> None:
    told = LineageTold(world, Telling())
    case = world.cases[-1]
    for event, change in zip(case.changes, told.changes(case), strict=True):
        if isinstance(event, Event) and event.kind == "pipeline" and event.ended > case.decide_at:
            assert (change.outcome, change.finished_at, dict(change.labels)) == (ChangeOutcome.RUNNING, None, {})


def test_without_facts_no_run_tells_rows_columns_or_its_end(world: LineageWorld) -> None:
    told = LineageTold(world, Telling(facts=False))
    changes = told.changes(world.cases[-1])
    assert all(not change.labels and change.finished_at is None and not change.version for change in changes)
    assert any(change.touches for change in changes)


def test_a_retried_attempt_is_never_a_cause_and_a_failed_run_likelier_one(world: LineageWorld) -> None:
    runs = [event for event in world.changes if event.kind == "pipeline"]
    retried = next(run for run in runs if run.retried)
    failed = next(run for run in runs if run.failed and not run.retried)
    assert log_ratio(world.jobs[retried.node], retried) == -np.inf
    assert log_ratio(world.jobs[failed.node], failed) > 1


def test_ceiling_and_product_answer_with_probabilities(world: LineageWorld) -> None:
    ceiling, told = LineageCeiling(world), LineageTold(world, Telling())
    for case in world.cases[-5:]:
        p, no_change = ceiling.probabilities(case)
        assert p.sum() + no_change == pytest.approx(1)
        assert moment(case.decide_at) > moment(0)
        assert all(0 <= first <= 1 and 0 <= none <= 1 for _, first, none in answers(case, told, COLD).values())


def test_the_same_answers_differ_by_nothing() -> None:
    tally = Tally()
    for kind in (*LINEAGE_KINDS, ""):
        tally.add(kind, 0, 0.9, 0.1)
    assert macro_difference(tally, tally) == (0.0, 0.0, 0.0)
