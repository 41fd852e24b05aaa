"""Page, ticket or nothing: first rule wins, everybody has an owner, and owners stay put."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decide.tickets import DEPLOY, RUN, STORM, at, blame, catalog_of, entry, firing, team
from tocsin.decide.route import impact_urgency, in_business_hours, priority, reassign, route
from tocsin.domain.alert import AlertState, Cohort, Severity, Symptom
from tocsin.domain.catalog import Catalog, Criticality, Ownership, Owns, Risk, Team
from tocsin.domain.incident import Attribution, Gate, GateState, Incident, IncidentState, Routing
from tocsin.domain.policy import Condition, Policy, Rule, Want
from tocsin.domain.subject import Subject

NOW = at("10:00")
DEFAULTS = {Want.PAGE: ("pagerduty",), Want.TICKET: ("servicenow",)}
CATALOG = catalog_of(
    entry("service:checkout", "service:payments", owner="shop", criticality=Criticality.HIGH, origin="services.yaml:4"),
    entry("service:payments", "job:ledger"),
    entry("job:ledger", owner="finance"),
    teams={"shop": team("shop", timezone="Europe/Berlin"), "finance": team("finance")},
)


def incident(*members: AlertState, **given: Any) -> Incident:
    facts: dict[str, Any] = {"id": UUID(int=1), "number": 1, "environment": "production", "state": IncidentState.OPEN}
    return Incident(
        opened_at=NOW, members=members or (firing("service:checkout", "10:00", Symptom.ERRORS),), **{**facts, **given}
    )


def paging(when: Condition | None = None, **given: Any) -> Policy:
    return Policy(rules=(Rule(name="page it", want=Want.PAGE, when=when or Condition(), **given),), defaults=DEFAULTS)


def test_the_first_rule_that_holds_decides() -> None:
    rules = (
        Rule(name="models", want=Want.NONE, when=Condition(subjects=("model:*",))),
        Rule(name="errors", want=Want.TICKET, when=Condition(symptoms=frozenset({Symptom.ERRORS})), origin="p.yaml:3"),
        Rule(name="rest", want=Want.PAGE),
    )
    found = route(incident(), CATALOG, Policy(rules=rules, defaults=DEFAULTS), now=NOW)
    assert (found.want, found.rule, found.origin) == (Want.TICKET, "errors", "p.yaml:3")
    assert found.destinations == ("servicenow",)
    assert found.ownership == Ownership(team="shop", why="shop owns service:checkout", where="services.yaml:4")


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        (Condition(subjects=("service:check*",)), True),
        (Condition(subjects=("service:pay*",)), False),
        (Condition(sources=frozenset({"grafana"})), False),
        (Condition(environments=frozenset({"production"})), True),
        (Condition(environments=frozenset({"staging"})), False),
        (Condition(severity=Severity.WARNING), True),
        (Condition(severity=Severity.CRITICAL), False),
        (Condition(criticality=Criticality.MEDIUM), True),
        (Condition(criticality=Criticality.CRITICAL), False),
        (Condition(risk=Risk.LOW), True),
        (Condition(risk=Risk.HIGH), False),
        (Condition(cohorts=frozenset({Cohort.CANARY})), False),
        (Condition(labels={"tier": "1"}), True),
        (Condition(labels={"tier": "2"}), False),
        (Condition(probability=0.5), False),
        (Condition(business_hours=True), True),
        (Condition(business_hours=False), False),
    ],
)
def test_a_condition_holds_when_all_that_is_given_holds(when: Condition, holds: bool) -> None:
    member = firing("service:checkout", "10:00", Symptom.ERRORS, labels={"tier": "1"})
    assert (route(incident(member), CATALOG, paging(when), now=NOW).rule == "page it") is holds


def test_what_speaks_of_alerts_must_hold_for_one_alert() -> None:
    mixed = incident(
        firing("service:checkout", "10:00", Symptom.ERRORS, severity=Severity.WARNING),
        firing("model:churn", "10:00", Symptom.PERFORMANCE, severity=Severity.CRITICAL),
    )
    when = Condition(symptoms=frozenset({Symptom.ERRORS}), severity=Severity.CRITICAL)
    assert route(mixed, CATALOG, paging(when), now=NOW).rule == "default"


def test_a_rule_may_ask_how_likely_the_cause_is() -> None:
    sure = incident(attribution=blame("10:00", (DEPLOY, 0.9), no_change=0.1))
    assert route(sure, CATALOG, paging(Condition(probability=0.8)), now=NOW).rule == "page it"


def test_without_a_rule_a_warning_is_a_ticket_and_info_is_nothing() -> None:
    policy = Policy(defaults=DEFAULTS)
    warning = incident(firing("service:checkout", "10:00", Symptom.ERRORS, severity=Severity.WARNING))
    info = incident(firing("service:checkout", "10:00", Symptom.ERRORS, severity=Severity.INFO))
    assert route(warning, CATALOG, policy, now=NOW).want is Want.TICKET
    silent = route(info, CATALOG, policy, now=NOW)
    assert (silent.want, silent.destinations, silent.ownership.team) == (Want.NONE, (), "shop")
    assert route(info, CATALOG, paging(), now=NOW).want is Want.PAGE


def test_a_page_brings_its_ticket_unless_the_rule_names_its_ways() -> None:
    assert route(incident(), CATALOG, paging(), now=NOW).destinations == ("pagerduty", "servicenow")
    assert route(incident(), CATALOG, paging(destinations=("eu",)), now=NOW).destinations == ("eu",)


def test_a_flapping_incident_never_pages() -> None:
    flapping = incident(gate=Gate(state=GateState.ACTIVE, reason="flapping"))
    spell = incident(
        replace(firing("service:checkout", "10:00", Symptom.ERRORS), flapping_until=NOW + timedelta(minutes=9))
    )
    for calmed in (flapping, spell):
        found = route(calmed, CATALOG, paging(destinations=("pagerduty",)), now=NOW)
        assert (found.want, found.destinations) == (Want.TICKET, ("servicenow",))
        assert "flaps" in found.because


# --- whose ticket ---


def owner_of(made: Incident, catalog: Catalog, policy: Policy | None = None) -> Ownership:
    return route(made, catalog, policy or Policy(), now=NOW).ownership


def test_an_explicit_route_beats_everybody() -> None:
    assert route(incident(), CATALOG, paging(team="sre"), now=NOW).ownership.why == "sre is named by the route"


def test_the_owner_of_a_likely_cause_gets_it_a_possible_one_does_not() -> None:
    catalog = replace_owns(CATALOG, Owns(pattern="job:ingest-*", team="data", origin="teams/data.yaml:9"))
    likely = incident(attribution=blame("10:00", (RUN, 0.8), no_change=0.1))
    possible = incident(attribution=blame("10:00", (RUN, 0.7), no_change=0.1))
    assert owner_of(likely, catalog) == Ownership(team="data", why="data owns job:ingest-*", where="teams/data.yaml:9")
    assert owner_of(possible, catalog).team == "shop"


def replace_owns(catalog: Catalog, *owns: Owns) -> Catalog:
    return Catalog(entries=catalog.entries, teams=catalog.teams, owns=owns, catch_all=catalog.catch_all)


def test_the_symptoms_owner_comes_before_the_subjects() -> None:
    policy = Policy(owners_by_symptom={Symptom.ERRORS: "sre"})
    assert owner_of(incident(), CATALOG, policy).why == "sre handles errors"
    claimed = replace_owns(CATALOG, Owns(pattern="service:*", team="web", symptoms=frozenset({Symptom.ERRORS})))
    assert owner_of(incident(), claimed, policy).team == "web"


def test_lineage_finds_the_nearest_owner() -> None:
    made = incident(firing("service:payments", "10:00", Symptom.ERRORS))
    found = owner_of(made, CATALOG)
    assert found.team == "finance"
    assert found.why == "finance owns job:ledger, and service:payments rests on job:ledger"


def test_what_nobody_owns_goes_to_the_catch_all() -> None:
    made = incident(firing("host:db-1", "10:00", Symptom.SATURATION))
    assert owner_of(made, CATALOG).why == "platform gets what nobody owns: no team claims host:db-1"


def held(**given: Any) -> Incident:
    routing = Routing(want=Want.TICKET, rule="r", because="b", ownership=Ownership(team="old", why="old owns it"))
    return incident(routing=routing, **given)


def test_one_automatic_reassignment_and_none_after_a_person() -> None:
    new = Ownership(team="new", why="new owns it")
    assert reassign(incident(), new) == new
    assert reassign(held(), new) == new
    assert reassign(held(reassigned=True), new).team == "old"
    assert reassign(held(human_touched=True), new).team == "old"
    assert owner_of(held(human_touched=True), CATALOG).team == "old"


ATTRIBUTIONS: st.SearchStrategy[Attribution | None] = st.sampled_from(
    [None, STORM.attribution, blame("10:00", (RUN, 0.9), no_change=0.1), blame("10:00", no_change=1.0)]
)


@settings(deadline=None)
@given(
    subject=st.sampled_from(["service:checkout", "service:payments", "model:x", "unknown:y", "provider:z", "odd"]),
    symptom=st.sampled_from(list(Symptom)),
    severity=st.sampled_from(list(Severity)),
    attribution=ATTRIBUTIONS,
    when=st.sampled_from([Condition(), Condition(severity=Severity.ERROR), Condition(business_hours=False)]),
    want=st.sampled_from(list(Want)),
    catch_all=st.sampled_from(["platform", ""]),
    now=st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)),  # noqa: DTZ001
)
def test_routing_is_total(**drawn: Any) -> None:
    """Whatever happens, there is an owner, a rule and a reason; nothing goes where nothing is wanted."""
    member = firing(drawn["subject"], "10:00", drawn["symptom"], severity=drawn["severity"])
    catalog = Catalog(entries=CATALOG.entries, teams=CATALOG.teams, catch_all=drawn["catch_all"])
    policy = Policy(rules=(Rule(name="r", want=drawn["want"], when=drawn["when"]),), defaults=DEFAULTS)
    found = route(incident(member, attribution=drawn["attribution"]), catalog, policy, now=drawn["now"])
    assert found.ownership.team
    assert found.ownership.why
    assert found.rule
    assert found.because
    assert bool(found.destinations) is (found.want is not Want.NONE)


# --- hours ---

BERLIN = Team(name="b", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        (datetime(2031, 3, 28, 8, 0, tzinfo=UTC), True),  # Friday 09:00 CET, the first minute
        (datetime(2031, 3, 28, 7, 59, tzinfo=UTC), False),
        (datetime(2031, 3, 31, 7, 0, tzinfo=UTC), True),  # Monday 09:00 CEST, summer time since Sunday
        (datetime(2031, 3, 31, 15, 0, tzinfo=UTC), False),  # 17:00 CEST
        (datetime(2031, 3, 29, 10, 0, tzinfo=UTC), False),  # Saturday
        (datetime(2031, 10, 27, 7, 30, tzinfo=UTC), False),  # 08:30 CET, winter time again
        (datetime(2031, 10, 27, 15, 30, tzinfo=UTC), True),  # 16:30 CET
    ],
)
def test_business_hours_follow_the_teams_wall_clock(now: datetime, open_: bool) -> None:
    assert in_business_hours(BERLIN, now) is open_


def test_hours_over_midnight_belong_to_the_day_they_open() -> None:
    night = Team(name="n", business_hours=("22:00", "06:00"), business_days=(4,))
    friday, saturday = datetime(2031, 3, 28, 23, 0, tzinfo=UTC), datetime(2031, 3, 29, 5, 0, tzinfo=UTC)
    assert in_business_hours(night, friday)
    assert in_business_hours(night, saturday)
    assert not in_business_hours(night, saturday + timedelta(hours=18))
    assert not in_business_hours(night, friday - timedelta(hours=18))


# --- how much it matters ---


@pytest.mark.parametrize(
    ("severity", "criticality", "risk", "want", "expected"),
    [
        (Severity.CRITICAL, Criticality.LOW, Risk.LOW, Want.PAGE, (1, 1)),
        (Severity.ERROR, Criticality.MEDIUM, Risk.LOW, Want.PAGE, (2, 1)),
        (Severity.WARNING, Criticality.CRITICAL, Risk.LOW, Want.PAGE, (1, 2)),
        (Severity.ERROR, Criticality.MEDIUM, Risk.LOW, Want.TICKET, (2, 2)),
        (Severity.WARNING, Criticality.LOW, Risk.LOW, Want.TICKET, (3, 3)),
        (Severity.WARNING, Criticality.LOW, Risk.HIGH, Want.TICKET, (2, 3)),
    ],
)
def test_impact_is_what_is_hit_and_urgency_how_soon(
    severity: Severity, criticality: Criticality, risk: Risk, want: Want, expected: tuple[int, int]
) -> None:
    made = incident(firing("service:x", "10:00", Symptom.ERRORS, severity=severity))
    assert impact_urgency(made, entry("service:x", criticality=criticality, risk=risk), want) == expected


def test_an_unknown_item_has_medium_impact() -> None:
    assert impact_urgency(incident(), None, Want.TICKET) == (2, 2)


def test_priority_is_the_service_desks_default_table() -> None:
    table = {(1, 1): 1, (1, 2): 2, (2, 1): 2, (1, 3): 3, (2, 2): 3, (3, 1): 3, (2, 3): 4, (3, 2): 4, (3, 3): 5}
    assert {key: priority(*key) for key in table} == table


def test_the_head_matches_a_rule_although_it_does_not_alert() -> None:
    likely = STORM.incident()
    assert likely.enrichment is not None
    moved = replace(likely, enrichment=replace(likely.enrichment, head=Subject("job:ledger")), routing=None)
    found = route(moved, CATALOG, paging(Condition(subjects=("job:*",))), now=NOW)
    assert found.rule == "page it"


def test_a_team_without_an_address_is_reached_through_the_one_it_escalates_to() -> None:
    catalog = Catalog(
        teams={
            "churn": Team(name="churn", escalates_to="ml"),
            "ml": Team(name="ml", escalates_to="platform", destinations={"jira": {"project": "ML"}}),
            "platform": Team(name="platform", escalates_to="churn", destinations={"pager": {"routing_key": "main"}}),
        }
    )
    assert catalog.address("churn", "jira", "jira") == {"project": "ML"}
    assert catalog.address("churn", "pager", "pagerduty") == {"routing_key": "main"}
    assert catalog.address("ml", "servicenow", "servicenow") == {}, "the circle ends"
    assert catalog.address("unknown", "jira", "jira") == {}
