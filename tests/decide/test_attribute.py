from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from math import log
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.experience import Experience, KindRecord
from tocsin.decide.lags import EDGES, bin_of, density, middle_half, seed_masses
from tocsin.decide.rules import nearest_change
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Attribution, Band
from tocsin.domain.subject import Subject

ORDERS = catalog(
    {
        "dataset:warehouse.orders": ["job:ingest-orders"],
        "feature:orders_7d": ["dataset:warehouse.orders"],
        "feature:avg_basket": ["dataset:warehouse.orders"],
        "model:churn": ["feature:orders_7d", "feature:avg_basket"],
        "model:demand": ["feature:orders_7d"],
        "service:churn-api": ["model:churn"],
        "service:shop": ["service:churn-api"],
        "service:billing": ["service:payments"],
        "service:payments": ["service:ledger"],
        "service:search": ["service:index"],
    }
)
STALE_ORDERS = incident(
    state("feature:orders_7d", name="stale"),
    state("feature:avg_basket", started=1, name="nulls"),
    state("model:churn", started=6, name="drift"),
    state("model:demand", started=8, name="drift"),
)
RUN = change(
    "run-8841",
    "job:ingest-orders",
    -14,
    ChangeKind.PIPELINERUN_FINISHED,
    touches=["dataset:warehouse.orders"],
    outcome=ChangeOutcome.SUCCESS,
)
INNOCENT = change("deploy-churn-api", "service:churn-api", -2)
UNRELATED = [
    change(f"other-{i}", subject, -minutes)
    for i, (subject, minutes) in enumerate(
        [
            ("service:billing", 5),
            ("service:payments", 3),
            ("service:search", 30),
            ("service:index", 9),
            ("service:shop", 60),
        ]
    )
]


def blamed(*changes: Change, minute: float = 10, **given: Any) -> Attribution:
    return attribute(STALE_ORDERS, changes, ORDERS, now=at(minute), **given)


@pytest.mark.parametrize("others", [[], UNRELATED])
def test_the_run_that_wrote_the_table_beats_the_nearer_innocent_deploy(others: list[Change]) -> None:
    found = blamed(RUN, INNOCENT, *others)
    first = found.suspects[0]
    assert first.change.id == "run-8841"
    assert first.probability >= 0.8
    assert first.band is Band.LIKELY
    assert nearest_change(STALE_ORDERS, [RUN, INNOCENT]) == INNOCENT


def test_a_schema_change_is_blamed_likewise() -> None:
    schema = change("schema-3", "dataset:warehouse.orders", -14, ChangeKind.DATASET_SCHEMA_CHANGED)
    first = blamed(schema, INNOCENT, *UNRELATED).suspects[0]
    assert (first.change.id, first.band) == ("schema-3", Band.LIKELY)


def test_the_evidence_is_said_in_words_with_its_numbers() -> None:
    first, second = blamed(RUN, INNOCENT).suspects
    assert first.because[0].startswith("changed 14 min before the first alert; half of such causes show between ")
    assert first.because[1].endswith("rest on dataset:warehouse.orders: 4 of 4 expected dependants alert")
    assert first.because[2] == "4% of such changes break something (between 0.2% and 11.7%)"
    assert (first.lag, first.expected, first.seen) == (timedelta(minutes=14), 4, 4)
    assert first.path == ("job:ingest-orders", "dataset:warehouse.orders", "feature:orders_7d")
    assert second.against[0].startswith(
        "it cannot explain feature:avg_basket, feature:orders_7d, model:churn and 1 more"
    )
    assert second.against[1] == "1 dependant is silent: service:shop"


def test_a_deploy_just_before_its_own_service_slows_down_is_likely() -> None:
    found = attribute(incident(state("service:shop")), [change("d", "service:shop", -5)], ORDERS, now=at(1))
    assert found.suspects[0].probability >= 0.8
    assert "service:shop itself alerts" in found.suspects[0].because


def test_with_nothing_plausible_no_change_is_the_largest() -> None:
    found = blamed(*UNRELATED)
    assert found.no_change > 0.9
    assert all(s.band is Band.UNLIKELY for s in found.suspects)


def test_without_changes_no_change_is_certain() -> None:
    found = blamed()
    assert (found.no_change, found.suspects, found.other, found.candidates) == (1.0, (), 0.0, 0)


def test_a_taught_scorer_answers_without_changes_too() -> None:
    taught = Experience(confirmed=40, places={Subject("job:ingest-orders"): (3.0, 40.0)})
    scored = attribute(STALE_ORDERS, [], ORDERS, now=at(9), experience=taught)
    assert (scored.suspects, scored.no_change) == ((), 1.0)


def test_a_change_after_the_alert_is_not_a_suspect() -> None:
    late = [change("late", "dataset:warehouse.orders", 6), change("future", "dataset:warehouse.orders", 3)]
    assert blamed(*late, minute=2).suspects == ()


def test_a_change_stamped_just_after_the_alert_never_wins_by_its_short_lag() -> None:
    just_after = change("z", "dataset:warehouse.orders", 0.5, ChangeKind.DATASET_SCHEMA_CHANGED)
    alone = blamed(just_after).suspects[0]
    assert alone.band is not Band.LIKELY
    assert alone.against[0] == "stamped 30 s after the first alert; it counts only if clocks disagree"
    assert blamed(just_after, RUN).suspects[0].change is RUN
    assert blamed(replace(just_after, occurred_at=at(3))).suspects[0].probability < 0.05


def test_a_change_older_than_the_window_is_no_candidate() -> None:
    assert blamed(change("old", "dataset:warehouse.orders", -73 * 60)).candidates == 0


def test_a_failed_run_is_likelier_than_one_that_succeeded() -> None:
    failed = blamed(replace(RUN, outcome=ChangeOutcome.FAILURE)).suspects[0]
    assert failed.probability > blamed(RUN).suspects[0].probability
    assert "the run failed" in failed.because


def test_a_rollback_is_riskier_than_a_deploy() -> None:
    shop = incident(state("service:shop"))
    plain, back = change("d", "service:shop", -50), change("d", "service:shop", -50, ChangeKind.SERVICE_ROLLEDBACK)
    undone = replace(plain, summary='Revert "faster basket"')
    p, q, r = (attribute(shop, [c], ORDERS, now=at(1)).suspects[0] for c in (plain, back, undone))
    assert p.probability < q.probability == r.probability
    assert (p.base_rate[1], q.base_rate[1]) == (0.04, 0.1)


def test_a_change_on_an_unknown_subject_may_have_acted_anywhere() -> None:
    stray = change("stray", "service:nobody-listed", -14)
    found = blamed(RUN, stray)
    assert [s.change.id for s in found.suspects] == ["run-8841", "stray"]
    assert "not in the catalogue" in found.suspects[1].against[0]


def test_a_fresh_installation_without_catalogue_still_blames_the_same_subject() -> None:
    own, other = change("own", "service:new", -9), change("other", "service:else", -3)
    found = attribute(incident(state("service:new")), [own, other], catalog({}), now=at(2))
    assert [s.change.id for s in found.suspects] == ["own", "other"]
    assert found.suspects[0].probability >= 0.8


def test_overlapping_changes_are_one_candidate() -> None:
    pair = [change("a", "service:shop", -6), change("b", "service:shop", -5)]
    found = attribute(incident(state("service:shop")), pair, ORDERS, now=at(1))
    assert len(found.suspects) == 1
    assert {found.suspects[0].change.id, *found.suspects[0].members} == {"a", "b"}
    assert any("judged as one with" in reason for reason in found.suspects[0].because)
    apart = [change("a", "service:shop", -9), change("b", "service:shop", -5)]
    assert len(attribute(incident(state("service:shop")), apart, ORDERS, now=at(1)).suspects) == 2


def test_the_run_speaks_for_the_table_that_it_altered() -> None:
    run = change("run-8841", "job:ingest-orders", -14, ChangeKind.PIPELINERUN_FINISHED, labels={"run_id": "r1"})
    altered = change(
        "altered", "dataset:warehouse.orders", -12, ChangeKind.DATASET_SCHEMA_CHANGED, labels={"run_id": "r1"}
    )
    found = attribute(STALE_ORDERS, [run, altered, INNOCENT], ORDERS, now=at(10))
    assert found.first is not None
    assert (found.first.change.id, found.first.members) == ("run-8841", ("altered",))


@pytest.mark.parametrize("promoted", [-1.0, -0.9, -0.3, -0.01])
def test_a_promotion_speaks_for_the_registrations_before_it(promoted: float) -> None:
    steps = [
        change("created", "model:churn", promoted - 0.4, ChangeKind.MODEL_REGISTERED),
        change("version:1", "model:churn", promoted - 0.2, ChangeKind.MODEL_REGISTERED),
        change("champion", "model:churn", promoted, ChangeKind.MODEL_PROMOTED),
    ]
    found = attribute(incident(state("model:churn")), steps, ORDERS, now=at(1))
    assert [(s.change.id, set(s.members)) for s in found.suspects] == [("champion", {"created", "version:1"})]


def test_what_is_only_made_ready_is_no_likely_cause() -> None:
    ready = [
        change("built", "service:shop", -20, ChangeKind.BUILD_FINISHED),
        change("pushed", "service:shop", -15, ChangeKind.ARTIFACT_PUBLISHED),
    ]
    live = change("deployed", "service:shop", -40)
    found = attribute(incident(state("service:shop")), [*ready, live], ORDERS, now=at(1))
    assert [s.change.id for s in found.suspects] == ["deployed", "pushed", "built"]


def test_of_equals_the_latest_speaks() -> None:
    pair = [change("a", "service:shop", -0.4), change("b", "service:shop", -0.2)]
    [found] = attribute(incident(state("service:shop")), pair, ORDERS, now=at(1)).suspects
    assert (found.change.id, found.members) == ("b", ("a",))


def test_the_terms_of_overlapping_changes_have_a_json_form() -> None:
    pair = [change(name, f"service:{name}", -6, labels={"commit": "c0ffee"}) for name in ("shop", "churn-api")]
    found = attribute(incident(state("service:shop")), pair, ORDERS, now=at(1))
    assert "overlap" in found.suspects[0].terms
    assert orjson.loads(orjson.dumps(found.suspects[0].terms)) == found.suspects[0].terms


def test_changes_of_one_commit_are_one_candidate() -> None:
    commit = [
        change("a", "service:shop", -40, labels={"commit": "c0ffee"}),
        change("b", "service:search", -5, labels={"commit": "c0ffee"}),
    ]
    first = attribute(incident(state("service:shop")), commit, ORDERS, now=at(1)).suspects[0]
    assert (first.change.id, first.members) == ("a", ("b",))


def test_the_terms_sum_to_the_shown_logit() -> None:
    for shown in blamed(RUN, INNOCENT, *UNRELATED).suspects:
        logit = log(shown.probability / (1 - shown.probability))
        assert sum(shown.terms.values()) == pytest.approx(logit, abs=1e-4)


def test_at_most_five_are_shown_and_the_rest_is_summed() -> None:
    found = blamed(RUN, INNOCENT, *UNRELATED)
    assert (len(found.suspects), found.candidates) == (5, 7)
    assert found.other > 0


SUBJECTS = [*sorted(ORDERS.entries), Subject("service:nobody-listed")]
CHANGES = st.lists(
    st.builds(
        lambda subject, minutes, kind, touches, commit: (subject, minutes, kind, touches, commit),
        st.sampled_from(SUBJECTS),
        st.floats(-5000, 8),
        st.sampled_from(list(ChangeKind)),
        st.lists(st.sampled_from(SUBJECTS), max_size=2),
        st.sampled_from(["", "", "", "c0ffee"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(CHANGES, st.randoms(use_true_random=False))
def test_the_answer_does_not_depend_on_any_order_and_sums_to_one(told: list[Any], chance: Any) -> None:
    changes = [
        change(f"c{i}", subject, minutes, kind, touches=touches, labels={"commit": commit})
        for i, (subject, minutes, kind, touches, commit) in enumerate(told)
    ]
    found = blamed(*changes)
    assert sum(s.probability for s in found.suspects) + found.other + found.no_change == pytest.approx(1)
    members, shuffled = list(STALE_ORDERS.members), changes[:]
    chance.shuffle(members)
    chance.shuffle(shuffled)
    entries = list(ORDERS.entries.items())
    chance.shuffle(entries)
    again = attribute(
        replace(STALE_ORDERS, members=tuple(members)), shuffled, replace(ORDERS, entries=dict(entries)), now=at(10)
    )
    assert again == found


def test_the_digest_names_the_inputs() -> None:
    base = blamed(RUN)
    assert blamed(RUN).digest == base.digest
    assert len({base.digest, blamed().digest, blamed(replace(RUN, occurred_at=at(-15))).digest}) == 3


def test_the_digest_tells_apart_what_alone_gives_the_same_rate_of_outages_without_a_change() -> None:
    """Two in six days are as often as one in three, but the changes' own risks weigh differently against them."""
    seen = [Experience(unexplained=n, days=3 * n, confirmed=9) for n in (0, 1)]
    assert seen[0].background_per_day == seen[1].background_per_day
    deploys = [change(f"d{n}", "service:search", -30 * n) for n in range(120)]
    one, other = (blamed(RUN, *deploys, experience=experience) for experience in seen)
    assert one.no_change != other.no_change
    assert one.digest != other.digest


def test_an_incident_without_members_is_an_error() -> None:
    with pytest.raises(ValueError, match="without members"):
        attribute(incident(), [], ORDERS, now=at(0))


def test_confirmed_causes_teach_risk_and_lag() -> None:
    near = int(bin_of(np.array([14.0]))[0])
    lags = tuple(20.0 if i == near else 0.0 for i in range(13))
    runs = KindRecord(caused=20, harmless=80, lags=lags)
    learned = blamed(RUN, experience=Experience(kinds={ChangeKind.PIPELINERUN_FINISHED: runs}, confirmed=40))
    assert learned.suspects[0].probability > blamed(RUN).suspects[0].probability
    assert (learned.low_evidence, blamed(RUN).low_evidence) == (False, True)


def test_lag_densities_are_heavy_tailed_and_sum_to_one() -> None:
    for kind in (ChangeKind.SERVICE_DEPLOYED, ChangeKind.PIPELINERUN_FINISHED):
        assert seed_masses(kind).sum() == pytest.approx(1)
        minutes = np.geomspace(1e-3, 1e8, 400_001)
        inside = minutes > 0.5
        mass = np.trapezoid(density(kind, minutes[inside]), minutes[inside])
        assert mass == pytest.approx(1, abs=0.01)
        assert seed_masses(kind)[-1] > 0.02
    assert len(EDGES) == 14
    soonest, latest = middle_half(ChangeKind.SERVICE_DEPLOYED)
    assert timedelta(minutes=10) < soonest < timedelta(minutes=20) < latest < timedelta(hours=6)


def test_learned_lags_move_mass_but_keep_it() -> None:
    kind, counts = ChangeKind.SERVICE_DEPLOYED, (0.0,) * 9 + (50.0,) + (0.0,) * 3
    minutes = np.geomspace(0.5, 1e7, 400_001)
    assert np.trapezoid(density(kind, minutes, learned=counts), minutes) == pytest.approx(1, abs=0.01)
    assert density(kind, np.array([700.0]), learned=counts)[0] > 5 * density(kind, np.array([700.0]))[0]


def test_importing_the_scorer_does_not_import_scipy() -> None:
    code = "import sys, tocsin.decide.attribute, tocsin.decide.group; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
