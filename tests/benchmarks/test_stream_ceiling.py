"""The ceiling of the stream benchmark on a world small enough to see."""

from __future__ import annotations

from benchmarks.attribution.world import LAWS
from benchmarks.stream.ceiling import Ceiling
from benchmarks.stream.measure import agreement
from benchmarks.stream.world import Stream


def test_who_knows_the_world_groups_far_better_than_by_time() -> None:
    stream = Stream(law=LAWS["matched"], seed=11, per_day=120.0, days=2)
    truth = [symptom.outage for symptom in stream.symptoms]
    found = Ceiling(stream).by_alert()
    assert agreement(truth, found).f1 > 0.8
    assert Ceiling(stream).by_alert() == found
