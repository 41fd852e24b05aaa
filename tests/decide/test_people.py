"""Is what a person did news? By the vendor's order, once, and never our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.acts import Ledger
from tocsin.decide.hands import priority_of, team_of
from tocsin.decide.people import People
from tocsin.domain.catalog import Catalog, Team
from tocsin.domain.incident import IncidentState
from tocsin.domain.message import RecordAction, RecordUpdate
from tocsin.domain.people import Kept, Stance
from tocsin.domain.policy import Inbound, Policy

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEY = "5d1f0a6b8c2e4f7091a3b5c7d9e0f214"
INCIDENT = UUID(int=7)
KEPT = Kept(
    id=UUID(hex=KEY),
    incident_id=INCIDENT,
    destination="snow",
    kind="servicenow",
    key=KEY,
    external_id=KEY,
    number="INC0010001",
    expected=frozenset({"open"}),
)


def update(action: RecordAction, **said: object) -> RecordUpdate:
    fields: dict[str, object] = {
        "source": "servicenow",
        "hook": "sn",
        "environment": "production",
        "action": action,
        "external_id": KEY,
        "record_key": KEY,
        "actor": "kim.doe",
        "actor_kind": "user",
        "occurred_at": NOW,
        "received_at": NOW,
        **said,
    }
    return RecordUpdate(**fields)  # type: ignore[arg-type]


def look(stands: str, minutes: float = 0, **said: object) -> RecordUpdate:
    """A polled row."""
    at = NOW + timedelta(minutes=minutes)
    more = {"snapshot": True, "stands": stands, "occurred_at": at, "event_id": f"look {minutes}", **said}
    return update(RecordAction.UPDATED, **more)


def people(kept: Kept = KEPT, policy: Policy | None = None) -> People:
    ledger = Ledger(catalog=Catalog(), clean=str)
    return People(policy=policy or Policy(), ledger=ledger, records={KEY: (kept,)})


def reasons(of: People, updates: Sequence[RecordUpdate]) -> list[str]:
    return [
        f"{deed.action} {deed.reason}" for one in updates for deed in of.take(one, NOW, lambda _: IncidentState.OPEN)
    ]


def test_what_we_wrote_ourselves_is_known_by_account_and_by_marker() -> None:
    ours = update(RecordAction.ACKNOWLEDGED, actor="tocsin", actor_kind="integration")
    echo = update(RecordAction.COMMENTED, comment="News.\n[toc:1a2b3c4d]", event_id="c1")
    assert reasons(people(), [ours, echo]) == ["acknowledged own_write", "commented own_write"]


def test_an_earlier_generation_says_nothing_of_the_incident_any_more() -> None:
    assert reasons(people(replace(KEPT, latest=False)), [update(RecordAction.RESOLVED)]) == [
        "resolved earlier_generation"
    ]


def test_a_look_tells_what_was_done_since_the_look_before() -> None:
    told = reasons(
        people(),
        [
            look("open", 0, group="Platform", priority="3", actor_kind="integration"),
            look("acknowledged", 1, group="Platform", priority="3"),
            look("acknowledged", 2, group="Network", priority="2"),
            look("resolved", 3, group="Network", priority="2"),
            look("closed", 4, group="Network", priority="2", actor="system", actor_kind="integration"),
        ],
    )
    assert told == [
        "updated nothing_new",
        "acknowledged taken",
        "reassigned taken",
        "priority_changed taken",
        "resolved taken",
        "updated nothing_new",
    ]


def test_how_a_record_stands_by_our_own_doing_is_no_act_of_a_person() -> None:
    resolved = replace(KEPT, expected=frozenset({"resolved"}))
    assert reasons(people(resolved), [look("resolved", 1, actor_kind="integration")]) == ["updated nothing_new"]
    assert reasons(people(resolved), [look("acknowledged", 2)]) == ["reopened taken"]


def test_the_first_look_compares_with_what_we_left() -> None:
    left = replace(KEPT, sent={"assigned_to": "", "assignment_group": "g1"})
    untouched = look("open", 1, group="Platform", values={"assigned_to": "", "assignment_group": "g1"})
    moved = look("open", 1, group="Network", values={"assigned_to": "", "assignment_group": "g2"})
    assert reasons(people(left), [untouched]) == ["updated nothing_new"]
    assert reasons(people(left), [moved]) == ["reassigned taken"]


def test_a_confirmed_cause_that_we_wrote_does_not_come_back_as_somebody_s_word() -> None:
    wrote = replace(KEPT, sent={"caused_by": "c1"}, stance=Stance(stands="open"))
    of = people(wrote)
    assert reasons(of, [look("open", 1, caused_by="CHG0030001", values={"caused_by": "c1"})]) == ["updated nothing_new"]
    assert of.ledger.lessons == []


def test_only_a_named_person_teaches() -> None:
    of = people()
    reasons(of, [update(RecordAction.CAUSE_SET, caused_by="CHG1", actor="", actor_kind="", event_id="a", revision=1)])
    assert of.ledger.lessons == []
    reasons(of, [update(RecordAction.CAUSE_SET, caused_by="CHG2", event_id="b", revision=2)])
    assert [lesson.named for lesson in of.ledger.lessons] == ["CHG2"]


def test_a_destination_s_own_policy_goes_before_its_kind_s_and_the_defaults() -> None:
    policy = Policy(inbound={"defaults": Inbound(acknowledge="ignore"), "servicenow": Inbound(acknowledge="note")})
    assert policy.inbound_of("snow", "servicenow").acknowledge == "note"
    assert policy.inbound_of("pd", "pagerduty").acknowledge == "ignore"
    own = replace(policy, inbound={**policy.inbound, "snow": Inbound(acknowledge="mirror")})
    assert own.inbound_of("snow", "servicenow").acknowledge == "mirror"


STEPS = (
    update(RecordAction.ACKNOWLEDGED, revision=2, event_id="2"),
    update(RecordAction.REASSIGNED, revision=3, event_id="3", group="Network"),
    update(RecordAction.RESOLVED, revision=4, event_id="4"),
    update(RecordAction.REOPENED, revision=5, event_id="5"),
)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_whatever_order_updates_arrive_the_last_word_stands(order: tuple[int, ...]) -> None:
    of = people()
    reasons(of, [STEPS[at] for at in order])
    stance = of.stances[KEPT.id]
    assert (stance.stands, stance.group) == ("open", "Network")


@given(st.lists(st.sampled_from(STEPS), max_size=12))
def test_updates_that_come_again_change_nothing(arrived: list[RecordUpdate]) -> None:
    once, often = people(), people()
    seen: list[RecordUpdate] = []
    for one in arrived:
        if one not in seen:
            seen.append(one)
    reasons(once, seen)
    reasons(often, arrived)
    assert once.ledger.hands == often.ledger.hands
    assert once.ledger.words == often.ledger.words
    assert once.stances == often.stances


@pytest.mark.parametrize(
    ("said", "priority"),
    [("1 - Critical", 1), ("P2", 2), ("Highest", 1), ("Medium", 3), ("4", 4), ("Lowest", 5), ("Sev-Zero", 0), ("", 0)],
)
def test_priorities_in_each_desk_s_words(said: str, priority: int) -> None:
    assert priority_of(said) == priority


def test_a_group_that_two_teams_share_names_neither() -> None:
    one = Team(name="a", destinations={"snow": {"assignment_group": "Network"}})
    two = Team(name="b", destinations={"servicenow": {"assignment_group": "Network"}})
    assert team_of(Catalog(teams={"a": one}), KEPT, "Network") == "a"
    assert team_of(Catalog(teams={"a": one, "b": two}), KEPT, "Network") == ""
