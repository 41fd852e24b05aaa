"""What is weighed in columns comes out as if it had been weighed one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.decide.builders import NOON, at, change
from tocsin.decide.candidates import Candidates, candidates_of
from tocsin.decide.overlap import OVERLAP_MIN, heads, overlapping
from tocsin.decide.ranks import largest, median
from tocsin.domain.change import PREPARES, Change, ChangeKind

NUMBERS = st.floats(-1e6, 1e6)
MADE = st.builds(
    lambda n, subject, seconds, kind, run: replace(
        change(f"c{n}", f"service:{subject}", 0),
        occurred_at=NOON - timedelta(seconds=seconds),
        kind=kind,
        labels={"run_id": run} if run else {},
    ),
    st.integers(0, 30),
    st.sampled_from("abc"),
    st.integers(0, 600),
    st.sampled_from([ChangeKind.SERVICE_DEPLOYED, ChangeKind.PIPELINERUN_FINISHED, ChangeKind.BUILD_FINISHED]),
    st.sampled_from(["", "", "r1", "r2"]),
)
SOME = st.lists(MADE, max_size=12, unique_by=lambda one: one.id)


@given(st.lists(st.integers(-3, 3)), st.integers(1, 8))
def test_the_largest_are_those_that_sorting_all_puts_first(values: list[int], most: int) -> None:
    numbers = np.array(values, dtype=np.float64)
    assert largest(numbers, most).tolist() == np.argsort(-numbers, kind="stable")[:most].tolist()


@given(st.lists(NUMBERS, min_size=1))
def test_the_median_is_that_of_numpy(values: list[float]) -> None:
    assert median(np.array(values)) == pytest.approx(float(np.median(values)), rel=1e-12)


@given(SOME, st.data())
def test_candidates_stand_in_the_order_of_time_and_ids(made: list[Change], data: st.DataObject) -> None:
    expected = [one.id for one in sorted(made, key=lambda one: (one.occurred_at, one.id))]
    found = candidates_of(data.draw(st.permutations(made)), at(1), at(1))
    assert found.ids == expected
    assert found.digest == candidates_of(made, at(1), at(1)).digest


@given(SOME, st.data())
def test_each_group_is_headed_and_weighed_as_if_by_hand(made: list[Change], data: st.DataObject) -> None:
    found = candidates_of(made, at(1), at(1))
    own = np.array(data.draw(st.lists(NUMBERS, min_size=len(made), max_size=len(made))))
    names = sorted({one.subject for one in found.changes})
    places = np.array([names.index(one.subject) for one in found.changes], dtype=np.intp)
    lags = (at(1).timestamp() - found.stamps) / 60
    groups = overlapping(found, lags, places)
    speakers, masses = heads(groups, own)
    by_hand = {}
    for group in _groups(found, lags):
        first = max(group, key=lambda i: (_before_others(found.changes[i]), own[i], i))
        most = max(own[i] for i in group)
        each = {places[i]: max(own[j] for j in group if places[j] == places[i]) for i in group}
        by_hand[first] = most + math.log(math.fsum(math.exp(one - most) for one in each.values()))
        assert groups.group_of(first) == sorted(group)
    assert speakers.tolist() == sorted(by_hand)
    assert masses.tolist() == pytest.approx([by_hand[i] for i in sorted(by_hand)], rel=1e-12, abs=1e-12)


def _groups(found: Candidates, lags: np.ndarray) -> list[set[int]]:
    """What is connected by one run, or by one subject within two minutes."""
    groups: list[set[int]] = []
    for i, one in enumerate(found.changes):
        beside = [group for group in groups if any(_overlap(one, lags[i], found.changes[j], lags[j]) for j in group)]
        groups = [group for group in groups if group not in beside] + [{i}.union(*beside)]
    return groups


def _overlap(one: Change, lag: float, other: Change, other_lag: float) -> bool:
    run = one.labels.get("run_id")
    near = one.subject == other.subject and abs(lag - other_lag) <= OVERLAP_MIN
    return near or (run is not None and run == other.labels.get("run_id"))


def _before_others(one: Change) -> tuple[bool, bool]:
    return one.kind is ChangeKind.PIPELINERUN_FINISHED and "run_id" in one.labels, one.kind not in PREPARES


def test_moments_that_are_read_are_in_our_own_utc() -> None:
    """Those of another zone, be it UTC by another name, take ten times as long to compare."""
    told = orjson.dumps(replace(change("c", "service:a", 0), finished_at=datetime(2031, 2, 3, 13, tzinfo=UTC)))
    known = TypeAdapter(Change).validate_json(told.replace(b"+00:00", b"Z"))
    assert known.occurred_at.tzinfo is UTC
    assert known.finished_at == at(60)
    assert known.finished_at.tzinfo is UTC
