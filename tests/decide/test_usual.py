"""What is kept of an alert's earlier values, and when a value is called usual or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import alert, at, incident
from tocsin.decide.body import body_of, scene_of
from tocsin.decide.deduplicate import merge
from tocsin.decide.redact import Redactor
from tocsin.decide.usual import FEWEST, KEPT_FOR, KEPT_HOURS, KEPT_OPENINGS, chance_of_openings, noted, openings
from tocsin.decide.usual_words import openings_words, usual_line, usual_text
from tocsin.decide.wording import Pen
from tocsin.domain.alert import Alert, AlertState, Resolves, Status, Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.history import Season, Usual
from tocsin.domain.policy import DriftPolicy, Flapping, Redaction

PEN = Pen(Redactor(Redaction()), "UTC", at(0))
HOUR, DAY = 60, 1440


def taken(known: AlertState | None, report: Alert) -> AlertState:
    now = report.received_at
    state, transition = merge(known, report, Flapping(opens=99), now=now)
    return noted(known, state, report, transition, DriftPolicy(), now=now)


def nulls(minutes: float, value: float | None, **given: Any) -> Alert:
    """A failed check of a column's missing values."""
    facts: dict[str, Any] = {
        "name": "nulls", "symptom": Symptom.DATA_QUALITY, "metric": "null_rate", "observed": value,
        "resolves": Resolves.NEXT_PASS, "starts_at": at(minutes), "received_at": at(minutes),
    }  # fmt: skip
    return alert("feature:age", **{**facts, **given})


def passed(minutes: float, value: float | None, **given: Any) -> Alert:
    return nulls(minutes, value, status=Status.RESOLVED, starts_at=None, ends_at=at(minutes), **given)


def checked(values: dict[float, float]) -> AlertState:
    """A check that passed with these values, by minute."""
    state = None
    for minute in sorted(values):
        state = taken(state, passed(minute, values[minute]))
    assert state is not None
    return state


def by_day(days: int) -> dict[float, float]:
    """Hourly: .01 at night, .1 to .11 from 12 to 18."""
    values: dict[float, float] = {}
    for hour in range(days * 24):
        values[hour * HOUR] = 0.1 + hour % 5 * 0.002 if hour % 24 < 6 else 0.01 + hour % 5 * 0.001
    return values


def fired(known: AlertState, minutes: float, value: float) -> Usual | None:
    return taken(known, nulls(minutes, value)).usual


def test_a_value_is_compared_with_the_same_hour_of_other_days() -> None:
    known = checked(by_day(10))
    by_noon, by_night = fired(known, 10 * DAY + 3 * HOUR, 0.105), fired(known, 10 * DAY + 15 * HOUR, 0.105)
    assert by_noon is not None
    assert by_night is not None
    assert (by_noon.season, by_noon.inside) == (Season.DAY, True)
    assert (by_night.season, by_night.inside) == (Season.DAY, False)
    assert by_night.high < 0.015
    assert by_night.z is not None
    assert by_night.z > 30


def test_a_daily_check_is_compared_with_the_same_day_of_other_weeks() -> None:
    """Once a day, high every seventh day."""
    known = checked({day * DAY: (0.2 if day % 7 == 0 else 0.01) + day % 3 * 0.001 for day in range(84)})
    sunday = fired(known, 84 * DAY, 0.2)
    assert sunday is not None
    assert (sunday.season, sunday.inside, sunday.count) == (Season.WEEK, True, 12)


def test_several_checks_a_day_know_the_hour_of_the_week() -> None:
    values: dict[float, float] = {}
    for week in range(4):
        for hour in range(0, 168):
            values[(week * 168 + hour) * HOUR] = (0.2 if hour < 24 else 0.01) + hour % 3 * 0.001
    known = checked(values)
    found = fired(known, 4 * 168 * HOUR + 30, 0.2)
    assert found is not None
    assert (found.season, found.inside, found.count) == (Season.WEEK, True, 12)


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_nothing_is_said_of_few_values(count: int) -> None:
    known = checked({minute * HOUR: 0.01 for minute in range(count)} or {0: 0.01})
    assert fired(known, 100 * HOUR, 0.5) is None


def test_as_many_as_needed_are_enough_whatever_the_hour() -> None:
    found = fired(checked({n * HOUR: 0.01 for n in range(FEWEST)}), 100 * HOUR, 0.5)
    assert found is not None
    assert (found.season, found.count, found.inside, found.z) == (Season.ALL, FEWEST, False, None)


def test_the_value_at_which_an_alert_recovers_is_none_of_the_usual_ones() -> None:
    state = None
    for n in range(40):
        state = taken(state, nulls(n * DAY, 0.3))
        state = taken(state, passed(n * DAY + 90, 0.05))
    assert state is not None
    assert set(state.history.outcomes) == {"x"}


def test_a_sender_that_only_tells_of_firing_is_compared_with_when_it_fired() -> None:
    state = None
    for n in range(FEWEST + 1):
        state = taken(state, nulls(n * DAY, 0.3 + n * 0.001, resolves=Resolves.SENDER))
        state = taken(state, passed(n * DAY + 90, None, resolves=Resolves.SENDER))
    found = taken(state, nulls(50 * DAY, 0.9, resolves=Resolves.SENDER)).usual
    assert found is not None
    assert (found.season, found.count) == (Season.FIRED, FEWEST + 1)
    line = usual_line([taken(state, nulls(50 * DAY, 0.9))], PEN)
    assert line == "nulls, when it fired before: 30–31 %, now 90 %"


def test_what_is_said_stays_the_same_while_it_fires() -> None:
    state = taken(checked(by_day(10)), nulls(10 * DAY + 15 * HOUR, 0.31))
    said = state.usual
    for more in range(1, 30):
        state = taken(state, nulls(10 * DAY + 15 * HOUR + more * HOUR, 0.31, starts_at=at(10 * DAY + 15 * HOUR)))
    assert state.usual == said


def test_an_old_report_leaves_no_trace() -> None:
    state = taken(checked(by_day(10)), nulls(10 * DAY, 0.31))
    state = taken(state, passed(10 * DAY + HOUR, 0.01))
    late = taken(state, replace(nulls(10 * DAY - HOUR, 9.9), received_at=at(10 * DAY + 2 * HOUR)))
    assert (late.history, late.usual) == (state.history, state.usual)


@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(-1e6, 1e6), st.booleans()), max_size=60))
def test_the_history_is_bounded_and_side_by_side(told: list[tuple[int, float, bool]]) -> None:
    state, minute = None, 0.0
    for step, value, fails in told:
        minute += step
        state = taken(state, nulls(minute, value) if fails else passed(minute, value))
        kept = state.history
        assert len(kept.hours) == len(kept.values) == len(kept.outcomes) <= KEPT_HOURS
        assert list(kept.hours) == sorted(set(kept.hours))
        assert not kept.hours or kept.hours[-1] - kept.hours[0] <= KEPT_FOR
        assert len(kept.opened) <= KEPT_OPENINGS


def test_a_full_history_forgets_the_oldest_hours() -> None:
    known = checked({n * HOUR: 0.01 for n in range(KEPT_HOURS + 50)})
    assert len(known.history.hours) == KEPT_HOURS


# --- in words ---


def test_the_ticket_says_what_is_usual() -> None:
    member = taken(checked(by_day(10)), nulls(10 * DAY + 15 * HOUR, 0.31))
    assert usual_line([member], PEN) == "nulls, usual at this hour: 1–1.4 %, now 31 %"
    whole = incident(member)
    assert "nulls, usual at this hour: 1–1.4 %, now 31 %" in body_of(scene_of(whole, Catalog()), PEN, [])


def test_the_ticket_says_that_a_value_is_usual() -> None:
    member = taken(checked(by_day(10)), nulls(10 * DAY + 3 * HOUR, 0.105))
    assert usual_line([member], PEN) == "nulls, 10 % is usual at this hour (10–11 %)"


def test_freshness_is_told_in_its_unit() -> None:
    given: dict[str, Any] = {"symptom": Symptom.FRESHNESS, "metric": "age_hours", "name": "late"}
    state = None
    for n in range(FEWEST):
        state = taken(state, passed(n * HOUR, 1 + n * 0.1, **given))
    member = taken(state, nulls(5 * DAY, 30.0, **given))
    assert usual_line([member], PEN) == "age, usual: 1 h 5 m–1 h 48 m, now 1 d 6 h"


def test_the_evidence_tells_every_number() -> None:
    told = usual_text([taken(checked(by_day(10)), nulls(10 * DAY + 15 * HOUR, 0.31))])
    assert "nulls: now 31 %, usual at this hour 1–1.4 %, median 1.2 % of 30 values; far outside (robust z = " in told
    assert usual_text([taken(None, nulls(0, 0.31))]) == ""


# --- openings ---


def opened(*minutes: float) -> AlertState:
    """Fires at each of these and recovers half an hour later."""
    state = None
    for minute in minutes:
        state = taken(state, alert("host:db-1", name="HighDiskIO", starts_at=at(minute), received_at=at(minute)))
        if minute != minutes[-1]:
            over = alert("host:db-1", name="HighDiskIO", status=Status.RESOLVED, ends_at=at(minute + 30))
            state = taken(state, replace(over, received_at=at(minute + 30)))
    assert state is not None
    return state


def test_an_alert_that_always_opens_often_says_so() -> None:
    member = opened(*(n * 160 for n in range(50)))
    assert openings(member)[0] == 9
    assert openings_words([member], PEN) == "HighDiskIO on db-1 opened 9 times in 24 h, usual for it"
    assert "HighDiskIO on db-1 opened 9 times in 24 h, usual for it" in body_of(
        scene_of(incident(member), Catalog()), PEN, []
    )


def test_an_alert_that_seldom_opened_before_says_that() -> None:
    member = opened(0, 3 * DAY, 6 * DAY, *(9 * DAY + n * 120 for n in range(5)))
    assert openings_words([member], PEN) == "HighDiskIO on db-1 opened 5 times in 24 h, 0.36 a day before"


def test_a_new_alert_has_no_habits_yet() -> None:
    assert openings_words([opened(*(n * 100 for n in range(6)))], PEN) == "HighDiskIO on db-1 opened 6 times in 24 h"
    assert openings_words([opened(0, 100)], PEN) == ""


def test_the_chance_of_openings_is_gamma_poisson() -> None:
    """Against scipy's negative binomial: 1 - nbinom.cdf(3, 4.3, 10/11) = .00233."""
    assert chance_of_openings(4, 4, 7) == pytest.approx(0.00232721)
    assert chance_of_openings(0, 4, 7) == 1.0


def test_when_a_worker_looks_changes_nothing() -> None:
    """Expiries between reports leave the history alone."""
    member = opened(0, DAY)
    assert member.history == replace(member, last_received_at=at(0) + timedelta(days=9)).history
