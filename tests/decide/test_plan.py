"""Which records does an incident get, when its route moves while it lasts?"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tests.decide.tickets import DRIFTED, REDACTOR, Case, at, catalog_of, entry, firing, team
from tocsin.decide.plan import Desk, plan
from tocsin.domain.alert import Symptom
from tocsin.domain.incident import Gate, GateState, Incident
from tocsin.domain.policy import Destination, Mode, Want
from tocsin.domain.record import Plan, Record

WORLD = catalog_of(entry("model:churn"), teams={"platform": team("platform")})
DESK = Desk(
    installation_id=UUID(int=1),
    destinations={
        kind: Destination(name=kind, kind=kind, mode=Mode.LIVE) for kind in ("jira", "servicenow", "pagerduty")
    },
    reopens={},
    holds_ticket={"pagerduty": False},
    catalog=WORLD,
    redactor=REDACTOR,
    public_url="https://tocsin.example.com",
)


def routed(*destinations: str) -> Incident:
    one = Case(members=(firing("model:churn", "09:40", Symptom.PREDICTION_DRIFT),), catalog=WORLD).incident()
    assert one.routing is not None
    active = Gate(state=GateState.ACTIVE, reason="active")
    return replace(one, gate=active, routing=replace(one.routing, want=Want.TICKET, destinations=destinations))


def kept(planned: Plan, *, attempts: int) -> Record:
    """The record as it stands once the plan was written and sent so often."""
    return Record(
        id=planned.id,
        incident_id=planned.incident_id,
        environment=planned.environment,
        destination=planned.destination,
        kind=planned.kind,
        generation=planned.generation,
        mode=planned.mode,
        state="settled" if attempts else "pending",
        wanted=planned.wanted,
        told=planned.told,
        attempts=attempts,
        sent_version=attempts,
        sent_wanted=planned.wanted if attempts else None,
        external_id="1" if attempts else "",
        created_at=at("09:41"),
    )


def planned(incident: Incident, *records: Record) -> dict[str, str]:
    """Destination → wanted status of what is planned anew."""
    return {p.destination: p.wanted.status for p in plan(incident, records, DESK, now=at("09:42")).plans}


def opened(destination: str, *, attempts: int) -> Record:
    [first] = plan(routed(destination), [], DESK, now=at("09:41")).plans
    return kept(first, attempts=attempts)


def test_a_route_to_two_desks_opens_both() -> None:
    assert planned(routed("jira", "servicenow")) == {"jira": "open", "servicenow": "open"}
    assert planned(routed("jira", "servicenow"), opened("jira", attempts=1)) == {"servicenow": "open"}


def test_a_ticket_that_went_out_stays_the_ticket_when_the_route_moves() -> None:
    assert planned(routed("servicenow"), opened("jira", attempts=1)) == {}


def test_a_ticket_that_waits_is_called_off_when_the_route_moves() -> None:
    assert planned(routed("servicenow"), opened("jira", attempts=0)) == {"jira": "resolved", "servicenow": "open"}


def test_a_page_comes_beside_the_ticket_that_there_is() -> None:
    assert planned(routed("pagerduty", "servicenow"), opened("jira", attempts=1)) == {"pagerduty": "open"}


def test_what_was_called_off_goes_out_with_its_present_text_when_the_route_comes_back() -> None:
    before = opened("jira", attempts=0)
    resolved = replace(before.wanted, status="resolved")
    called_off = replace(before, wanted=resolved, sent_wanted=resolved, sent_version=1, attempts=1)
    assert called_off.never_went_out
    assert planned(routed("jira"), called_off) == {"jira": "open"}


def test_a_drift_without_a_cause_brings_its_numbers_as_a_file() -> None:
    active = replace(DRIFTED.incident(), gate=Gate(state=GateState.ACTIVE, reason="active"))
    assert active.routing is not None
    assert active.enrichment is not None
    ticket = replace(active, routing=replace(active.routing, destinations=("servicenow",)))
    desk = replace(DESK, attaches={"servicenow": True}, catalog=DRIFTED.catalog)
    (file,) = plan(ticket, [], desk, now=DRIFTED.now).plans[0].attachments
    text = file.content.decode()
    assert "12 reported of 50 watched, 12 tested" in text
    assert "feature:device_locale: shifted" in text
    assert "400 rows against 5,000; p = " in text
    untested = replace(ticket, enrichment=replace(active.enrichment, drift=None))
    assert plan(untested, [], desk, now=DRIFTED.now).plans[0].attachments == ()
