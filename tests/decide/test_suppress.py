from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.decide.builders import NOON, at, catalog, incident, state
from tocsin.decide.suppress import gate, open_until
from tocsin.domain.alert import AlertState, Resolves, Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.incident import Gate, GateState
from tocsin.domain.policy import Outage, Policy, Window
from tocsin.domain.subject import Subject

WORLD = catalog(
    {"service:checkout": ["service:payments"], "service:payments": ["host:db-1"], "model:churn": ["dataset:orders"]}
)
TEN = timedelta(minutes=10)
SLOW = Policy(persistence={Symptom.LATENCY: TEN})


def window(pattern: str = "service:checkout", **given: Any) -> Window:
    facts: dict[str, Any] = {"name": "db upgrade", "starts_at": at(-30), "duration": timedelta(hours=1)}
    return Window(subjects=(pattern,), **{**facts, **given})


def outage(subject: str, **given: Any) -> Outage:
    return Outage(subject=Subject(subject), **{"starts_at": at(-30), **given})


def asked(policy: Policy, *members: AlertState, minute: float = 5, world: Catalog = WORLD, **given: Any) -> Gate:
    return gate(incident(*members, **given), policy, world, now=at(minute))


def test_nothing_holds_an_alert_back() -> None:
    assert asked(Policy(), state()) == Gate(state=GateState.ACTIVE, reason="active")


def test_a_maintenance_window_mutes_until_it_ends() -> None:
    found = asked(Policy(windows=(window(),)), state())
    assert (found.state, found.reason, found.until) == (GateState.MUTED, "in_window", at(30))
    assert found.because == "maintenance window db upgrade covers service:checkout"
    assert asked(Policy(windows=(window(),)), state(), minute=30).state is GateState.ACTIVE


def test_a_window_covers_dependants_only_when_it_says_so() -> None:
    plain, wide = window("service:payments"), window("service:payments", include_dependants=True)
    assert asked(Policy(windows=(plain,)), state()).state is GateState.ACTIVE
    assert asked(Policy(windows=(wide,)), state()).state is GateState.MUTED
    two_hops = window("host:db-1", include_dependants=True)
    assert asked(Policy(windows=(two_hops,)), state()).state is GateState.ACTIVE


@pytest.mark.parametrize(
    "other",
    [
        {"environments": frozenset({"staging"})},
        {"symptoms": frozenset({Symptom.COST})},
        {"starts_at": at(-90)},
        {"starts_at": at(60)},
    ],
)
def test_a_window_for_something_else_does_not_mute(other: dict[str, Any]) -> None:
    assert asked(Policy(windows=(window(**other),)), state()).state is GateState.ACTIVE


def test_one_member_outside_the_window_keeps_the_incident_active() -> None:
    assert asked(Policy(windows=(window(),)), state(), state("service:payments")).state is GateState.ACTIVE


def test_a_known_outage_upstream_of_all_that_fires_mutes() -> None:
    policy = Policy(outages=(outage("host:db-1", ends_at=at(60), ticket="CHG7"),))
    found = asked(policy, state(), state("service:payments"))
    assert (found.state, found.reason, found.until) == (GateState.MUTED, "known_outage", at(60))
    assert "CHG7" in found.because
    assert asked(policy, state(), state("model:churn")).state is GateState.ACTIVE


def test_an_outage_without_an_end_is_asked_about_again() -> None:
    found = asked(Policy(outages=(outage("dataset:orders"),)), state("model:churn"))
    assert (found.state, found.until) == (GateState.MUTED, at(20))


def test_an_outage_does_not_explain_what_began_long_before() -> None:
    assert (
        asked(Policy(outages=(outage("dataset:orders"),)), state("model:churn", started=-90)).state is GateState.ACTIVE
    )


def test_window_and_outage_together_mute_until_the_first_of_them_ends() -> None:
    policy = Policy(windows=(window(),), outages=(outage("dataset:orders", ends_at=at(20)),))
    assert asked(policy, state(), state("model:churn")).until == at(20)


def test_a_symptom_that_must_persist_waits() -> None:
    found = asked(SLOW, state())
    assert (found.state, found.reason, found.until) == (GateState.WAITING, "not_persistent", at(10))
    assert asked(SLOW, state(), minute=10).state is GateState.ACTIVE
    assert asked(SLOW, state(symptom=Symptom.ERRORS)).state is GateState.ACTIVE


def test_two_subjects_need_not_persist() -> None:
    assert asked(SLOW, state(), state("service:payments")).state is GateState.ACTIVE
    assert asked(SLOW, state(), state(name="Other")).state is GateState.WAITING


def test_a_muted_subject_does_not_count_towards_persistence() -> None:
    policy = replace(SLOW, windows=(window("service:payments"),))
    assert asked(policy, state(), state("service:payments")).state is GateState.WAITING


def test_an_active_incident_does_not_wait_again() -> None:
    active = Gate(state=GateState.ACTIVE, reason="active")
    assert asked(SLOW, state(ended=2), state(started=4, name="Other"), gate=active).state is GateState.ACTIVE


def test_what_ends_before_it_persisted_is_muted_and_says_so() -> None:
    found = asked(SLOW, state(ended=4))
    assert (found.state, found.reason, found.until) == (GateState.MUTED, "recovered_before_persisting", None)


def test_what_lasted_long_enough_is_active_even_when_we_hear_of_it_afterwards() -> None:
    assert asked(SLOW, state(ended=12), minute=30).state is GateState.ACTIVE


def test_what_began_and_ended_in_a_window_stays_muted() -> None:
    found = asked(Policy(windows=(window(),)), state(ended=4), minute=300)
    assert (found.state, found.reason, found.until) == (GateState.MUTED, "in_window", None)


def test_an_active_incident_that_ends_stays_active() -> None:
    active = Gate(state=GateState.ACTIVE, reason="active")
    assert asked(SLOW, state(ended=4), gate=active).state is GateState.ACTIVE


def test_a_flapping_incident_is_active_but_says_so() -> None:
    flapping = replace(state(), flapping_until=at(25))
    found = asked(Policy(), flapping)
    assert (found.state, found.reason, found.until) == (GateState.ACTIVE, "flapping", at(25))
    assert asked(Policy(), flapping, state("service:payments")).reason == "active"
    assert asked(Policy(), flapping, minute=26).reason == "active"


def weekly(rrule: str, start: datetime, hours: float = 2, zone: str = "Europe/Berlin") -> Window:
    return window(starts_at=start, duration=timedelta(hours=hours), timezone=zone, rrule=rrule)


def berlin(*moment: int, fold: int = 0) -> datetime:
    return datetime(*moment, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold).astimezone(UTC)  # type: ignore[arg-type, misc]


def test_a_weekly_window_keeps_its_wall_time_over_a_change_of_clocks() -> None:
    sundays = weekly("FREQ=WEEKLY;BYDAY=SU", berlin(2031, 3, 2, 4, 0))
    assert open_until(sundays, berlin(2031, 3, 23, 4, 30)) == berlin(2031, 3, 23, 6, 0)
    assert open_until(sundays, berlin(2031, 4, 6, 4, 30)) == berlin(2031, 4, 6, 6, 0)
    assert open_until(sundays, berlin(2031, 4, 6, 3, 59)) is None
    assert open_until(sundays, berlin(2031, 4, 7, 4, 30)) is None
    assert open_until(sundays, berlin(2031, 2, 23, 4, 30)) is None


def test_a_wall_time_that_does_not_exist_opens_an_hour_later_that_night() -> None:
    nightly = weekly("FREQ=DAILY", berlin(2031, 3, 1, 2, 30), hours=1)
    assert open_until(nightly, berlin(2031, 3, 30, 1, 59)) is None
    assert open_until(nightly, berlin(2031, 3, 30, 3, 45)) == berlin(2031, 3, 30, 4, 30)


def test_a_wall_time_that_exists_twice_opens_once() -> None:
    nightly = weekly("FREQ=DAILY", berlin(2031, 10, 1, 2, 30), hours=1)
    first = berlin(2031, 10, 26, 2, 30)
    assert open_until(nightly, first + timedelta(minutes=45)) == first + timedelta(hours=1)
    assert open_until(nightly, first + timedelta(minutes=61)) is None


def test_until_is_read_in_utc_and_in_wall_time() -> None:
    for until in ("20310316T040000Z", "20310316T050000"):
        rule = weekly(f"FREQ=WEEKLY;UNTIL={until}", berlin(2031, 3, 2, 4, 0))
        assert open_until(rule, berlin(2031, 3, 16, 4, 30)) is not None
        assert open_until(rule, berlin(2031, 3, 23, 4, 30)) is None


def test_a_window_longer_than_its_period_ends_with_its_latest_occurrence() -> None:
    always = window(starts_at=NOON, duration=timedelta(hours=30), rrule="FREQ=DAILY")
    assert open_until(always, at(26 * 60)) == at(54 * 60)


def test_a_rule_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError):
        open_until(window(rrule="every sunday FREQ"), NOON)


def flaps(subject: str, **given: Any) -> AlertState:
    return replace(state(subject, **given), flapping_until=at(60))


def test_a_flapping_subject_does_not_count_towards_persistence() -> None:
    assert asked(SLOW, state(), flaps("service:payments")).state is GateState.WAITING
    assert asked(SLOW, state(), state("service:payments")).state is GateState.ACTIVE


def test_what_joins_a_flapping_incident_must_last_by_itself() -> None:
    before = Gate(state=GateState.ACTIVE, reason="flapping")
    found = asked(SLOW, state(started=3), flaps("service:payments"), gate=before)
    assert (found.state, found.reason, found.until) == (GateState.ACTIVE, "flapping", at(13))
    assert asked(SLOW, state(started=3), flaps("service:payments"), gate=before, minute=13).reason == "active"


def test_what_only_opens_all_the_time_is_let_through_as_chronic() -> None:
    often = replace(state(), opened=tuple(at(-100 * i) for i in range(7, -1, -1)))
    found = asked(Policy(), often)
    assert (found.state, found.reason) == (GateState.ACTIVE, "chronic")
    assert found.because == "HighLatency on service:checkout opens all the time: its latest 8 times within a day"
    assert asked(Policy(), often, state("service:payments")).reason == "active"


def test_an_incident_that_was_over_must_last_anew() -> None:
    before = Gate(state=GateState.ACTIVE, reason="active")
    again = replace(state(started=100), episode=2)
    assert asked(SLOW, again, minute=101, gate=before).state is GateState.WAITING
    assert asked(SLOW, state(started=100), minute=101, gate=before).state is GateState.ACTIVE
    gone = state("service:payments", ended=101)
    assert asked(SLOW, state(started=100), gone, minute=105, gate=before).state is GateState.ACTIVE


def test_one_report_and_silence_has_not_lasted_where_a_sender_tells_again_and_again() -> None:
    once = state(resolves=Resolves.EXPIRY, expires_after=timedelta(minutes=15))
    found = asked(SLOW, once, minute=10)
    assert (found.state, found.until) == (GateState.WAITING, at(15))
    assert found.because.endswith("must last 10 min, and its sender has not told it again")
    assert asked(SLOW, replace(once, last_received_at=at(6)), minute=10).state is GateState.ACTIVE
    daily = state(resolves=Resolves.EXPIRY, expires_after=timedelta(hours=24))
    assert asked(SLOW, daily, minute=10).state is GateState.ACTIVE
