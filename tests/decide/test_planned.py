"""Approved change requests as maintenance windows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.planned import with_approved
from tocsin.decide.suppress import gate
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import Gate, GateState
from tocsin.domain.policy import Policy

WORLD = catalog({"service:checkout": ["host:db-1"]})


def request(subject: str = "service:checkout", *, approved: str = "true", **labels: Any) -> Change:
    times = {"planned_start": at(-30).isoformat(), "planned_end": at(60).isoformat()}
    found = change("c1", subject, -30)
    return replace(
        found, kind=ChangeKind.CHANGE_REQUEST, ticket="CHG0030007", labels={"approved": approved, **times, **labels}
    )


def asked(*changes: Change, subject: str = "service:checkout", policy: Policy | None = None) -> Gate:
    plain = policy or Policy()
    return gate(incident(state(subject)), with_approved(plain, changes, WORLD), WORLD, now=at(5))


def test_an_approved_window_mutes_until_it_ends() -> None:
    found = asked(request())
    assert (found.state, found.reason, found.until) == (GateState.MUTED, "in_window", at(60))
    assert "CHG0030007" in found.because


def test_what_has_the_configuration_items_name_is_covered_whatever_its_kind() -> None:
    assert asked(request("service:db-1"), subject="host:db-1").state is GateState.MUTED
    assert asked(request("service:db-*"), subject="host:db-1").state is GateState.ACTIVE


@pytest.mark.parametrize(
    "other",
    [
        request(approved="false"),
        request("service:payments"),
        request(planned_end=at(0).isoformat()),
        request(planned_start=at(10).isoformat()),
        request(planned_end=(at(-30) + timedelta(days=8)).isoformat()),
        request(planned_end="soon"),
        request(planned_end=""),
        request(planned_start="2026-11-21T10:00:00"),
        replace(request(), kind=ChangeKind.SERVICE_DEPLOYED),
        replace(request(), environment="staging"),
    ],
)
def test_nothing_else_mutes(other: Change) -> None:
    assert asked(other).state is GateState.ACTIVE


def test_without_a_request_the_policy_stays_as_it_is() -> None:
    policy = Policy()
    assert with_approved(policy, [change("c1", "service:checkout", -30)], WORLD) is policy
