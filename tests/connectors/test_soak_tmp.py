"""Whatever goes wrong, and in whatever order: one outage, one record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connectors.builders import after, note, task, wanted
from tests.connectors.test_contract import OVER_HTTP, SECRET, contract, sent
from tocsin import simulators
from tocsin.domain.record import Task

TROUBLE = (
    "commit_then_drop",
    "drop_before_commit",
    "server_error_before",
    "server_error_after",
    "rate_limit",
    "html_200",
)
FAULTS = st.fixed_dictionaries(
    {"fault": st.sampled_from(TROUBLE), "times": st.integers(1, 4), "skip": st.integers(0, 3)},
    optional={"match": st.fixed_dictionaries({"method": st.sampled_from(("POST", "PATCH", "GET"))})},
)
STEPS = st.lists(st.sampled_from(("open", "worse", "note", "resolve")), min_size=1, max_size=3)


@pytest.fixture(scope="module", params=OVER_HTTP)
def vendor(request: pytest.FixtureRequest) -> Iterator[simulators.Running]:
    with simulators.start(request.param, **{"password": SECRET, **contract(request.param)["simulator"]}) as running:
        yield running


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=st.lists(FAULTS, max_size=4), steps=STEPS)
def test_no_trouble_makes_two_records(
    vendor: simulators.Running, faults: list[dict[str, Any]], steps: list[str]
) -> None:
    vendor.reset()
    for fault in faults:
        vendor.front.plans.add(fault)
    current = task(wanted=wanted(links=()))
    for number, step in enumerate(["open", *steps]):
        current = brought(vendor, stepped(current, step, number))
    assert len(records(vendor)) == 1
    assert len(texts_of_notes(records(vendor)[0], vendor)) == len(set(texts_of_notes(records(vendor)[0], vendor)))


def stepped(before: Task, step: str, number: int) -> Task:
    """The next thing that delivery wants."""
    if step == "worse":
        return replace(before, wanted=replace(before.wanted, severity="critical", impact=1))  # type: ignore[arg-type]
    if step == "note":
        return replace(before, notes=(note(number, f"Note {number}."),))
    if step == "resolve":
        return replace(before, wanted=replace(before.wanted, status="resolved"))
    return before


def brought(vendor: simulators.Running, wish: Task) -> Task:
    """Attempts until one settles, as delivery makes them."""
    for _ in range(40):
        outcome = sent(vendor.kind, vendor.url, wish)
        wish = after(outcome, wish)
        if outcome.settled:
            return wish
        assert outcome.result != "rejected", outcome
        wish = replace(wish, now=wish.now + (outcome.after or timedelta(seconds=60)))
    raise AssertionError(f"never settled: {outcome}")


def records(vendor: simulators.Running) -> list[dict[str, Any]]:
    found = vendor.state()[contract(vendor.kind)["records"]]
    assert isinstance(found, list)
    return found


def texts_of_notes(record: dict[str, Any], vendor: simulators.Running) -> list[str]:
    if vendor.kind == "servicenow":
        journal = vendor.state().get("sys_journal_field", [])
        assert isinstance(journal, list)
        return [row["value"] for row in journal]
    return [str(one.get("body") or one.get("content")) for one in record.get("comments", record.get("notes", []))]
