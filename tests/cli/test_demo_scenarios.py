"""The demo tells the same story at any hour: its times are minutes before now, and no business hours decide."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.rehearsal import Rehearsal, mappings_at
from tocsin.decide.redact import Redactor
from tocsin.decide.rules import nearest_change
from tocsin.decide.wording import Pen
from tocsin.domain.incident import Band, GateState, Incident
from tocsin.domain.policy import Redaction, Want

TUESDAY = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
SUNDAY_IN_BERLIN = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
"""03:30 on the wall in Berlin: inside the shipped window of warehouse-*."""
MOMENTS = pytest.mark.parametrize("now", [TUESDAY, SUNDAY, SUNDAY_IN_BERLIN], ids=["Tuesday", "Sunday", "in a window"])


def rehearse(now: datetime, directory: Path) -> Rehearsal:
    return Rehearsal(now, mappings_at(now, directory))


def told(incident: Incident) -> tuple[str, str, str, str]:
    """(head, want or mute, team, likely cause) in words."""
    assert incident.enrichment
    assert incident.gate
    assert incident.routing
    assert incident.attribution
    first = incident.attribution.first
    likely = first is not None and first.band is Band.LIKELY
    cause = Pen(Redactor(Redaction()), "UTC", incident.opened_at).change(first.change) if first and likely else ""
    want = incident.routing.want if incident.gate.state is GateState.ACTIVE else incident.gate.reason
    return incident.enrichment.head, want, incident.routing.ownership.team, cause


@MOMENTS
def test_each_story_becomes_its_own_incident_with_its_cause(now: datetime, tmp_path: Path) -> None:
    found = {told(incident) for incident in rehearse(now, tmp_path).incidents()}
    assert found == {
        ("job:ingest-orders", Want.TICKET, "data-engineering", "run ingest-orders #8841"),
        ("service:checkout", Want.PAGE, "platform", "deploy checkout v4.8.1"),
        ("model:fraud", Want.TICKET, "ml", "promotion fraud #12"),
        ("service:search", Want.TICKET, "platform", "flag search semantic-rerank"),
        ("provider:parcel-y", Want.TICKET, "platform", ""),
        ("host:build-1", "recovered_before_persisting", "platform", ""),
        ("host:warehouse-1", "in_window", "platform", ""),
        ("feature:review_length", Want.NONE, "ml", ""),
    }


@MOMENTS
def test_the_latest_change_is_always_the_innocent_one(now: datetime, tmp_path: Path) -> None:
    rehearsal = rehearse(now, tmp_path)
    pen = Pen(Redactor(Redaction()), "UTC", now)
    latest = {
        told(incident)[0]: nearest_change(incident, list(rehearsal.changes.values()))
        for incident in rehearsal.incidents()
    }
    named = {pen.change(change) for change in latest.values() if change}
    decoys = {scenario.nearest for scenario in rehearsal.scenarios if scenario.nearest}
    assert decoys <= named
    assert decoys.isdisjoint({scenario.blames for scenario in rehearsal.scenarios})


def test_every_webhook_carries_the_credential_of_its_producer(tmp_path: Path) -> None:
    verdicts = rehearse(TUESDAY, tmp_path).verdicts
    assert {verdict.verdict for verdict in verdicts} == {"verified"}
    assert len(verdicts) > 400


@MOMENTS
def test_recovery_ends_every_alert(now: datetime, tmp_path: Path) -> None:
    rehearsal = rehearse(now, tmp_path)
    for scenario in rehearsal.scenarios:
        rehearsal.post(scenario.recovery)
    assert [m for incident in rehearsal.incidents() for m in incident.firing] == []
