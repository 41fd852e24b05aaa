from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import NOON, at, catalog, state
from tocsin.decide.group import MAX_GROUPS, Groups
from tocsin.decide.seen import Seen, seen_of, tokens_of
from tocsin.domain.alert import Symptom
from tocsin.domain.subject import Subject

WORLD = catalog(
    {
        "service:web": ["service:checkout"],
        "service:checkout": ["service:payments"],
        "service:payments": ["service:ledger"],
        "model:churn": ["feature:orders_7d"],
        "model:demand": ["feature:basket"],
        "feature:orders_7d": ["dataset:orders"],
        "feature:basket": ["dataset:orders"],
        "service:search": ["service:index"],
        "service:mail": [],
        "model:fraud": ["feature:ip_risk"],
    }
)
FIRST, SECOND = UUID(int=1), UUID(int=2)


def seen(subject: str, minute: float = 0, name: str = "HighErrorRate", resource: str = "") -> Seen:
    return Seen(
        fingerprint=f"{subject}/{name}",
        subject=Subject(subject),
        name=name,
        symptom=Symptom.ERRORS,
        at=at(minute),
        tokens=tokens_of(f"{name} {resource}"),
    )


def groups(*members: Seen, others: Sequence[Seen] = ()) -> Groups:
    both = [(FIRST, members, NOON), (SECOND, others, NOON)]
    return Groups(WORLD, [group for group in both if group[1]])


def joined(found: Groups, alert: Seen) -> UUID | None:
    return found.place(alert).incident_id


def test_the_first_alert_opens_an_incident() -> None:
    placed = groups().place(seen("service:checkout"))
    assert placed.incident_id is None
    assert placed.because == "nothing open has to do with service:checkout"


def test_an_alert_joins_what_it_rests_on() -> None:
    placed = groups(seen("service:payments")).place(seen("service:checkout", 3, name="SlowAnswers"))
    assert placed.incident_id == FIRST
    assert placed.because.startswith("a fault of service:payments would explain service:checkout")


def test_siblings_of_one_upstream_join() -> None:
    assert joined(groups(seen("model:churn", name="drift")), seen("model:demand", 4, name="drift")) == FIRST


def test_unrelated_subjects_do_not_join_however_rare_and_alike() -> None:
    found = groups(seen("service:payments"))
    for other in ("service:mail", "service:search", "model:fraud"):
        assert found.place(seen(other), rate_per_day=0.001).incident_id is None


def test_the_same_alert_on_the_same_subject_joins_at_once_even_hours_later() -> None:
    placed = groups(seen("service:checkout")).place(seen("service:checkout", 300, resource="pod-7"))
    assert (placed.incident_id, placed.because) == (FIRST, "HighErrorRate on service:checkout is already part of it")


def test_an_alert_an_hour_later_is_another_incident() -> None:
    assert joined(groups(seen("service:payments")), seen("service:checkout", 62)) is None


def test_a_frequent_alert_needs_more_than_being_near() -> None:
    found = groups(seen("service:payments"))
    late = seen("service:checkout", 15)
    assert found.place(late).incident_id == FIRST
    assert found.place(late, rate_per_day=200).incident_id is None


def late(started: float, window_starts: float | None, subject: str = "model:churn") -> Seen:
    """A drift check that fired at `started`, and looked at the time since `window_starts`."""
    since = None if window_starts is None else at(window_starts)
    return seen_of(state(subject, started=started, name="drift", window_starts_at=since))


def test_a_drift_alert_hours_later_joins_what_began_while_its_check_looked() -> None:
    found = groups(seen("dataset:orders", name="late"), seen("feature:orders_7d", 2, name="nulls"))
    assert found.place(late(185, None), alive=[FIRST]).incident_id is None
    placed = found.place(late(185, -55), alive=[FIRST])
    assert placed.incident_id == FIRST
    assert placed.because.startswith("its check looked at 240 min, in which that began")
    assert found.place(late(185, 125), alive=[FIRST]).incident_id is None


def test_a_late_drift_alert_joins_what_is_over_if_it_went_on_then() -> None:
    found = groups(seen("dataset:orders", name="late"), seen("feature:orders_7d", 2, name="nulls"))
    found.close(FIRST)
    assert found.place(late(185, -55)).incident_id is None
    assert found.place(late(185, -55), alive=[FIRST]).incident_id == FIRST


def test_what_is_recalled_for_late_checks_alone_takes_nothing_else() -> None:
    known, found = groups(seen("dataset:orders")), Groups(WORLD)
    found.recall(known.remember(FIRST), aside=True)
    assert joined(found, seen("dataset:orders", 3)) is None
    assert found.place(late(50, -10), alive=[FIRST]).incident_id == FIRST
    found.add(FIRST, late(50, -10))
    assert joined(found, seen("dataset:orders", 51)) == FIRST


def test_a_check_of_a_day_must_mean_one_incident_more_than_all_others() -> None:
    found = groups(seen("dataset:orders"), others=[seen("dataset:orders", 70)])
    assert found.place(late(185, -55), alive=[FIRST]).incident_id == FIRST
    assert found.place(late(185, -55), alive=[FIRST, SECOND]).incident_id is None


def test_late_checks_see_what_has_joined_since_the_last_one() -> None:
    members = [seen("feature:ip_risk", name="nulls"), seen("dataset:orders", 1, name="late")]
    asked = groups(members[0])
    before = asked.place(late(185, -55), alive=[FIRST])
    asked.add(FIRST, members[1])
    recalled = groups(members[0])
    recalled.place(late(185, -55), alive=[FIRST])
    recalled.recall(asked.remember(FIRST), aside=True)
    whole = groups(*members).place(late(185, -55), alive=[FIRST])
    assert before.incident_id is None
    assert asked.place(late(185, -55), alive=[FIRST]) == whole == recalled.place(late(185, -55), alive=[FIRST])
    assert whole.incident_id == FIRST


def test_what_a_late_check_tells_of_does_not_draw_what_happens_when_it_is_made() -> None:
    found = groups(seen("dataset:orders"))
    found.add(FIRST, late(185, -55))
    assert joined(found, seen("model:demand", 186)) is None
    assert found.remember(FIRST).times == ((at(0).timestamp() // 60),)


def test_a_window_of_more_than_three_days_or_none_dates_nothing() -> None:
    assert late(0, -73 * 60).since is None
    assert late(0, 5).since is None
    assert late(0, -60).since == at(-60)


def test_ml_subjects_are_given_more_time() -> None:
    assert joined(groups(seen("dataset:orders")), seen("model:churn", 50, name="drift")) is None
    rare = groups(seen("dataset:orders")).place(seen("model:churn", 50, name="drift"), rate_per_day=0.02)
    assert rare.incident_id == FIRST
    assert (
        groups(seen("service:payments")).place(seen("service:web", 50, name="Slow"), rate_per_day=0.02).incident_id
        is None
    )


def test_an_unknown_subject_joins_only_itself() -> None:
    found = groups(seen("host:n1", name="DiskFull"))
    assert joined(found, seen("host:n1", 4, name="MemoryFull")) == FIRST
    assert joined(found, seen("host:n2", 1, name="DiskFull")) is None
    assert joined(found, seen("service:checkout", 1, name="DiskFull")) is None


def test_what_has_ended_takes_no_more_until_one_of_its_own_alerts_is_back() -> None:
    found = groups(seen("service:checkout"))
    found.close(FIRST)
    assert joined(found, seen("service:checkout", 1)) is None
    assert joined(found, seen("service:payments", 1)) is None
    found.add(FIRST, seen("service:checkout", 2))
    assert joined(found, seen("service:checkout", 3, name="HighLatency")) == FIRST


def test_of_equal_groups_the_older_wins() -> None:
    assert joined(groups(seen("service:web"), others=[seen("service:web")]), seen("service:web", 1, "Slow")) == FIRST
    later = groups(seen("service:web", 0), others=[seen("service:web", -0.5), seen("service:web", 0)])
    assert joined(later, seen("service:web", 1, "Slow")) == SECOND


def test_an_alert_that_joined_draws_the_next_one() -> None:
    found = groups(seen("service:ledger"))
    far = seen("service:checkout", 40, name="Slow")
    assert joined(found, far) is None
    found.add(FIRST, seen("service:payments", 30))
    assert joined(found, far) == FIRST


def test_at_most_two_hundred_groups_are_compared_and_the_one_that_grew_longest_ago_goes() -> None:
    found = Groups(WORLD)
    found.add(UUID(int=1000), seen("service:payments", -10, name="Old"))
    for i in range(200):
        found.add(UUID(int=i), seen("service:mail", i / 100, name=f"a{i}"))
    assert joined(found, seen("service:checkout", -9)) is None
    assert joined(found, seen("service:mail", 2, name="a0")) == UUID(int=0)


def test_tokens_mask_numbers_and_ids() -> None:
    assert tokens_of("HighErrorRate checkout-7d9f8b6c5-x2k9p") == {"high", "error", "rate", "checkout", "#"}
    assert tokens_of("PSI_over_0.2") == {"psi", "over", "#"}


@given(st.permutations([("service:web", 0), ("service:checkout", 1), ("service:payments", 2), ("service:ledger", 4)]))
def test_a_cascade_is_one_incident_in_any_order(cascade: list[tuple[str, float]]) -> None:
    found = Groups(WORLD)
    ids = set()
    for i, (subject, minute) in enumerate(cascade):
        alert = seen(subject, minute)
        incident_id = joined(found, alert) or UUID(int=i + 1)
        found.add(incident_id, alert)
        ids.add(incident_id)
    assert ids == {FIRST}


def test_a_group_that_lost_its_row_to_200_others_is_still_remembered_whole() -> None:
    found = Groups(WORLD)
    for number in range(MAX_GROUPS + 50):
        found.add(UUID(int=number + 1), seen(f"service:shop-{number}", minute=number))
    assert [found.remember(UUID(int=number + 1)).times for number in (0, 30)] == [
        ((at(0).timestamp() // 60),),
        ((at(30).timestamp() // 60),),
    ]
    found.add(FIRST, seen("service:web", 260))
    assert dict(found.remember(FIRST).subjects).keys() == {"service:shop-0", "service:web"}


def test_a_hub_whose_other_dependants_are_silent_explains_nothing_in_the_end() -> None:
    hub = catalog({**{f"service:s{i}": ["service:hub"] for i in range(20)}, "service:leaf": ["service:s0"]})
    found = Groups(hub, [(FIRST, [seen("service:s0"), seen("service:s0", 12, name="Slow")], NOON)])
    assert joined(found, seen("service:s7", 13)) is None
    assert joined(found, seen("service:leaf", 13)) == FIRST


def test_what_alerts_all_the_time_binds_nothing() -> None:
    found = Groups(WORLD)
    found.add(FIRST, seen("service:payments"), rate_per_day=40)
    assert joined(found, seen("service:checkout", 8, name="Slow")) is None
    found.add(FIRST, seen("service:payments", 1, name="Errors"))
    assert joined(found, seen("service:checkout", 8, name="Slow")) == FIRST


def test_what_alerts_all_the_time_does_not_keep_an_incident_young() -> None:
    found = groups(seen("service:payments"))
    found.add(FIRST, seen("service:ledger", 50, name="Noise"), rate_per_day=40)
    assert found.remember(FIRST).times == ((at(0).timestamp() // 60),)


def test_an_alert_that_left_its_incident_does_not_return_by_its_name() -> None:
    found = groups(seen("service:checkout"))
    assert found.place(seen("service:checkout", 300), left=FIRST).incident_id is None


def test_what_is_recalled_places_as_what_was_known() -> None:
    known = Groups(WORLD)
    for alert, rate in ((seen("service:payments"), 0.1), (seen("service:ledger", 2, "Noise"), 9.0)):
        known.add(FIRST, alert, rate_per_day=rate)
    recalled = Groups(WORLD)
    recalled.recall(known.remember(FIRST))
    late = seen("service:web", 9, name="Slow")
    assert recalled.place(late, rate_per_day=0.3) == known.place(late, rate_per_day=0.3)
    assert recalled.remember(FIRST) == known.remember(FIRST)
