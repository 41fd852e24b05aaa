"""What alerted before when this subject was the confirmed cause, and who alerted first."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.experience import Experience, Learner, Lesson
from tocsin.decide.guard import COLD_MODEL, LEARNED, guarded
from tocsin.domain.alert import AlertState
from tocsin.domain.change import Change
from tocsin.domain.subject import Subject

SHOP = catalog(
    {
        "service:shop": ["service:cart"],
        "service:cart": [],
        "service:mail": [],  # rests on the cart, but nobody has told the catalogue
        "service:search": [],
    }
)


def taught(*outages: Sequence[AlertState], cause: str = "service:cart") -> Experience:
    """What so many confirmed outages of one cause teach."""
    learner = Learner()
    for n, members in enumerate(outages):
        made = change(f"c{n}", cause, -20)
        learner.take(Lesson(members=members, changes=[made], catalog=SHOP, decided_at=at(5), told=True, cause=made.id))
    return learner.experience


BOTH = [state("service:mail"), state("service:cart", started=1)]
CHANGES = [change("on-cart", "service:cart", -20), change("on-search", "service:search", -20)]


def test_who_alerted_with_it_before_is_expected_again_though_the_catalogue_lacks_the_edge() -> None:
    alone = incident(state("service:mail"))
    fresh = attribute(alone, CHANGES, SHOP, now=at(5), experience=taught([state("service:cart")]))
    wise = attribute(alone, CHANGES, SHOP, now=at(5), experience=taught(BOTH, BOTH))
    assert wise.suspects[0].change.id == "on-cart"
    assert wise.suspects[0].terms["pattern"] > fresh.suspects[0].terms["pattern"] + 1
    words = "service:mail alerted in 2 of 2 earlier outages that service:cart caused, though no dependency is known"
    assert words in wise.suspects[0].because
    assert not any("cannot explain service:mail" in against for against in wise.suspects[0].against)


def test_what_happened_beside_one_of_many_outages_is_no_edge() -> None:
    """Whoever causes much, or is blamed for much, does not therefore reach all that ever alerted meanwhile."""
    alone = [state("service:cart")]
    once, seldom = (
        attribute(incident(state("service:mail")), CHANGES, SHOP, now=at(5), experience=taught(BOTH, *[alone] * more))
        for more in (0, 11)
    )
    on_cart = [next(s for s in found.suspects if s.change.id == "on-cart") for found in (once, seldom)]
    assert on_cart[1].terms["pattern"] < on_cart[0].terms["pattern"] - 1


def test_one_strange_alert_is_no_rule() -> None:
    once = taught(BOTH).past[Subject("service:cart")]
    assert (once.incidents, once.alerted[Subject("service:mail")]) == (1, 1)
    found = attribute(incident(state("service:mail")), CHANGES, SHOP, now=at(5), experience=taught(BOTH))
    assert found.no_change > found.suspects[0].probability or found.suspects[0].probability < 0.95


def test_what_alerts_first_is_nearer_to_the_cause() -> None:
    changes: list[Change] = [change("on-shop", "service:shop", -20), change("on-cart", "service:cart", -20)]
    below_first = incident(state("service:shop"), state("service:cart", started=3))
    above_first = incident(state("service:cart"), state("service:shop", started=3))
    late, early = (
        next(s for s in attribute(outage, changes, SHOP, now=at(5)).suspects if s.change.id == "on-cart")
        for outage in (below_first, above_first)
    )
    assert early.terms["pattern"] > late.terms["pattern"]
    assert "service:cart itself alerts, as the first" in early.because
    assert "service:cart itself alerts" in late.because


def test_alerts_that_begin_at_once_tell_no_order() -> None:
    one, other = state("service:shop"), state("service:cart")
    found = attribute(incident(one, other), CHANGES, SHOP, now=at(5))
    assert found == attribute(incident(other, one), CHANGES, SHOP, now=at(5))


def test_the_guard_s_one_look_gives_each_the_answer_it_would_give_alone() -> None:
    experience = taught(BOTH, BOTH, [state("service:shop")])
    outage = incident(*BOTH, state("service:new", started=2))
    found = guarded(outage, CHANGES, SHOP, now=at(5), experience=experience)
    for name, alone in (
        (LEARNED, attribute(outage, CHANGES, SHOP, now=at(5), experience=experience)),
        (COLD_MODEL, attribute(outage, CHANGES, SHOP, now=at(5))),
    ):
        answer = found.answers[name]
        assert answer.candidates == tuple((s.change.id, *s.members) for s in alone.suspects)
        assert answer.probabilities == tuple(s.probability for s in alone.suspects)
        assert (answer.no_change, answer.digest) == (alone.no_change, alone.digest)


@given(st.lists(st.sets(st.sampled_from(sorted(SHOP.entries)), min_size=1), max_size=12), st.permutations(range(12)))
def test_the_order_of_lessons_changes_no_memory(outages: list[set[Subject]], order: list[int]) -> None:
    lessons = [[state(subject) for subject in sorted(some)] for some in outages]
    other = [lessons[i] for i in order if i < len(lessons)]
    assert taught(*lessons).past == taught(*other).past
