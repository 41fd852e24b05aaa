"""Were earlier changes like this one followed by these alerts more often than chance would have it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.evidence import evidence_text
from tocsin.decide.recurrence import MOST_OPENED, SPAN, Asked, Counts, Earlier, Like, Opening, asked, seen_before
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import Attribution, Incident
from tocsin.domain.subject import Subject

SHOP = catalog({"service:checkout": ["service:payments", "service:search"]})
OUTAGE = incident(state("service:checkout", name="HighErrorRate"))
[ALERT] = [member.fingerprint for member in OUTAGE.members]
PAYMENTS: Like = (ChangeKind.SERVICE_DEPLOYED, Subject("service:payments"))
SEARCH: Like = (ChangeKind.SERVICE_DEPLOYED, Subject("service:search"))
HOUR, DAY, WEEK = 60.0, 1440.0, 7 * 1440.0


def scored(*changes: Change, of: Incident = OUTAGE) -> Attribution:
    return attribute(of, changes, SHOP, now=at(5))


def deploy(service: str = "payments", minutes: float = -20) -> Change:
    return change(f"{service}{minutes}", f"service:{service}", minutes)


def past(
    found: Attribution, made: Mapping[Like, Sequence[float]], opened: Sequence[float], of: Incident = OUTAGE
) -> tuple[Asked, Earlier]:
    """What was asked and found; each opening an outage of its own."""
    question = asked(of, found)
    told = [Opening(fingerprint=ALERT, outage=f"o{n}", at=at(minutes)) for n, minutes in enumerate(opened)]
    times = {like: [at(minutes) for minutes in moments] for like, moments in made.items()}
    return question, Earlier(since=question.since, until=question.until, made=times, opened=told)


NINE = [-WEEK * n - DAY * (n % 5) for n in range(8, 0, -1)] + [-3 * HOUR]
"""Deploys on several weekdays over eight weeks, and one three hours ago."""
AFTER_FOUR = [at + 12 for at in NINE[1:5]]


def test_four_of_nine_deploys_were_followed_by_the_alert_and_hardly_any_other_hour_was() -> None:
    found = scored(deploy())
    told = seen_before(found, *past(found, {PAYMENTS: NINE}, AFTER_FOUR))
    [suspect] = told.suspects
    assert suspect.seen_before is not None
    assert (suspect.seen_before.followed, suspect.seen_before.of) == (4, 9)
    assert suspect.seen_before.q < 0.002
    assert (
        "seen before: 4 of 9 deploys of service:payments were followed by HighErrorRate, 0% otherwise"
        in suspect.because
    )
    assert "seen before: 4 of 9 followed within 60 days, against 0 of" in evidence_text(told, "TOC-1042")
    assert suspect.probability == found.suspects[0].probability, "risk and lag rest on the same history already"
    assert told.digest != found.digest, "what was counted is part of what the answer rests on"


def test_an_alert_that_opens_every_day_at_that_hour_says_nothing_of_the_deploys() -> None:
    found = scored(deploy())
    daily = [-DAY * n + 12 for n in range(1, 60)]
    told = seen_before(found, *past(found, {PAYMENTS: NINE}, daily))
    assert told.suspects == found.suspects


def test_what_is_done_every_day_at_one_hour_has_nothing_to_be_compared_with() -> None:
    found = scored(deploy())
    daily = [-DAY * n - 20 for n in range(1, 60)]
    assert seen_before(found, *past(found, {PAYMENTS: daily}, [moment + 12 for moment in daily[::9]])) == found


def test_a_change_older_than_half_of_its_kind_s_lags_is_not_spoken_for() -> None:
    found = scored(deploy(minutes=-300))
    assert asked(OUTAGE, found).like == ()


def test_deploys_that_mend_an_outage_are_not_followed_by_what_returns_of_it() -> None:
    found = scored(deploy())
    mended = [-WEEK * n for n in range(8, 0, -1)]
    question, earlier = past(found, {PAYMENTS: mended}, ())
    opened = [
        Opening(fingerprint=ALERT, outage=f"o{n}", at=at(moment + after))
        for n, moment in enumerate(mended)
        for after in (-30, 10)
    ]
    told = seen_before(found, question, replace(earlier, opened=opened))
    assert told.suspects == found.suspects


def test_of_two_that_are_as_good_as_equal_the_one_seen_before_leads() -> None:
    payments, search = deploy("payments", -20), deploy("search", -19)
    found = scored(payments, search)
    assert [one.change.id for one in found.suspects] == [search.id, payments.id]
    told = seen_before(found, *past(found, {PAYMENTS: NINE, SEARCH: [-9 * DAY]}, AFTER_FOUR))
    assert [one.change.id for one in told.suspects] == [payments.id, search.id]
    assert [one.probability for one in told.suspects] == [one.probability for one in reversed(found.suspects)]
    assert "such changes were followed by these alerts before" in evidence_text(told, "TOC-1042")


def test_a_clear_lead_stands() -> None:
    payments, search = deploy("payments", -40), deploy("search", -5)
    found = scored(payments, search)
    told = seen_before(found, *past(found, {PAYMENTS: NINE}, AFTER_FOUR))
    assert [one.change.id for one in told.suspects] == [search.id, payments.id]
    assert told.suspects[1].seen_before is not None


def test_where_a_rule_orders_it_only_explains() -> None:
    found = replace(scored(deploy("payments", -20), deploy("search", -19)), order="nearest in time")
    told = seen_before(found, *past(found, {PAYMENTS: NINE}, AFTER_FOUR))
    assert [one.change.id for one in told.suspects] == [one.change.id for one in found.suspects]
    assert told.suspects[1].seen_before is not None


def test_of_an_alert_that_opened_too_often_to_be_kept_only_the_time_that_is_known_counts() -> None:
    found = scored(deploy())
    often = [-DAY - HOUR * n / 4 for n in range(MOST_OPENED)]
    told = seen_before(found, *past(found, {PAYMENTS: NINE}, often))
    assert told == found, "three days hold no other week"


def test_nothing_of_the_incident_itself_is_asked_for() -> None:
    early = incident(state(started=-30), opened_at=at(-31))
    question = asked(early, scored(deploy(minutes=-50), of=early))
    assert (question.until, question.since) == (at(-31), at(-31) - SPAN)


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ((37, 180, 60, 900), 6.98e-8),
        ((4, 9, 1, 50), 0.00128),
        ((2, 9, 0, 36), 0.03636),
        ((0, 5, 3, 20), 1.0),
        ((5, 5, 0, 5), 0.00397),
    ],
)
def test_fisher_s_exact_test_as_scipy_has_it(counts: tuple[int, int, int, int], p: float) -> None:
    k, n, others, m = counts
    found = Counts(followed=k, of=n, others_followed=others, others=m).p
    assert found == pytest.approx(p, rel=0.01)


moments = st.lists(st.floats(-70 * DAY, 10, allow_nan=False), max_size=30)


@given(opened=moments)
def test_without_earlier_changes_nothing_is_said(opened: list[float]) -> None:
    found = scored(deploy(), deploy("search", -40))
    assert seen_before(found, *past(found, {}, opened)) == found


@given(made=moments, opened=moments)
def test_probabilities_never_move_and_the_order_of_what_is_told_does_not_matter(
    made: list[float], opened: list[float]
) -> None:
    found = scored(deploy(), deploy("search", -40))
    told = seen_before(found, *past(found, {PAYMENTS: made}, opened))
    assert {s.change.id: s.probability for s in told.suspects} == {s.change.id: s.probability for s in found.suspects}
    question, earlier = past(found, {PAYMENTS: made[::-1]}, opened)
    assert seen_before(found, question, replace(earlier, opened=earlier.opened[::-1])) == told


@given(later=st.lists(st.floats(0, 200, allow_nan=False), max_size=5))
def test_what_happens_from_the_incident_s_beginning_on_does_not_count(later: list[float]) -> None:
    found = scored(deploy())
    told = seen_before(found, *past(found, {PAYMENTS: NINE}, AFTER_FOUR))
    assert seen_before(found, *past(found, {PAYMENTS: [*NINE, *later]}, [*AFTER_FOUR, *later])) == told


@pytest.mark.parametrize("growth", [1.0, 2.3])
def test_by_chance_alone_it_speaks_in_one_incident_of_ten_at_most(growth: float) -> None:
    """Five services, deployed in working hours from twice a day to twice a week; an alert that opens on its own
    account, in working hours too; and both may have grown more frequent in the second month."""
    rng = np.random.default_rng(11)
    services = [Subject(f"service:s{n}") for n in range(5)]
    world = catalog({"service:checkout": services})
    found = attribute(OUTAGE, [change(f"c{n}", one, -10 - 5 * n) for n, one in enumerate(services)], world, now=at(5))
    spoken = 0
    for _ in range(200):
        made = {
            (ChangeKind.SERVICE_DEPLOYED, one): _working_hours(rng, per_day, growth)
            for one, per_day in zip(services, (2, 1.5, 1, 0.5, 0.3), strict=True)
        }
        told = seen_before(found, *past(found, made, _working_hours(rng, 0.7, growth)))
        spoken += any(one.seen_before for one in told.suspects)
    assert spoken <= 0.1 * 200


def _working_hours(rng: np.random.Generator, per_day: float, growth: float) -> list[float]:
    """Moments of the last 60 days, nine in ten of them from three hours before noon to six after, on five days of
    seven, so many a day on average."""
    found = []
    for day in (day for day in range(1, 60) if (at(0) - timedelta(days=day)).weekday() < 5):
        rate = per_day * 2 / (1 + growth) * (growth if day < 30 else 1.0)
        for _ in range(rng.poisson(rate)):
            found.append(-day * DAY + (rng.uniform(-180, 360) if rng.random() < 0.9 else rng.uniform(-720, 720)))
    return found
