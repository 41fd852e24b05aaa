"""What stands where on an incident's timeline?"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide import tickets
from tests.decide.tickets import REDACTOR, Case, at, blame, change, ended, firing
from tocsin.decide.timeline import MOST_LANES, MOST_MARKS, timeline
from tocsin.domain.alert import AlertState, Severity, Symptom
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import Attribution
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject
from tocsin.domain.timeline import Timeline
from tocsin.drawing import png

DEPLOY = change(ChangeKind.SERVICE_DEPLOYED, "service:checkout", "09:50", version="4.8.1")
EARLY = replace(
    change(ChangeKind.MODEL_PROMOTED, "model:churn", "01:00", version="4.3"),
    occurred_at=at("10:00") - timedelta(hours=30),
)


def scored(*causes: tuple[Change, float], until: str = "10:05") -> Attribution:
    return replace(blame("10:00", *causes, no_change=1 - sum(p for _, p in causes)), scored_at=at(until))


def shown(
    *members: AlertState, causes: tuple[tuple[Change, float], ...] = (), changes: tuple[Change, ...] = (), **given: str
) -> Timeline:
    case = Case(members=members, catalog=tickets.STORM.catalog, attribution=scored(*causes), given=dict(given))
    return timeline(case.incident(), [*(c for c, _ in causes), *changes], catalog=case.catalog, redactor=REDACTOR)


SLOW = firing("service:checkout", "10:00", Symptom.LATENCY, severity=Severity.CRITICAL)


def deploys(count: int, *, apart: timedelta = timedelta(minutes=1)) -> tuple[Change, ...]:
    """Other changes before ten o'clock, the last one first."""
    each = change(ChangeKind.SERVICE_DEPLOYED, "service:search", "10:00")
    return tuple(replace(each, id=f"other {n}", occurred_at=at("10:00") - (n + 1) * apart) for n in range(count))


def test_the_likely_cause_stands_left_of_the_beginning_and_its_alerts_right_of_it() -> None:
    one = shown(SLOW, causes=((DEPLOY, 0.86),))
    [cause], [lane] = one.causes, one.lanes
    assert cause.at < one.began < one.looked
    assert (cause.name, cause.probability, cause.lag, cause.strong) == (
        "deploy checkout 4.8.1", "86 %", "10 min before", True,
    )  # fmt: skip
    assert (lane.bars[0].begin, lane.bars[0].end, lane.bars[0].firing) == (one.began, one.looked, True)
    assert one.verdict == "Likely cause, 86 %: deploy checkout 4.8.1 at 09:50, 10 min before it began"
    assert (one.began_words, one.looked_words, one.day) == ("began 10:00", "as of 10:05", "3 Feb 2031, UTC")


def test_without_a_likely_cause_the_picture_says_so_and_shows_half_an_hour_before() -> None:
    one = shown(SLOW, changes=deploys(2, apart=timedelta(minutes=20)))
    assert one.causes == ()
    assert one.verdict == "No likely cause: no known change explains it (> 99 %)"
    assert not one.stretched
    assert (len(one.others), one.others_remark) == (1, "1 change, +1 earlier"), (
        "the one of 40 minutes before is counted"
    )


def test_a_cause_thirty_hours_before_leaves_room_for_what_happened_since() -> None:
    one = shown(SLOW, firing("service:shop", "10:03", Symptom.ERRORS), causes=((EARLY, 0.6), (DEPLOY, 0.2)))
    early, late = one.causes
    assert one.stretched
    assert early.at < late.at - 0.2
    assert late.at < one.began - 0.1
    assert one.lanes[1].begins[0] - one.began > 0.04
    assert "began" in [tick.lag for tick in one.ticks]
    assert "2 Feb" in one.ticks[0].clock
    assert early.lag == "1 d 6 h before"


def test_forty_pods_get_twelve_lanes_and_the_rest_is_counted() -> None:
    pods = [
        firing(f"host:pod-{n:02}", f"10:{n // 10:02}", Symptom.SATURATION, severity=Severity.WARNING) for n in range(40)
    ]
    one = shown(*pods, causes=((DEPLOY, 0.9),), changes=deploys(71))
    assert len(one.lanes) == MOST_LANES
    assert (one.lanes[-1].name, one.lanes[-1].remark) == ("+29 more items", "29 alerts, saturated")
    assert len(one.others) <= MOST_MARKS
    assert one.others_remark == "10 changes, +61 earlier"


def test_overlapping_alerts_of_an_item_are_one_bar_of_the_worst_severity() -> None:
    calm = firing("service:checkout", "10:02", Symptom.ERRORS, severity=Severity.WARNING, resource="b")
    over = ended(firing("service:checkout", "10:01", Symptom.LATENCY, severity=Severity.ERROR, resource="c"), "10:03")
    [lane] = shown(SLOW, calm, over).lanes
    assert [(bar.severity, bar.firing) for bar in lane.bars] == [(Severity.CRITICAL, True)]
    assert (lane.remark, len(lane.begins)) == ("3 alerts, errors, slow", 3)


def test_alerts_that_ended_and_came_again_are_two_bars() -> None:
    first = ended(firing("service:checkout", "10:00", Symptom.LATENCY, resource="a"), "10:01")
    [lane] = shown(first, firing("service:checkout", "10:04", Symptom.LATENCY, resource="b")).lanes
    assert [bar.firing for bar in lane.bars] == [False, True]


def test_what_is_over_ends_where_its_last_alert_ended() -> None:
    case = tickets.RECOVERED
    one = timeline(case.incident(), [], catalog=case.catalog, redactor=REDACTOR)
    assert one.looked_words == "over 11:14"
    assert all(bar.end == one.looked and not bar.firing for lane in one.lanes for bar in lane.bars)


def test_what_a_person_confirmed_comes_first_though_it_was_unlikely() -> None:
    one = shown(SLOW, causes=((DEPLOY, 0.5), (EARLY, 0.02)), confirmed_change=EARLY.id)
    assert [cause.probability for cause in one.causes] == ["confirmed", "50 %"]
    assert one.verdict == "Cause confirmed: promotion churn 4.3"


def test_texts_from_outside_are_redacted_and_of_one_line() -> None:
    told = replace(DEPLOY, version="token=abcdef0123456789abcdef\n$x^2$")
    one = shown(SLOW, causes=((told, 0.9),))
    assert "abcdef0123456789" not in str(one)
    assert "\n" not in str(one)


def test_an_incident_that_was_not_scored_has_no_timeline() -> None:
    case = Case(members=(SLOW,), catalog=tickets.STORM.catalog)
    with pytest.raises(ValueError, match="TOC-1042 has not been scored"):
        timeline(case.incident(), [], catalog=case.catalog, redactor=REDACTOR)


MOMENTS = st.integers(-72 * 60, 5).map(lambda minutes: at("10:00") + timedelta(minutes=minutes))


@given(
    causes=st.lists(MOMENTS, max_size=5),
    others=st.lists(MOMENTS, max_size=60),
    starts=st.lists(st.integers(0, 600), min_size=1, max_size=60),
)
def test_everything_lies_on_the_axis_in_its_order(
    causes: list[datetime], others: list[datetime], starts: list[int]
) -> None:
    told = tuple((replace(DEPLOY, id=f"c{n}", occurred_at=moment), 0.9 / 5) for n, moment in enumerate(causes))
    more = tuple(replace(DEPLOY, id=f"o{n}", occurred_at=moment) for n, moment in enumerate(others))
    members = [
        firing(f"host:h{n}", f"{10 + minute // 60}:{minute % 60:02}", Symptom.ERRORS, resource=str(n))
        for n, minute in enumerate(starts)
    ]
    one = shown(*members, causes=told, changes=more)
    places = [
        *one.others,
        *[cause.at for cause in one.causes],
        *[tick.at for tick in one.ticks],
        *[place for lane in one.lanes for bar in lane.bars for place in (bar.begin, bar.end)],
    ]
    assert all(0 <= place <= 1 for place in places)
    assert one.began <= one.looked
    assert list(one.others) == sorted(one.others)
    assert all(bar.begin <= bar.end for lane in one.lanes for bar in lane.bars)
    assert len(one.lanes) <= MOST_LANES
    assert sum(len(lane.begins) + len(lane.bars) for lane in one.lanes) <= MOST_MARKS
    assert all(right.at - left.at >= 0.08 for left, right in zip(one.ticks, one.ticks[1:], strict=False))


def test_a_course_that_moved_when_it_began_has_a_line() -> None:
    def course(metric: str, after: float) -> Series:
        points = tuple((at("09:45") + timedelta(minutes=m), after if m >= 15 else 1.0 + m / 1000) for m in range(19))
        return Series(subject=Subject("service:checkout"), metric=metric, points=points)

    case = Case(members=(SLOW,), catalog=tickets.STORM.catalog, attribution=scored((DEPLOY, 0.86)), given={})
    series = [course("error_ratio", 4.0), course("rows", 1.0), course("password=hunter2secret", 0.1)]
    one = timeline(case.incident(), [DEPLOY], catalog=case.catalog, redactor=REDACTOR, series=series)
    assert len(one.curves) == 2
    curve = next(curve for curve in one.curves if curve.name == "error_ratio of checkout")
    assert curve.remark == "1.01 → 4"
    [large] = timeline(
        case.incident(), [DEPLOY], catalog=case.catalog, redactor=REDACTOR, series=[course("latency_p99", 2345.0)]
    ).curves
    assert large.remark == "1.01 → 2,345"
    assert all(0 <= place <= 1 and 0 <= height <= 1 for place, height in curve.points)
    assert "hunter2secret" not in "".join(curve.name for curve in one.curves)
    assert png(one) != png(replace(one, curves=()))
