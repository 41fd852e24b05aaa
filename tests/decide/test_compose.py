"""The ticket's text is the product: believable incidents word for word, and limits that hold for any text."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decide.tickets import (
    CALIBRATION,
    CASES,
    DEPLOY,
    FEATURES,
    LATE,
    LINKS,
    ORDERS,
    OTHER,
    PROVIDER,
    RECOVERED,
    REDACTOR,
    RUN,
    STORM,
    Case,
    at,
    blame,
    firing,
)
from tocsin.decide.compose import note
from tocsin.decide.redact import Redactor
from tocsin.decide.route import priority
from tocsin.decide.wording import percent, span
from tocsin.domain.alert import Severity, Symptom
from tocsin.domain.catalog import Catalog, Team
from tocsin.domain.incident import Incident
from tocsin.domain.policy import Redaction
from tocsin.domain.record import Told, Wanted
from tocsin.domain.subject import Subject

GOLDEN = Path(__file__).parent / "golden"

INTERNAL = re.compile(
    r"\b(suspects?|subjects?|fingerprints?|episodes?|posterior|priors?|p-values?|blast|attribution|generation|gate|"
    r"candidates?|enrichment|likelihood|bayes\w*|logit|kappa|tombstone|generation|hops?|upstream|downstream|wanted)\b",
    re.IGNORECASE,
)


def page_of(wanted: Wanted) -> str:
    """The ticket as a reader sees it."""
    group = wanted.address.get("assignment_group", wanted.team)
    facts = [f"Group {group}", f"CI {wanted.ci}", f"Service {wanted.business_service}"]
    facts += [f"Category {wanted.category.title()}", f"{wanted.want.title()} {wanted.severity}"]
    facts += [f"Impact {wanted.impact}, Urgency {wanted.urgency} → Priority {priority(wanted.impact, wanted.urgency)}"]
    parts = [wanted.title, " · ".join(facts), wanted.body, wanted.close_notes]
    return "\n".join(part for part in parts if part) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_ticket_reads_word_for_word_like_its_golden_file(name: str, accept: bool) -> None:
    page, golden = page_of(CASES[name].wanted()), GOLDEN / f"{name}.txt"
    if accept:
        golden.write_text(page, encoding="utf-8")
    assert page == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_no_internal_word_reaches_the_reader(name: str) -> None:
    case = CASES[name]
    nothing_told = Told(at=at("09:00"), state="open", severity=Severity.INFO, subjects=())
    text = note(nothing_told, case.incident(), redactor=REDACTOR, catalog=case.catalog, now=case.now, links=LINKS)
    assert not INTERNAL.search(page_of(case.wanted()))
    assert not INTERNAL.search(text or "")


@pytest.mark.parametrize("name", CASES)
def test_the_details_are_json_and_the_same_twice(name: str) -> None:
    once = CASES[name].wanted()
    assert orjson.loads(orjson.dumps(once.details))["alerts"] == len(CASES[name].members)
    assert once == CASES[name].wanted()


def test_the_shown_probabilities_add_up_to_100() -> None:
    told = ORDERS.wanted().body.partition("CHANGED")[2].partition("WHY")[0]
    assert sum(int(number) for number in re.findall(r"(\d+) %", told)) == 100


def test_later_composing_says_the_same() -> None:
    later = replace(STORM, now=STORM.now + timedelta(days=2))
    assert later.wanted().body == STORM.wanted().body
    assert later.wanted().title == STORM.wanted().title


def test_a_possible_cause_is_not_called_likely_and_not_in_the_title() -> None:
    case = replace(STORM, attribution=blame("14:05", (DEPLOY, 0.55), no_change=0.3))
    wanted = case.wanted()
    assert "deploy" not in wanted.title
    assert "POSSIBLE 55 %" in wanted.body
    assert "LIKELY" not in wanted.body


def test_an_unlikely_change_that_a_rule_puts_first_is_not_called_the_cause_and_nothing_is_called_unexplained() -> None:
    why = "ordered the latest change first: it foresaw the last 40 confirmed causes better (first 21 times against 9)"
    ruled = replace(blame("14:05", (OTHER, 0.12), (DEPLOY, 0.55), no_change=0.2), order="nearest", order_why=why)
    text = " ".join(replace(STORM, attribution=ruled).wanted().body.split())
    assert "No known change explains" not in text
    assert "Ordered the latest change first: it foresaw the last 40 confirmed causes better" in text
    assert "12 %" in text
    assert "55 %" in text
    assert "the percentages are the scorer's, the order is not" in text
    likely = told(replace(STORM, attribution=blame("14:05", (DEPLOY, 0.55), no_change=0.2)).incident())
    assert "any more" not in str(noted(likely, replace(STORM, attribution=ruled)))


def test_of_many_alike_none_is_the_cause_and_that_is_not_called_unexplained() -> None:
    alike = blame("14:05", (OTHER, 0.25), (DEPLOY, 0.24), no_change=0.1)
    text = " ".join(replace(STORM, attribution=alike).wanted().body.split())
    assert "No change stands out (no known change: P 10 %)" in text
    assert "none fits clearly" in text
    assert "No known change explains" not in text


def test_before_the_judgement_the_ticket_says_that_it_is_open() -> None:
    assert "CHANGED   Changes are still being compared" in replace(STORM, attribution=None).wanted().body


def test_evidence_worded_in_statistics_is_left_out() -> None:
    against = ("the posterior is flat", "service:app is silent")
    attribution = blame("14:05", (DEPLOY, 0.93), no_change=0.06, evidence={"against": against})
    body = replace(STORM, attribution=attribution).wanted().body
    assert "posterior" not in body


def test_the_address_is_the_destinations_own_then_its_kinds() -> None:
    teams = {
        "checkout-team": Team(name="checkout-team", destinations={"jira": {"project": "CHK"}, "eu": {"project": "E"}})
    }
    case = replace(STORM, catalog=replace_teams(STORM.catalog, teams))
    assert case.wanted(destination="eu", kind="jira").address == {"project": "E"}
    assert case.wanted(destination="us", kind="jira").address == {"project": "CHK"}
    assert case.wanted(destination="us", kind="other").address == {}


def replace_teams(catalog: Catalog, teams: dict[str, Team]) -> Catalog:
    return Catalog(entries=catalog.entries, owns=catalog.owns, catch_all=catalog.catch_all, teams=teams)


def test_the_previous_record_is_linked_and_another_environment_named() -> None:
    members = tuple(replace(m, alert=replace(m.alert, environment="staging")) for m in LATE.members)
    case = replace(LATE, members=members, environment="staging")
    wanted = case.wanted(previous="INC0010005", generation=2)
    assert wanted.title.startswith("[staging] Page views data late since 06:00")
    assert "previous INC0010005" in wanted.body


def test_only_https_links_of_others_are_offered() -> None:
    members = tuple(
        replace(
            m, alert=replace(m.alert, links={"dash": "javascript:alert(1)", "graph": "https://g.example/x?token=abc"})
        )
        for m in LATE.members
    )
    links = dict(replace(LATE, members=members).wanted().links)
    assert "dash" not in links
    assert links["graph"] == "https://g.example/x?token=[redacted:query_token]"
    assert links["TOC-1042"] == LINKS["incident"]


def test_a_link_too_long_for_the_page_is_named_and_kept_in_the_links() -> None:
    url = "https://deploy.example/" + "x" * 200
    wanted = replace(STORM, attribution=blame("14:05", (replace(DEPLOY, url=url), 0.9), no_change=0.1)).wanted()
    assert "LINKS     deploy, TOC-1042 https" in wanted.body
    assert ("deploy", url) in wanted.links


def test_secrets_of_senders_do_not_reach_the_ticket() -> None:
    secret = "ann@mail.example.org password=hunter2 4111 1111 1111 1111"
    members = tuple(
        replace(m, alert=replace(m.alert, summary=secret, observed=None, segment=secret, model_version=secret))
        for m in CALIBRATION.members
    )
    change = replace(
        RUN, summary=secret, version=secret, author=secret, url=f"https://x.example/?token=hunter2&u={secret}"
    )
    case = replace(
        CALIBRATION, members=members, attribution=blame("02:00", (change, 0.9), no_change=0.1), changes=(change,)
    )
    wanted = case.wanted()
    everything = repr((wanted.title, wanted.body, wanted.details, wanted.links, wanted.close_notes, wanted.ci))
    for part in ("ann@mail", "hunter2", "4111"):
        assert part not in everything


def test_a_secret_split_by_breaks_or_invisible_marks_is_found() -> None:
    split = "4111\n1111\n1111\n1111 ann@ma\ue000il.example.org"
    members = tuple(replace(m, alert=replace(m.alert, summary=split, observed=None)) for m in LATE.members)
    assert "[redacted:card] [redacted:email]" in replace(LATE, members=members).wanted().body


def test_the_policys_own_patterns_apply_too() -> None:
    house = Redactor(Redaction(patterns={"plan": r"plan=\w+"}))
    assert "[redacted:plan]" in CALIBRATION.wanted(redactor=house).body


# --- numbers in words ---


@pytest.mark.parametrize(
    ("metric", "symptom", "values", "expected"),
    [
        ("null_share", Symptom.DATA_QUALITY, {"baseline": 0.004, "observed": 0.31}, "nulls 0.4 % → 31 %"),
        ("http_error_rate", Symptom.ERRORS, {"baseline": 0.002, "observed": 0.041}, "http errors 0.2 % → 4.1 %"),
        ("request_rate", Symptom.VOLUME, {"baseline": 1240.0, "observed": 12.0}, "request rate 1,240 → 12"),
        (
            "calibration_error",
            Symptom.CALIBRATION,
            {"observed": 0.12, "threshold": 0.05},
            "calibration error 0.12 (limit 0.05)",
        ),
        (
            "p99_latency_ms",
            Symptom.LATENCY,
            {"observed": 2300.0, "threshold": 800.0},
            "p99 latency 2.3 s (limit 800 ms)",
        ),
        ("age_hours", Symptom.FRESHNESS, {"observed": 3.0}, "3 h stale"),
        ("staleness_seconds", Symptom.FRESHNESS, {"observed": 5700.0}, "1 h 35 m stale"),
        ("cpu_percent", Symptom.SATURATION, {"observed": 99.7}, "cpu 99.7 %"),
        ("", Symptom.COST, {"observed": 12.0}, "over cost 12"),
        ("psi", Symptom.FEATURE_DRIFT, {}, "values shifted"),
        ("age_seconds", Symptom.FRESHNESS, {"observed": float("-inf")}, "-inf stale"),
        ("p99_ms", Symptom.LATENCY, {"observed": float("nan")}, "p99 nan"),
    ],
)
def test_numbers_carry_their_unit(metric: str, symptom: Symptom, values: dict[str, float], expected: str) -> None:
    member = firing("service:x", "10:00", symptom, metric=metric, **values)
    body = Case(members=(member,), catalog=Catalog()).wanted().body
    assert body.splitlines()[0] == f"WHAT      x: {expected}"


def test_probabilities_are_never_a_certainty() -> None:
    assert [percent(p) for p in (1.0, 0.995, 0.994, 0.866, 0.005, 0.0)] == [
        "> 99 %",
        "> 99 %",
        "99 %",
        "87 %",
        "< 1 %",
        "< 1 %",
    ]


def test_spans_read_like_speech() -> None:
    spans = [
        timedelta(seconds=45),
        timedelta(minutes=14),
        timedelta(hours=3),
        timedelta(minutes=92),
        timedelta(hours=52),
    ]
    assert [span(s) for s in spans] == ["45 s", "14 min", "3 h", "1 h 32 m", "2 d 4 h"]


# --- work notes ---


def told(incident: Incident, **given: Any) -> Told:
    """What the readers know who have read this incident's ticket."""
    first = incident.attribution.first if incident.attribution else None
    facts: dict[str, Any] = {
        "at": at("09:56"), "state": incident.state, "severity": incident.severity, "subjects": incident.subjects,
        "suspect": first.change.id if first else "", "probability": first.probability if first else 0.0,
        "band": first.band if first else "",
    }  # fmt: skip
    return Told(**{**facts, **given})


def noted(known: Told | None, case: Case, **given: Any) -> str | None:
    return note(known, case.incident(), redactor=REDACTOR, catalog=case.catalog, now=case.now, **given)


def test_a_work_note_tells_a_new_member_and_a_surer_cause_in_one_line() -> None:
    before = replace(
        ORDERS, members=ORDERS.members[:-1], attribution=blame("09:42", (RUN, 0.71), (OTHER, 0.1), no_change=0.1)
    )
    assert noted(told(before.incident()), ORDERS) == "+1 model (demand). Likely cause 71 % → 86 %."


def test_nothing_new_is_no_work_note() -> None:
    small = replace(ORDERS, attribution=blame("09:42", (RUN, 0.84), no_change=0.1))
    assert noted(told(ORDERS.incident()), ORDERS) is None
    assert noted(told(small.incident()), ORDERS) is None
    assert noted(None, ORDERS) is None


def test_another_pod_of_a_known_item_is_no_work_note() -> None:
    before = replace(STORM, members=STORM.members[5:])
    assert noted(told(before.incident()), STORM) is None


def test_another_first_cause_is_named() -> None:
    before = replace(ORDERS, attribution=blame("09:42", (OTHER, 0.41), no_change=0.4))
    assert noted(told(before.incident()), ORDERS) == (
        "Likely cause now: run ingest-orders #8841 86 %, instead of the one told (41 %)."
    )
    unexplained = replace(ORDERS, attribution=blame("09:42", (OTHER, 0.05), no_change=0.9))
    assert noted(told(unexplained.incident()), ORDERS) == "Likely cause now: run ingest-orders #8841 86 %."
    assert noted(told(ORDERS.incident()), unexplained) == "No likely cause any more (was 86 %)."


def test_severity_and_a_left_item_are_told() -> None:
    known = told(
        PROVIDER.incident(), severity=Severity.ERROR, subjects=(*PROVIDER.incident().subjects, Subject("job:x"))
    )
    assert noted(known, PROVIDER) == "−1 job (x). Severity error → critical."


def test_recovery_is_told_with_the_way_to_confirm() -> None:
    assert noted(told(ORDERS.incident()), RECOVERED, links=LINKS) == (
        "Recovered 11:14 after 1 h 32 m, 12 alerts clear. Confirm the cause: https://tocsin.example/i/1042/cause"
    )


def test_a_confirmed_cause_is_named_at_the_end() -> None:
    confirmed = replace(RECOVERED, given={**RECOVERED.given, "confirmed_change": RUN.id})
    assert confirmed.wanted().close_notes.endswith("12 alerts clear. Cause confirmed: run ingest-orders #8841.")


def test_coming_back_is_told() -> None:
    known = told(RECOVERED.incident())
    back = replace(ORDERS, given={"reopened": 1})
    assert (noted(known, back) or "").startswith("Back since 09:55: 12 alerts again.")


# --- whatever senders write ---

ANY = st.text(max_size=300)
NUMBERS = st.one_of(st.none(), st.floats())


@st.composite
def wild_cases(draw: st.DrawFn) -> Case:
    """The first case with arbitrary text and numbers in everything that comes from outside."""
    members = [
        replace(
            m,
            alert=replace(
                m.alert,
                subject=Subject.of(m.alert.subject.kind, draw(ANY)) if draw(st.booleans()) else m.alert.subject,
                summary=draw(ANY), metric=draw(ANY), segment=draw(ANY), region=draw(ANY), resource=draw(ANY),
                model_version=draw(ANY), symptom=draw(st.sampled_from(list(Symptom))),
                observed=draw(NUMBERS), baseline=draw(NUMBERS), threshold=draw(NUMBERS),
                links={draw(ANY): f"https://{draw(ANY)}"},
            ),
        )
        for m in ORDERS.members[: draw(st.integers(min_value=1, max_value=12))]
    ]  # fmt: skip
    change = replace(RUN, summary=draw(ANY), version=draw(ANY), ticket=draw(ANY), url=f"https://{draw(ANY)}")
    evidence = {
        "against": (draw(ANY),),
        "expected": 5,
        "seen": 4,
        "typical_lag": (timedelta(minutes=2), timedelta(hours=9)),
    }
    attribution = blame("09:42", (change, draw(st.floats(0, 1))), no_change=0.0, evidence=evidence)
    return replace(ORDERS, members=tuple(members), attribution=attribution)


@settings(max_examples=60, deadline=None)
@given(wild_cases())
def test_any_text_stays_within_25_lines_of_100_characters(case: Case) -> None:
    wanted = case.wanted()
    lines = wanted.body.split("\n")
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100
    assert 0 < len(wanted.title) <= 160
    assert all(line.isprintable() for line in [*lines, wanted.title, wanted.ci])
    assert len(wanted.links) <= 10
    orjson.dumps(wanted.details)
    labels = [line[:10].strip() for line in lines if line[:1] != " "]
    assert labels == [
        name for name in ("WHAT", "HIT", "CHANGED", "WHY", "DO FIRST", "OWNER", "LINKS") if name in labels
    ]


def test_a_storm_of_unrelated_items_stays_short() -> None:
    many = tuple(firing(f"service:s{n:03}", "10:00", Symptom.ERRORS) for n in range(300))
    body = replace(PROVIDER, members=many).wanted().body
    assert body.splitlines()[0] == "WHAT      300 services (s000, s001, s002 and 297 more): errors"


def test_features_without_a_common_source_are_named() -> None:
    pair = tuple(firing(f, "10:00", Symptom.FEATURE_DRIFT) for f in (FEATURES[0], "feature:visit_age"))
    assert "2 features (order_total, visit_age)" in replace(ORDERS, members=pair, attribution=None).wanted().body
