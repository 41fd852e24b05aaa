"""A destination that does not answer is left alone, probed, and trusted again little by little."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.standing import ALERT_AFTER, FAILURES, after, allowance, charged
from tocsin.domain.policy import Mode
from tocsin.domain.record import Outcome, Reason
from tocsin.domain.standing import AT_ONCE, Standing

NOW = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)
DOWN = Outcome(result="retry", reason=Reason.UNREACHABLE, detail="nothing was sent")
FINE = Outcome(result="done", reason=Reason.OK)
REFUSED = Outcome(result="rejected", reason=Reason.UNAUTHORIZED, detail="status 401")


def told(*outcomes: Outcome, start: Standing | None = None, now: datetime = NOW) -> Standing:
    """How it stands after these attempts, all at one moment."""
    standing = start or Standing(name="desk")
    for outcome in outcomes:
        standing = after(standing, outcome, jitter=1.0, now=now)
    return standing


def test_some_failures_are_nothing_and_many_in_a_row_open_the_circuit() -> None:
    assert allowance(told(*[DOWN] * (FAILURES - 1)), under_way=0, now=NOW) == AT_ONCE
    assert told(*[DOWN] * (FAILURES - 1), FINE).failures == 0
    opened = told(*[DOWN] * FAILURES)
    assert (opened.open_since, opened.rests_why, opened.alert_at) == (NOW, "unreachable", NOW + ALERT_AFTER)
    assert allowance(opened, under_way=0, now=NOW) == 0


def test_refused_credentials_open_it_at_once() -> None:
    assert allowance(told(REFUSED), under_way=0, now=NOW) == 0
    assert told(REFUSED).rests_why == "unauthorized"


def test_after_the_rest_one_record_probes_and_a_failed_probe_rests_longer() -> None:
    opened = told(*[DOWN] * FAILURES)
    assert opened.rests_until is not None
    later = opened.rests_until + timedelta(seconds=1)
    assert allowance(opened, under_way=0, now=later) == 1
    assert allowance(opened, under_way=1, now=later) == 0
    again = told(DOWN, start=opened, now=later)
    assert again.rests_until is not None
    assert again.rests_until - later > opened.rests_until - NOW
    assert (again.open_since, again.alert_at) == (opened.open_since, opened.alert_at)


def test_what_was_under_way_when_it_opened_neither_closes_it_nor_lengthens_the_rest() -> None:
    opened = told(*[DOWN] * FAILURES)
    late = told(FINE, DOWN, DOWN, start=opened)
    assert (late.rests_until, late.openings, late.open_since) == (opened.rests_until, 1, NOW)


def test_success_closes_it_and_the_window_grows_by_one_each() -> None:
    opened = told(*[DOWN] * FAILURES)
    assert opened.rests_until is not None
    later = opened.rests_until
    windows = [allowance(told(*[FINE] * n, start=opened, now=later), under_way=0, now=later) for n in range(1, 20)]
    assert windows == [*range(2, AT_ONCE + 1), *[AT_ONCE] * 4]
    assert told(FINE, start=opened, now=later).open_since is None


def test_a_429_makes_the_whole_destination_wait_as_long_as_the_vendor_says() -> None:
    busy = Outcome(result="retry", reason=Reason.RATE_LIMITED, after=timedelta(minutes=7))
    asked = told(busy)
    assert asked.rests_until == NOW + timedelta(minutes=7)
    assert (asked.open_since, asked.failures) == (None, 0)
    assert allowance(asked, under_way=0, now=NOW + timedelta(minutes=6)) == 0
    assert allowance(asked, under_way=0, now=NOW + timedelta(minutes=7)) == 1
    assert told(replace(busy, alone=True)) == Standing(name="desk"), "one issue's limit is that issue's"


def test_a_connector_that_waits_before_it_looks_again_is_no_failure() -> None:
    waits = Outcome(result="ambiguous", reason=Reason.TIMEOUT, after=timedelta(minutes=1))
    assert told(*[waits] * 9) == Standing(name="desk")


@pytest.mark.parametrize("stopped", [{"mode": Mode.OFF}, {"paused_at": NOW}])
def test_off_and_paused_send_nothing(stopped: dict[str, object]) -> None:
    assert allowance(replace(Standing(name="desk"), **stopped), under_way=0, now=NOW) == 0  # type: ignore[arg-type]


@given(
    limit=st.floats(min_value=1, max_value=2_000),
    pauses=st.lists(st.floats(min_value=0, max_value=30), min_size=5, max_size=200),
)
def test_no_minute_holds_more_calls_than_the_limit(limit: float, pauses: list[float]) -> None:
    standing, now, made = Standing(name="desk", calls_per_minute=limit), NOW, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        allowed = allowance(standing, under_way=0, now=now)
        standing = charged(standing, allowed, now=now)
        made += [now] * allowed
    for begin in made:
        within = [at for at in made if begin <= at < begin + timedelta(minutes=1)]
        assert len(within) <= max(1, limit) + 1, "one more where rounding meets the edge"


def test_an_attempt_that_took_more_calls_than_foreseen_is_paid_for_later() -> None:
    standing = charged(Standing(name="desk", calls_per_hour=100), 12, now=NOW)
    assert allowance(standing, under_way=0, now=NOW) == 0
    assert allowance(standing, under_way=0, now=NOW + timedelta(minutes=1)) == 0
    assert allowance(standing, under_way=0, now=NOW + timedelta(minutes=3)) == 2
