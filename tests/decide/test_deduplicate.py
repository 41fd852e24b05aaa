from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import NOON, alert, at
from tocsin.decide.deduplicate import due_at, expire, is_flapping, merge
from tocsin.domain.alert import Alert, AlertState, Resolves, Severity, Status, Transition
from tocsin.domain.policy import Flapping

NEVER = Flapping(opens=10**6)
FLAPS = Flapping(opens=3, within=timedelta(hours=3), quiet=timedelta(minutes=30))


def fires(minutes: float | None, **facts: Any) -> Alert:
    return alert(starts_at=None if minutes is None else at(minutes), **facts)


def ends(minutes: float | None, **facts: Any) -> Alert:
    return alert(status=Status.RESOLVED, ends_at=None if minutes is None else at(minutes), **facts)


def told(
    reports: Sequence[Alert], *, flapping: Flapping = NEVER, every: float = 0.01, first: float = 600
) -> tuple[AlertState, list[Transition]]:
    """The state after these reports, received one after the other, from ten hours after noon unless told otherwise."""
    known: AlertState | None = None
    did = []
    for i, report in enumerate(reports):
        known, transition = merge(known, report, flapping, now=at(first + i * every))
        did.append(transition)
    assert known is not None
    return known, did


def flapped(turns: int, flapping: Flapping = FLAPS) -> tuple[AlertState, list[Transition]]:
    """It fires for five minutes out of every ten, `turns` times, reported as it happens."""
    known: AlertState | None = None
    did = []
    for turn in range(turns):
        for report, minute in ((fires(turn * 10), turn * 10), (ends(turn * 10 + 5), turn * 10 + 5)):
            known, transition = merge(known, report, flapping, now=at(minute))
            did.append(transition)
    assert known is not None
    return known, did


def test_a_first_firing_is_new_and_the_same_again_a_repeat() -> None:
    known, did = told([fires(0), fires(0), fires(0)])
    assert did == [Transition.NEW, Transition.REPEAT, Transition.REPEAT]
    assert (known.status, known.episode, known.reports, known.starts_at) == (Status.FIRING, 1, 3, NOON)


def test_a_worse_severity_or_another_version_changes_it() -> None:
    known, did = told(
        [fires(0), fires(0, severity=Severity.CRITICAL), fires(0, severity=Severity.CRITICAL, model_version="7")]
    )
    assert did == [Transition.NEW, Transition.CHANGED, Transition.CHANGED]
    assert (known.alert.severity, known.alert.model_version) == (Severity.CRITICAL, "7")


def test_a_resolve_ends_it_and_keeps_what_the_firing_said() -> None:
    known, did = told([fires(0, observed=4.2), ends(20, severity=Severity.INFO)])
    assert did == [Transition.NEW, Transition.RESOLVED]
    assert (known.status, known.ends_at, known.firing_keys) == (Status.RESOLVED, at(20), ())
    assert (known.alert.observed, known.alert.severity, known.alert.status) == (4.2, Severity.ERROR, Status.RESOLVED)


def test_it_fires_until_the_last_of_its_keys_has_ended() -> None:
    known, did = told([fires(0), fires(3, sender_key="b"), ends(5), ends(9, sender_key="b")])
    assert did == [Transition.NEW, Transition.REPEAT, Transition.STILL_FIRING, Transition.RESOLVED]
    assert (known.starts_at, known.ends_at) == (at(0), at(9))


def test_two_rules_of_one_name_stand_at_the_worse_severity_without_flickering() -> None:
    warning = fires(0, severity=Severity.WARNING)
    critical = fires(1, severity=Severity.CRITICAL, sender_key="b")
    known, did = told([warning, critical, warning, critical, ends(9, sender_key="b")])
    assert did == [Transition.NEW, Transition.CHANGED, Transition.REPEAT, Transition.REPEAT, Transition.CHANGED]
    assert (known.status, known.alert.severity) == (Status.FIRING, Severity.WARNING)


def test_a_later_start_after_the_end_is_a_new_episode() -> None:
    known, did = told([fires(0), ends(5), fires(8)])
    assert did[-1] is Transition.REFIRED
    assert (known.episode, known.starts_at, known.ends_at) == (2, at(8), None)


def test_a_late_resolve_of_an_earlier_span_does_not_end_this_one() -> None:
    known, did = told([fires(0), ends(5), fires(8), ends(6)])
    assert did[-1] is Transition.STALE
    assert known.status is Status.FIRING


def test_a_resolve_for_an_unknown_alert_is_a_tombstone_and_the_firing_it_covers_arrives_closed() -> None:
    known, did = told([ends(5)])
    assert (did, known.status, known.episode) == ([Transition.TOMBSTONE], Status.RESOLVED, 0)
    known, did = told([ends(5), fires(0), fires(7)])
    assert did == [Transition.TOMBSTONE, Transition.COVERED, Transition.REFIRED]
    assert (known.episode, known.starts_at) == (2, at(7))


def test_a_firing_later_than_the_tombstone_is_new() -> None:
    known, did = told([ends(5), fires(6)])
    assert did[-1] is Transition.NEW
    assert known.episode == 1


def test_a_late_retry_of_an_ended_firing_arrives_closed() -> None:
    assert told([fires(0), ends(5), fires(0)])[1][-1] is Transition.COVERED


def test_without_sender_times_receipt_order_rules() -> None:
    known, did = told([fires(None), fires(None), ends(None), ends(None), fires(None)], every=1, first=0)
    assert did == [Transition.NEW, Transition.REPEAT, Transition.RESOLVED, Transition.REPEAT, Transition.REFIRED]
    assert (known.episode, known.starts_at) == (2, at(4))


def test_an_untimed_resolve_does_not_cover_a_newer_start_of_a_slow_clock() -> None:
    known, _ = merge(None, fires(0), NEVER, now=at(30))
    known, ended = merge(known, ends(None), NEVER, now=at(60))
    assert (ended, known.ends_at) == (Transition.RESOLVED, at(60))
    assert merge(known, fires(40), NEVER, now=at(70))[1] is Transition.REFIRED
    assert merge(known, fires(0), NEVER, now=at(70))[1] is Transition.COVERED


def test_a_clock_ahead_of_ours_is_clamped_to_two_minutes() -> None:
    known, _ = merge(None, fires(60), NEVER, now=at(0))
    assert known.starts_at == at(2)


def test_senders_clocks_are_not_compared_with_each_other() -> None:
    _, did = told([ends(50), fires(10, sender_key="b")])
    assert did[-1] is Transition.NEW


def test_a_flapping_alert_opens_no_further_episode_and_is_held_open_until_it_is_quiet() -> None:
    known, did = flapped(5)
    assert did == [
        Transition.NEW,
        Transition.RESOLVED,
        Transition.REFIRED,
        Transition.RESOLVED,
        Transition.REFIRED,
        *[Transition.FLAPPING] * 5,
    ]
    assert (known.status, known.firing_keys, known.episode, known.starts_at) == (Status.FIRING, (), 3, at(20))
    assert due_at(known) == known.flapping_until == at(45 + 30)
    assert is_flapping(known, now=at(60))
    assert expire(known, now=at(74)) is None
    over = expire(known, now=at(75))
    assert over is not None
    assert (over.status, over.ends_at, due_at(over)) == (Status.RESOLVED, at(45), None)


def test_a_flapping_alert_that_goes_on_firing_ends_as_any_other_once_the_spell_is_over() -> None:
    known, _ = flapped(3)
    known, _ = merge(known, fires(40), FLAPS, now=at(40))
    assert due_at(known) is None
    known, did = merge(known, ends(200), FLAPS, now=at(200))
    assert (did, known.episode, known.ends_at) == (Transition.RESOLVED, 3, at(200))


def test_a_report_after_the_quiet_finds_the_held_episode_ended() -> None:
    known, _ = flapped(3)
    known, did = merge(known, fires(400), FLAPS, now=at(400))
    assert (did, known.episode) == (Transition.REFIRED, 4)


def test_an_alert_whose_sender_never_resolves_ends_by_expiry() -> None:
    report = fires(0, resolves=Resolves.EXPIRY, expires_after=timedelta(minutes=30))
    known, _ = merge(None, report, NEVER, now=at(0))
    known, _ = merge(known, report, NEVER, now=at(20))
    assert due_at(known) == at(50)
    assert expire(known, now=at(49)) is None
    over = expire(known, now=at(55))
    assert over is not None
    assert (over.status, over.ends_at) == (Status.RESOLVED, at(50))
    again, did = merge(over, report, NEVER, now=at(60))
    assert (did, again.episode) == (Transition.REFIRED, 2)


def test_an_expiring_alert_without_a_span_lapses_after_a_day() -> None:
    known, _ = merge(None, fires(0, resolves=Resolves.EXPIRY), NEVER, now=at(0))
    assert due_at(known) == at(24 * 60)


def test_memory_is_bounded() -> None:
    known, _ = told([fires(i * 3, sender_key=f"key-{i % 90}") for i in range(300)])
    assert len(known.keys) == 32
    assert all(len(k.starts) <= 6 for k in known.keys)
    crawling, _ = told([fires(i) for i in range(50)])
    assert (crawling.starts_at, len(crawling.keys[0].starts)) == (at(0), 6)


REPORTS = st.lists(
    st.builds(
        lambda minute, resolved, lasted: (
            ends(minute, starts_at=None if lasted is None else at(minute - lasted)) if resolved else fires(minute)
        ),
        st.integers(0, 40),
        st.booleans(),
        st.none() | st.integers(0, 5),
    ),
    min_size=1,
    max_size=5,
)


@given(REPORTS, st.randoms(use_true_random=False))
def test_timed_reports_of_one_key_end_the_same_in_any_order(reports: list[Alert], chance: Any) -> None:
    shuffled = reports[:]
    chance.shuffle(shuffled)
    one, other = told(reports)[0], told(shuffled)[0]
    assert (one.status, one.starts_at, one.ends_at) == (other.status, other.starts_at, other.ends_at)


def test_two_spans_in_every_order() -> None:
    spans = [fires(0), ends(5), fires(8), ends(20)]
    assert {(s.starts_at, s.ends_at) for s in (told(p)[0] for p in permutations(spans))} == {(at(8), at(20))}


KEYED = st.lists(
    st.builds(
        lambda minute, resolved, key: (ends if resolved else fires)(minute, sender_key=key),
        st.none() | st.integers(0, 40),
        st.booleans(),
        st.sampled_from("abc"),
    ),
    min_size=1,
    max_size=12,
)


def facts(state: AlertState) -> AlertState:
    """The state without its counters."""
    return replace(state, reports=0, last_received_at=NOON, expires_at=None)


@given(KEYED)
def test_the_same_report_twice_changes_only_counters(reports: list[Alert]) -> None:
    known, _ = told(reports)
    again, did = merge(known, reports[-1], NEVER, now=known.last_received_at + timedelta(seconds=1))
    assert facts(again) == facts(known)
    assert did in (Transition.REPEAT, Transition.STALE, Transition.COVERED)


@given(KEYED, st.sampled_from([NEVER, FLAPS]))
def test_it_fires_exactly_while_a_key_fires_or_a_spell_holds_it(reports: list[Alert], flapping: Flapping) -> None:
    known, _ = told(reports, flapping=flapping)
    assert known.firing_keys == tuple(sorted(k.key for k in known.keys if k.fires))
    assert (known.status is Status.FIRING) == bool(known.firing_keys or known.flapping_until)
    assert (known.ends_at is None) == (known.status is Status.FIRING)
    assert all(one < two for k in known.keys for one, two in pairwise(k.starts))
