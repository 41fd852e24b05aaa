"""Beyond the cap one parent stands for the rest: the pressing go first, and nobody is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.builders import wanted
from tocsin.decide.cap import capped, group_of, left, parent, storm_id
from tocsin.decide.plan import Desk
from tocsin.decide.redact import Redactor
from tocsin.domain.alert import Severity
from tocsin.domain.catalog import Catalog, Team
from tocsin.domain.policy import Destination, Redaction, Want
from tocsin.domain.record import Plan, Record, Told
from tocsin.domain.storm import Absorbed, Group, Storm

NOW = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)
GROUP = Group(environment="production", destination="desk", team="platform")


def desk(cap: int) -> Desk:
    return Desk(
        installation_id=UUID(int=1),
        destinations={"desk": Destination(name="desk", kind="servicenow", max_new_per_hour=cap)},
        reopens={},
        holds_ticket={},
        catalog=Catalog(teams={"platform": Team(name="platform", title="Platform", timezone="Europe/Berlin")}),
        redactor=Redactor(Redaction()),
        public_url="https://tocsin.example",
    )


def plan(number: int, severity: Severity = Severity.ERROR, want: Want = Want.TICKET) -> Plan:
    opened = wanted(
        incident_id=UUID(int=number),
        display=f"TOC-{number}",
        severity=severity,
        want=want,
        team="platform",
        opened_at=NOW + timedelta(seconds=number),
    )
    told = Told(at=NOW, state="open", severity=severity, subjects=())
    return Plan(
        id=uuid4(),
        incident_id=opened.incident_id,
        environment="production",
        destination="desk",
        kind="servicenow",
        generation=1,
        mode="live",
        wanted=opened,
        told=told,
    )


def storm(total: int, still: int) -> Storm:
    examples = tuple(
        Absorbed(
            incident_id=UUID(int=n),
            display=f"TOC-{n}",
            title="Checkout is slow",
            severity=Severity.ERROR,
            want=Want.TICKET,
            opened_at=NOW,
        )
        for n in range(min(total, 15))
    )
    return Storm(
        id=UUID(int=7),
        group=GROUP,
        started_at=NOW,
        total=total,
        still=still,
        severity=Severity.ERROR,
        examples=examples,
    )


def record(made: Plan, **said: object) -> Record:
    known = Record(
        id=made.id,
        incident_id=made.incident_id,
        environment=made.environment,
        destination=made.destination,
        kind=made.kind,
        generation=1,
        mode="live",
        state="settled",
        wanted=made.wanted,
        sent_version=1,
        told=made.told,
        created_at=NOW,
    )
    return replace(known, **said)  # type: ignore[arg-type]


def test_what_presses_most_gets_the_room_that_is_left() -> None:
    plans = [plan(1), plan(2, Severity.WARNING), plan(3, Severity.CRITICAL), plan(4, Severity.WARNING, Want.PAGE)]
    result = capped(plans, {p.id for p in plans}, {("desk", "platform"): 58}, desk(60))
    assert [p.wanted.display for p in result.plans] == ["TOC-3", "TOC-4"]
    assert [a.display for found in result.absorbed.values() for a in found] == ["TOC-1", "TOC-2"]


def test_records_that_stand_already_are_never_capped() -> None:
    plans = [plan(n) for n in range(5)]
    assert capped(plans, {plans[0].id}, {}, desk(1)).plans == tuple(plans)


def test_critical_pages_have_a_parent_of_their_own() -> None:
    page, ticket = plan(1, Severity.CRITICAL, Want.PAGE), plan(2)
    assert group_of(page) == replace(GROUP, critical_page=True)
    assert group_of(ticket) == GROUP
    made, _ = parent(replace(storm(3, 3), group=group_of(page), severity=Severity.CRITICAL), None, desk(2), now=NOW)
    assert made is not None
    assert (made.wanted.want, made.wanted.severity) == (Want.PAGE, Severity.CRITICAL)


@given(
    severities=st.lists(st.sampled_from(list(Severity)), min_size=1, max_size=40),
    cap=st.integers(1, 20),
    taken=st.integers(0, 30),
)
def test_every_new_record_is_let_through_or_absorbed_and_the_cap_holds(
    severities: list[Severity], cap: int, taken: int
) -> None:
    plans = [plan(n, severity) for n, severity in enumerate(severities, start=1)]
    result = capped(plans, {p.id for p in plans}, {("desk", "platform"): taken}, desk(cap))
    absorbed = [a for found in result.absorbed.values() for a in found]
    assert len(result.plans) + len(absorbed) == len(plans)
    assert len(result.plans) == min(len(plans), max(0, cap - taken))
    worst_out = min((a.severity.rank for a in absorbed), default=99)
    assert all(p.wanted.severity.rank <= worst_out for p in result.plans)
    again = capped(list(reversed(plans)), {p.id for p in plans}, {("desk", "platform"): taken}, desk(cap))
    assert {p.id for p in again.plans} == {p.id for p in result.plans}, "the order of a batch does not matter"


def test_the_parent_counts_names_and_has_the_teams_clock() -> None:
    made, _ = parent(storm(37, 37), None, desk(60), now=NOW)
    assert made is not None
    assert made.wanted.title == "Storm: 37 more incidents for Platform since 15:02"
    assert "TOC-3 error: Checkout is slow" in made.wanted.body
    assert made.wanted.body.endswith("and 22 more")
    assert made.wanted.body.count("\n") < 25


def test_a_parent_that_went_out_tells_its_count_in_notes_at_most_once_a_minute() -> None:
    first, _ = parent(storm(3, 3), None, desk(1), now=NOW)
    assert first is not None
    sent = record(first)
    planned, again_at = parent(storm(9, 9), sent, desk(1), now=NOW + timedelta(seconds=30))
    assert (planned, again_at) == (None, NOW + timedelta(seconds=60))
    told, _ = parent(storm(9, 9), sent, desk(1), now=NOW + timedelta(seconds=61))
    assert told is not None
    assert told.note is not None
    assert told.note.text.startswith("9 incidents by now, 6 more:")
    assert told.wanted.title == first.wanted.title, "what went out once stays"


def test_a_storm_that_stands_for_nobody_any_more_is_resolved() -> None:
    first, _ = parent(storm(3, 3), None, desk(1), now=NOW)
    assert first is not None
    ended, _ = parent(storm(3, 0), record(first), desk(1), now=NOW + timedelta(hours=1))
    assert ended is not None
    assert (ended.wanted.status, ended.wanted.resolved_at) == ("resolved", NOW + timedelta(hours=1))


def test_incidents_leave_a_storm_with_a_record_or_because_they_are_over() -> None:
    recorded, waits, over = plan(1), plan(2), UUID(int=3)
    result = capped([recorded, waits], {recorded.id, waits.id}, {}, desk(1))
    holds = {recorded.incident_id, waits.incident_id, over}
    assert left(holds, GROUP, result) == {recorded.incident_id: "recorded", over: "over"}


def test_a_storms_id_is_the_same_whoever_decides() -> None:
    assert storm_id(UUID(int=1), GROUP, UUID(int=2)) == storm_id(UUID(int=1), GROUP, UUID(int=2))
    assert storm_id(UUID(int=1), GROUP, UUID(int=2)) != storm_id(UUID(int=9), GROUP, UUID(int=2))
