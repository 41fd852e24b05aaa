"""What an alert does all the time is no news."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from tests.decide.builders import at, state
from tocsin.decide.noise import comes_back, is_chronic, own_rate, surprise


def opened(*minutes: float) -> tuple[datetime, ...]:
    return tuple(at(minute) for minute in minutes)


def test_an_alert_never_seen_before_is_expected_every_ten_days() -> None:
    assert math.isclose(own_rate([], at(0)), 0.1)


def test_the_rate_follows_what_was_seen() -> None:
    assert math.isclose(own_rate([at(0)], at(1440)), 1.3 / 4)
    hourly = [at(60 * i) for i in range(7)]
    assert own_rate(hourly, at(60 * 7)) == 24.0


def test_the_rarer_the_more_of_a_surprise() -> None:
    assert surprise(0.1) > surprise(1.0) == 0.5 > surprise(50)
    assert surprise(1e9) > 0


def test_a_fault_that_was_not_over_shows_again_soon() -> None:
    rare = state(started=0, ended=20)
    assert comes_back(rare, at(40)) > 0 > comes_back(rare, at(1430))


def test_what_opens_all_the_time_does_not_come_back_but_opens_again() -> None:
    often = replace(state(started=0, ended=20), opened=opened(-1200, -900, -700, -500, -300, -150, 0))
    assert comes_back(often, at(200)) < 0


def test_what_opens_twice_a_day_is_no_return_a_quarter_of_an_hour_later() -> None:
    twice_a_day = replace(state(started=0, ended=20), opened=opened(*(-720 * i for i in range(7, -1, -1))))
    assert comes_back(twice_a_day, at(35)) < 0


def test_eight_openings_within_a_day_are_chronic() -> None:
    known = replace(state(started=0), opened=opened(*(-100 * i for i in range(7, -1, -1))))
    assert is_chronic(known, at(10))
    assert not is_chronic(known, at(1440))
    assert not is_chronic(replace(known, opened=known.opened[1:]), at(10))
