"""Incidents of one cause become a family, and are parted when the causes differ after all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from tests.decide.tickets import Case, at, blame, catalog_of, change, entry, firing
from tocsin.decide.merging import asked_again, family_of
from tocsin.domain.alert import Symptom
from tocsin.domain.change import ChangeKind
from tocsin.domain.family import Kin
from tocsin.domain.incident import Incident, IncidentState

FLAG = change(ChangeKind.FEATURE_FLAG_CHANGED, "service:search", "09:20")
WORLD = catalog_of(entry("service:search"), entry("service:mail"))


def incident(probability: float, number: int = 7, clock: str = "09:40") -> Incident:
    case = Case(
        members=(firing("service:search", clock, Symptom.ERRORS),),
        catalog=WORLD,
        attribution=blame(clock, (FLAG, probability), no_change=1 - probability),
    )
    return replace(case.incident(), id=UUID(int=number), number=number, opened_at=at(clock))


def kin_of(one: Incident, **given: object) -> Kin:
    assert one.attribution is not None
    assert one.attribution.first is not None
    facts: dict[str, object] = {
        "id": one.id, "display": one.display, "title": "Search errors", "opened_at": one.opened_at,
        "parent_id": one.parent_id, "causes": frozenset({one.attribution.first.change.id}),
        "probability": one.attribution.first.probability,
    }  # fmt: skip
    return Kin(**{**facts, **given})  # type: ignore[arg-type]


def test_the_later_of_two_with_the_same_likely_cause_is_the_child() -> None:
    early, late = incident(0.9, 1, "09:40"), incident(0.9, 2, "09:55")
    joined = family_of(late, [kin_of(early)])
    assert joined.parent_id == early.id
    assert family_of(early, [kin_of(late)]).parent_id is None


def test_a_mere_suspicion_joins_nothing() -> None:
    assert family_of(incident(0.79, 2, "09:55"), [kin_of(incident(0.95, 1))]).parent_id is None
    assert family_of(incident(0.95, 2, "09:55"), [kin_of(incident(0.79, 1))]).parent_id is None


def test_what_was_joined_stays_until_the_cause_is_doubted() -> None:
    early, late = incident(0.9, 1), replace(incident(0.6, 2, "09:55"), parent_id=UUID(int=1))
    assert family_of(late, [kin_of(early)]).parent_id == early.id
    doubted = replace(incident(0.4, 2, "09:55"), parent_id=UUID(int=1))
    assert family_of(doubted, [kin_of(early)]).parent_id is None


def test_a_child_is_nobodys_parent() -> None:
    middle = kin_of(incident(0.9, 2, "09:50"), parent_id=UUID(int=1))
    first = kin_of(incident(0.9, 1))
    assert family_of(incident(0.9, 3, "09:55"), [middle, first]).parent_id == UUID(int=1)


def test_a_parent_that_recovers_frees_its_children() -> None:
    early, late = incident(0.9, 1), incident(0.9, 2, "09:55")
    over = replace(early, state=IncidentState.RESOLVED, resolved_at=early.opened_at + timedelta(hours=1))
    child = kin_of(late, parent_id=early.id)
    assert asked_again(early, over, [child]) == {late.id}
    assert family_of(replace(late, parent_id=early.id), []).parent_id is None


def test_when_the_earlier_one_learns_its_cause_last_the_later_is_asked_again() -> None:
    early, late = incident(0.9, 1), incident(0.9, 2, "09:55")
    assert asked_again(early, early, [kin_of(late)]) == {late.id}
    assert asked_again(late, replace(late, parent_id=early.id), [kin_of(early)]) == {early.id}
