"""Dependencies that the catalogue lacks, found by who alerted when causes were confirmed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.experience import Experience, Learner, Lesson
from tocsin.decide.pattern import missing_edges
from tocsin.domain.alert import AlertState
from tocsin.domain.subject import Subject

STORES = ["database", "queue", "cache", "disk"]
SHOP = catalog(
    {
        **{f"service:{store}": [] for store in STORES},
        "service:orders": [f"service:{store}" for store in STORES],
        "service:mail": [],  # rests on the orders, but nobody has told the catalogue
        **{f"service:other{n}": [] for n in range(60)},
    }
)
ORDERS, MAIL = Subject("service:orders"), Subject("service:mail")


def taught(*outages: tuple[str, Sequence[str]]) -> Experience:
    """What confirmed outages teach: the cause, and who alerted."""
    learner = Learner()
    for n, (cause, alerted) in enumerate(outages):
        made = change(f"c{n}", f"service:{cause}", -20)
        members: list[AlertState] = [state(f"service:{one}") for one in alerted]
        learner.take(Lesson(members=members, changes=[made], catalog=SHOP, decided_at=at(5), told=True, cause=made.id))
    return learner.experience


def found(experience: Experience) -> dict[tuple[Subject, Subject], float]:
    edges = missing_edges(SHOP, experience.spread, experience.remembered)
    return {(edge.upstream, edge.downstream): edge.probability for edge in edges}


BELOW_THREE = [(store, [store, "orders", "mail"]) for store in STORES[:3]]


def test_outages_of_several_roots_agree_on_the_one_edge_that_explains_them_all() -> None:
    """Mail alerted whatever the orders rest on had failed: what they share is the orders."""
    edges = found(taught(*BELOW_THREE))
    assert edges[ORDERS, MAIL] > 0.8
    assert max((p for edge, p in edges.items() if edge != (ORDERS, MAIL)), default=0.0) < 0.1


def test_a_root_that_was_never_a_cause_is_blamed_by_an_edge_that_others_have_shown() -> None:
    deploys = [change("on-disk", "service:disk", -20), change("on-mail", "service:mail", -20)]
    outage = incident(state("service:orders"), state("service:mail", started=1))
    silent = [(store, [store, "orders"]) for store, _ in BELOW_THREE]
    before, after = (
        attribute(outage, deploys, SHOP, now=at(5), experience=taught(*outages)) for outages in (silent, BELOW_THREE)
    )
    on_disk, on_mail = (
        [next(one for one in answer.suspects if one.change.id == change.id) for answer in (before, after)]
        for change in deploys
    )
    assert on_disk[0].probability < on_mail[0].probability
    assert on_disk[1].probability > 3 * on_mail[1].probability
    assert "it cannot explain service:mail: no known dependency" in on_disk[0].against
    assert any(
        said.startswith("service:mail seems to rest on service:orders, though no") for said in on_disk[1].because
    )
    assert not any("service:mail" in said for said in on_disk[1].against)


def test_who_stays_silent_otherwise_had_only_strayed() -> None:
    quiet = [(store, [store, "orders"]) for store in STORES * 3]
    assert found(taught(*BELOW_THREE[:2]))[ORDERS, MAIL] > 0.5
    assert max(found(taught(BELOW_THREE[0], *quiet)).values(), default=0.0) < 0.05


def test_one_strange_alert_shows_no_edge() -> None:
    assert max(found(taught(BELOW_THREE[0])).values(), default=0.0) < 0.3


def test_what_the_catalogue_has_is_not_missing_from_it() -> None:
    assert found(taught(*[(store, [store, "orders"]) for store in STORES * 3])) == {}


@given(st.permutations(range(6)))
def test_the_order_of_lessons_changes_no_edge(order: list[int]) -> None:
    outages = [*BELOW_THREE, ("other3", ["other3", "mail"]), ("disk", ["orders"]), ("orders", ["orders", "other4"])]
    one, other = found(taught(*outages)), found(taught(*(outages[i] for i in order)))
    assert one.keys() == other.keys()
    assert [other[edge] for edge in one] == pytest.approx(list(one.values()))
