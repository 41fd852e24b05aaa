"""What was learned orders the causes only while it foresees what people confirm; else the cold model or a rule does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.evidence import evidence_text
from tocsin.decide.experience import Experience
from tocsin.decide.guard import (
    CHANCE,
    COLD_MODEL,
    ENOUGH,
    EVERYBODY,
    FEW,
    LEARNED,
    NO_RECORD,
    Record,
    Trial,
    guarded,
    judged,
    shown,
)
from tocsin.decide.rules import GANDALF, NEAREST, PAGERDUTY, RULES, SERVICENOW
from tocsin.domain.incident import Answer

CANDIDATES = 50


def model(*probabilities: float, no_change: float = 0.1) -> Answer:
    ids = tuple((f"c{place}",) for place in range(len(probabilities)))
    return Answer(candidates=ids, probabilities=probabilities, no_change=no_change)


def rule(*ids: str) -> Answer:
    return Answer(candidates=tuple((id,) for id in ids))


SOMEWHERE = rule("c41", "c42", "c43", "c44", "c45")
SURE = model(0.8, 0.05)
UNSURE = model(0.2, 0.2, 0.2)


def trial(cause: str, *, learned: Answer, cold: Answer, rules: dict[str, Answer] | None = None) -> Trial:
    answers = {LEARNED: learned, COLD_MODEL: cold, **dict.fromkeys(RULES, SOMEWHERE), **(rules or {})}
    return Trial(answers=answers, candidates=CANDIDATES, cause=cause)


def test_nobody_is_judged_before_anybody_confirmed_anything() -> None:
    assert judged([]) == NO_RECORD
    assert (NO_RECORD.order, NO_RECORD.model) == (LEARNED, LEARNED)


def test_a_learner_that_foresees_the_causes_keeps_the_order() -> None:
    record = judged([trial("c0", learned=SURE, cold=UNSURE)] * 40)
    assert (record.order, record.model, record.why) == (LEARNED, LEARNED, "")
    assert record.losses[LEARNED] < record.losses[COLD_MODEL] < record.losses[CHANCE]
    assert record.first[LEARNED] == 40
    assert max(record.against.values()) < 0


def test_a_learner_that_does_worse_than_without_it_gives_way_to_the_cold_model() -> None:
    record = judged([trial("c0", learned=UNSURE, cold=SURE)] * 40)
    assert (record.order, record.model) == (COLD_MODEL, COLD_MODEL)
    assert record.why == ("what was learned is left out: it foresaw the last 40 confirmed causes worse than without it")


def test_a_rule_that_foresees_better_orders_the_causes() -> None:
    wrong = model(0.5, 0.2)
    record = judged([trial("c9", learned=wrong, cold=wrong, rules={SERVICENOW: rule("c9", "c8")})] * 40)
    assert record.order == SERVICENOW
    assert record.why == (
        "ordered changes on the origin of the alerts first: it foresaw the last 40 confirmed causes better than what"
        " was learned (first 40 times against 0)"
    )


@pytest.mark.parametrize("worse", [SURE, model(0.999)])
def test_one_confirmation_never_decides(worse: Answer) -> None:
    record = judged([trial("c9", learned=worse, cold=model(0.01), rules={NEAREST: rule("c9")})])
    assert record.order == LEARNED
    assert max(record.against.values()) < ENOUGH


def test_the_learner_comes_back_once_it_leads_again() -> None:
    lost = [trial("c0", learned=UNSURE, cold=SURE)] * 20
    won = [trial("c0", learned=SURE, cold=UNSURE)] * 30
    assert judged(lost).order == COLD_MODEL
    assert judged(lost + won).order == LEARNED


def test_confirmations_that_nobody_can_foresee_leave_the_cold_model() -> None:
    record = judged([trial(f"c{20 + n % 20}", learned=SURE, cold=SURE) for n in range(60)])
    assert (record.order, record.model) == (COLD_MODEL, COLD_MODEL)
    assert "hardly better than chance" in record.why


def test_too_few_unforeseen_confirmations_show_nothing() -> None:
    record = judged([trial(f"c{20 + n}", learned=SURE, cold=SURE) for n in range(FEW - 1)])
    assert record.order == LEARNED


def test_no_known_change_is_foreseen_too() -> None:
    sure_of_none = model(0.05, no_change=0.9)
    record = judged([trial("", learned=sure_of_none, cold=UNSURE)] * 20)
    assert record.losses[LEARNED] < record.losses[COLD_MODEL]
    assert record.first == dict.fromkeys(EVERYBODY, 0)


def test_of_changes_judged_as_one_any_may_be_confirmed() -> None:
    together = Answer(candidates=(("c0", "c7"),), probabilities=(0.8,), no_change=0.1)
    record = judged([trial("c7", learned=together, cold=together, rules={NEAREST: rule("c0")})])
    assert (record.first[LEARNED], record.first[NEAREST], record.first[PAGERDUTY]) == (1, 1, 0)


@given(st.lists(st.sampled_from(["c0", "c1", "c3", "c49", ""]), max_size=40))
def test_what_was_said_before_is_never_charged_by_what_comes_later(causes: Sequence[str]) -> None:
    trials = [trial(cause, learned=SURE, cold=UNSURE, rules={GANDALF: rule("c1", "c0")}) for cause in causes]
    record = judged(trials)
    assert record == judged(tuple(trials)), "the same history, the same record"
    assert all(0 <= loss <= log(CANDIDATES + 1) + log(400) for loss in record.losses.values())


SHOP = catalog({"service:shop": ["service:payments"], "service:payments": []})
OUTAGE = incident(state("service:shop"), state("service:payments", started=1))
CHANGES = [change("origin", "service:payments", -40), change("shop", "service:shop", -2)]
CHANGES += [change(f"far{n}", f"service:far{n}", -1) for n in range(8)]


def test_the_ticket_says_whose_order_it_is_and_keeps_the_probabilities() -> None:
    plain = attribute(OUTAGE, CHANGES, SHOP, now=at(5))
    record = Record(compared=40, order=NEAREST, model=COLD_MODEL, why="ordered the latest change first: it was better")
    found = guarded(OUTAGE, CHANGES, SHOP, now=at(5), record=record)
    assert [one.change.id for one in found.suspects] == [f"far{n}" for n in range(5)]
    assert found.suspects[0].against[0] == record.why
    assert (found.order, found.no_change) == (NEAREST, plain.no_change)
    total = sum(one.probability for one in found.suspects) + found.other + found.no_change
    assert total == pytest.approx(1)
    assert f"Order: {record.why}." in evidence_text(found, "TOC-1")
    assert found.digest != plain.digest


def test_without_a_record_it_is_what_the_scorer_says() -> None:
    plain = attribute(OUTAGE, CHANGES, SHOP, now=at(5))
    found = guarded(OUTAGE, CHANGES, SHOP, now=at(5))
    assert replace(found, answers={}) == plain
    assert shown(OUTAGE, CHANGES, SHOP, now=at(5)) == plain
    assert set(found.answers) == set(EVERYBODY) - {CHANCE}
    assert found.answers[SERVICENOW].candidates[0] == ("origin",)


def test_what_the_record_says_is_part_of_the_digest() -> None:
    taught = Experience(confirmed=3, days=3.0, unexplained=3.0)
    digests = {
        guarded(OUTAGE, CHANGES, SHOP, now=at(5), experience=taught, record=record).digest
        for record in (NO_RECORD, Record(compared=1), Record(compared=1, against={COLD_MODEL: 1.0}))
    }
    assert len(digests) == 3
