"""What rules would blame: the orders of correlation.md §9.2, by example."""

from __future__ import annotations

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.rules import GANDALF, NEAREST, PAGERDUTY, RULES, SERVICENOW, nearest_change, orders
from tocsin.decide.scene import scene_of
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident

SHOP = catalog(
    {
        "service:shop": ["service:cart", "service:search"],
        "service:cart": ["service:payments"],
        "service:search": ["service:index"],
    }
)
OUTAGE = incident(state("service:shop"), state("service:cart", started=2), state("service:payments", started=3))


def shown(outage: Incident, changes: list[Change], known: Catalog = SHOP) -> dict[str, tuple[str, ...]]:
    return orders(scene_of(outage, changes, known, now=at(5)))


def test_each_rule_has_its_own_first() -> None:
    changes = [
        change("anything", "service:elsewhere", -1),
        change("on-the-first-alert", "service:shop", -200),
        change("beside-it", "service:search", -20),
        change("on-the-origin", "service:payments", -500),
        change("between", "service:cart", -15),
        change("too-late", "service:shop", 2),
    ]
    found = shown(OUTAGE, changes)
    assert found[NEAREST] == ("anything", "between", "beside-it", "on-the-first-alert", "on-the-origin")
    assert found[PAGERDUTY] == ("on-the-first-alert", "between", "beside-it", "anything", "on-the-origin")
    assert found[SERVICENOW] == ("on-the-origin", "between", "on-the-first-alert", "anything", "beside-it")
    assert found[GANDALF] == ("between", "on-the-first-alert", "on-the-origin", "beside-it", "anything")
    assert nearest_change(OUTAGE, changes) == changes[0]


def test_of_equal_ones_the_latest_is_first_then_the_smallest_id() -> None:
    changes = [change("b", "service:x", -5), change("a", "service:y", -5), change("c", "service:z", -4)]
    for rule in RULES:
        assert shown(OUTAGE, changes)[rule] == ("c", "a", "b")


def test_what_the_catalogue_does_not_know_is_blamed_for_itself_alone() -> None:
    alone = incident(state("service:new"))
    changes = [change("on", "service:new", -50), change("near", "service:shop", -1)]
    found = shown(alone, changes)
    assert {rule: found[rule][0] for rule in RULES} == {
        NEAREST: "near",
        PAGERDUTY: "on",
        SERVICENOW: "on",
        GANDALF: "on",
    }


def test_without_changes_nothing_is_blamed() -> None:
    assert shown(OUTAGE, []) == dict.fromkeys(RULES, ())
    assert nearest_change(OUTAGE, []) is None
