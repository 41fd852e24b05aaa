"""When trouble began, where the first to tell is a check that looks at hours."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.decide import tickets
from tests.decide.builders import alert, at, catalog, change, incident, state
from tests.decide.tickets import REDACTOR, Case, blame, firing
from tocsin.decide import deduplicate
from tocsin.decide.attribute import attribute
from tocsin.decide.evidence import evidence_text
from tocsin.decide.experience import Confirmed, Learner, Lesson, learned
from tocsin.decide.lags import EDGES, KINDS, bins_within, densities, within
from tocsin.decide.timeline import timeline
from tocsin.domain.alert import AlertState, Severity, Symptom
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import Attribution, Suspect
from tocsin.domain.policy import Flapping
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject

LINEAGE = catalog(
    {
        "model:churn": ["feature:age_days"],
        "feature:age_days": ["job:ingest"],
        "job:ingest": ["dataset:orders"],
        "service:checkout": [],
    }
)
SCHEMA, RUN = ChangeKind.DATASET_SCHEMA_CHANGED, ChangeKind.PIPELINERUN_FINISHED
EARLY = change("early", "dataset:orders", -300, SCHEMA)
INSIDE = change("inside", "job:ingest", -120, RUN)
JUST_BEFORE = change("just-before", "job:ingest", -1, RUN)


def drifted(hours: float, *, started: float = 0, subject: str = "model:churn") -> AlertState:
    """A drift alert whose check had looked at so many hours."""
    return state(
        subject, started=started, name="drift", symptom=Symptom.PREDICTION_DRIFT,
        window_starts_at=at(started - 60 * hours),
    )  # fmt: skip


def scored(*changes: Change, members: tuple[AlertState, ...], **given: Any) -> Attribution:
    return attribute(incident(*members), changes, LINEAGE, now=at(15), **given)


def found(answer: Attribution, id: str) -> Suspect:
    return next(suspect for suspect in answer.suspects if suspect.change.id == id)


def test_trouble_began_somewhere_in_what_the_check_looked_at() -> None:
    answer = scored(EARLY, members=(drifted(6),))
    assert (answer.onset_after, answer.onset_at) == (at(-360), at(0))
    assert "Trouble began between 2031-02-03 06:00:00Z and 2031-02-03 12:00:00Z, the window of the check" in (
        evidence_text(answer, "TOC-1")
    )
    assert (
        found(answer, "early")
        .because[0]
        .startswith("changed within the 6 h that the check had looked at, 5 h before it alerted;")
    )
    before = scored(change("before", "dataset:orders", -480, SCHEMA), members=(drifted(6),))
    assert (
        before.suspects[0]
        .because[0]
        .startswith("changed 2 h before the 6 h that the check had looked at when it alerted;")
    )


def test_who_changed_just_before_the_alert_gains_nothing_by_it() -> None:
    unaware = scored(EARLY, INSIDE, JUST_BEFORE, members=(state("model:churn"),))
    aware = scored(EARLY, INSIDE, JUST_BEFORE, members=(drifted(6),))
    assert found(aware, "just-before").probability < 0.2 * found(unaware, "just-before").probability
    assert found(aware, "early").probability > found(unaware, "early").probability
    assert found(aware, "inside").probability > found(aware, "just-before").probability


def test_lags_are_averaged_over_the_window() -> None:
    answer = scored(EARLY, members=(drifted(6),))
    onsets = np.linspace(-300, 0, 200_001)  # none before the change
    dense = densities(np.full(len(onsets), KINDS.index(SCHEMA)), onsets + 300, {})
    mean = dense.mean() * 300 / 360
    exact = scored(EARLY, members=(state("model:churn"),))
    at_alert = densities(np.array([KINDS.index(SCHEMA)]), np.array([300.0]), {})[0]
    moved = found(answer, "early").terms["lag"] - found(exact, "early").terms["lag"]
    assert moved == pytest.approx(np.log(mean / at_alert), abs=2e-3)


@pytest.mark.parametrize(
    "sharper",
    [
        (drifted(6), state("service:checkout", started=-10)),
        (drifted(6), state("service:checkout", started=4)),
    ],
)
def test_an_alert_of_its_own_moment_tells_the_beginning_better(sharper: tuple[AlertState, ...]) -> None:
    assert scored(EARLY, members=sharper).onset_after is None


def test_what_alerts_much_later_tells_nothing_of_the_beginning() -> None:
    assert scored(EARLY, members=(drifted(6), state("service:checkout", started=12))).onset_after == at(-360)


def test_the_tightest_of_several_windows_counts() -> None:
    members = (drifted(24), drifted(1, started=2, subject="feature:age_days"))
    assert scored(EARLY, members=members).onset_after == at(-58)


def test_a_clear_step_tells_the_beginning_better() -> None:
    chance = random.Random(5)
    points = tuple((at(m), (4.0 if m >= -100 else 0.2) + chance.gauss(0, 0.05)) for m in range(-360, 1, 4))
    answer = scored(
        EARLY, members=(drifted(6),), series=[Series(subject=Subject("model:churn"), metric="psi", points=points)]
    )
    assert (answer.onset_after, answer.onset_at) == (None, at(-100))


def test_a_window_of_more_than_three_days_dates_nothing() -> None:
    assert scored(EARLY, members=(drifted(100),)).onset_after is None


def test_the_digest_covers_the_window() -> None:
    digests = {scored(EARLY, members=(drifted(hours),)).digest for hours in (3, 6)}
    digests.add(scored(EARLY, members=(state("model:churn"),)).digest)
    assert len(digests) == 3


def test_a_worse_report_of_the_same_episode_keeps_its_window() -> None:
    first = alert("model:churn", starts_at=at(0), window_starts_at=at(-360))
    known, _ = deduplicate.merge(None, first, Flapping(), now=at(0))
    worse = replace(first, severity=Severity.CRITICAL, starts_at=at(360), window_starts_at=at(0))
    known, _ = deduplicate.merge(known, worse, Flapping(), now=at(360))
    assert (known.alert.severity, known.alert.window_starts_at) == (Severity.CRITICAL, at(-360))


def test_the_share_of_lags_between_two_minutes_is_the_integral_of_their_density() -> None:
    kinds = np.array([KINDS.index(kind) for kind in (SCHEMA, RUN, RUN)])
    counts = {RUN: (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0, *[0.0] * 6)}
    low, high = np.array([0.0, 30.0, 200.0]), np.array([60.0, 90.0, 900.0])
    for kind, a, b, share in zip(kinds, low, high, within(kinds, low, high, counts), strict=True):
        minutes = np.linspace(a, b, 400_001)
        assert share == pytest.approx(
            densities(np.full(len(minutes), kind), minutes, counts).mean() * (b - a), rel=0.01
        )


def test_a_lag_that_is_known_to_hours_counts_in_part_for_each() -> None:
    shares = bins_within(SCHEMA, 0, 300)
    assert shares.sum() == pytest.approx(1)
    assert (shares[EDGES[:-1] >= 300] == 0).all()
    assert (shares[EDGES[:-1] < 256] > 0).all()
    assert bins_within(SCHEMA, 0, 0.2)[0] == 1


def test_history_and_cases_teach_the_same() -> None:
    members = (drifted(6),)
    learner = Learner()
    learner.take(Lesson(members=members, changes=[EARLY], catalog=LINEAGE, decided_at=at(15), told=True, cause="early"))
    heard = Confirmed(cause=EARLY, none=False, members=members, onset_at=at(0), onset_after=at(-360))
    live = learned([], [heard], LINEAGE, incidents=1, now=at(15))
    lags = learner.experience.kinds[SCHEMA].lags
    assert lags == live.kinds[SCHEMA].lags
    assert sum(lags) == pytest.approx(1)
    assert sum(share > 0.05 for share in lags) > 3


def test_ticket_and_picture_say_between_when_it_began() -> None:
    judged = blame("09:00", (replace(INSIDE, occurred_at=tickets.at("07:30")), 0.86), no_change=0.1)
    judged = replace(judged, onset_after=tickets.at("03:00"))
    member = firing("model:churn", "09:00", Symptom.PREDICTION_DRIFT)
    case = Case(members=(member,), catalog=LINEAGE, attribution=judged)
    body = case.wanted().body
    assert "Trouble began between 03:00 and 09:00, the window of the check" in body
    assert "(up to 1 h 30 m before)" in body
    picture = timeline(case.incident(), [], catalog=LINEAGE, redactor=REDACTOR)
    assert picture.began_words == "began 03:00–09:00"
    assert picture.began_after is not None
    assert picture.began_after < picture.causes[0].at < picture.began
    assert picture.causes[0].lag == "up to 1 h 30 m before"
