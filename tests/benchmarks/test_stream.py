"""The figures of the stream benchmark on cases small enough to count by hand."""

from __future__ import annotations

from benchmarks.attribution.world import LAWS
from benchmarks.stream.measure import agreement
from benchmarks.stream.rivals import episodes, paging
from benchmarks.stream.world import FLAPPING, OUTAGE, TRANSIENT, Sent, Stream


def test_the_same_groups_under_other_names_agree_wholly() -> None:
    found = agreement([1, 1, 2, 2], ["b", "b", "a", "a"])
    assert (found.precision, found.recall, found.f1, found.ari, found.splits, found.merges) == (1, 1, 1, 1, 0, 0)


def test_pairs_are_counted() -> None:
    found = agreement([1, 1, 1, 2], ["a", "a", "b", "b"])
    assert (found.precision, found.recall, found.splits, found.merges) == (1 / 2, 1 / 3, 1, 1)


def test_reports_within_fifteen_minutes_are_one_alert() -> None:
    sent = [Sent(at=at, node=1, rule=OUTAGE, alert=0) for at in (0.0, 14.0, 28.0, 60.0)]
    assert [(one.first, one.last) for one in episodes(sent)] == [(0.0, 28.0), (60.0, 60.0)]


def test_two_subjects_or_ten_minutes_page_and_flapping_never() -> None:
    sent = [
        Sent(at=0.0, node=1, rule=TRANSIENT),
        Sent(at=1.0, node=2, rule=FLAPPING),
        Sent(at=2.0, node=3, rule=OUTAGE, alert=0),
        Sent(at=3.0, node=4, rule=OUTAGE, alert=1),
    ]
    found = episodes(sent)
    assert paging(found, [0, 0, 1, 1]) == [{0, 1}]
    assert paging(found, [0, 1, 2, 3]) == []


def test_outages_that_strike_again_are_the_same_outages_and_leave_all_else_as_it_is() -> None:
    once = Stream(law=LAWS["matched"], seed=11, per_day=120.0, days=2)
    twice = Stream(law=LAWS["matched"], seed=11, per_day=120.0, days=2, returns=1.0)
    first = len(once.symptoms)
    assert twice.symptoms[:first] == once.symptoms
    assert [one for one in twice.sent if one.alert < first] == once.sent
    over = {once.symptoms[one.alert].outage: one.at for one in once.sent if one.alert >= 0}
    again = twice.symptoms[first:]
    assert again
    assert all(one.at > over[one.outage] for one in again)
