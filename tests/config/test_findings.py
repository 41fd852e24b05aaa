"""`tocsin check`: names that lead nowhere, routes never reached, orphans; each with its place and remedy."""

from __future__ import annotations

import pytest

from tests.config.trees import findings_of, mappings_of
from tocsin.config.findings import check
from tocsin.config.routes import covers
from tocsin.domain.alert import Severity, Symptom
from tocsin.domain.catalog import Criticality
from tocsin.domain.policy import Condition


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "models:\n  churn:\n    owner: mll\n",
            'error x.yaml:3: models.churn.owner: no team is named mll; did you mean "ml"?',
        ),
        (
            "teams:\n  other:\n    escalates_to: nobody\n",
            "error x.yaml:3: teams.other.escalates_to: no team is named nobody; choose one of ml, other, platform",
        ),
        (
            "policies:\n  owners_by_symptom:\n    cost: plattform\n",
            'error x.yaml:3: policies.owners_by_symptom.cost: no team is named plattform; did you mean "platform"?',
        ),
        (
            "policies:\n  routes:\n    - {name: a, want: page, team: mll}\n",
            'error x.yaml:3: policies.routes.a.team: no team is named mll; did you mean "ml"?',
        ),
        (
            "models:\n  churn:\n    features:\n      - age\n      - agee\nfeatures: {age: {owner: ml}}\n",
            'error x.yaml:5: models.churn.features[1]: the catalogue has no feature:agee; did you mean "feature:age"?',
        ),
        (
            "models:\n  churn:\n    depends_on: ['job:train']\n",
            "error x.yaml:3: models.churn.depends_on[0]: the catalogue has no job:train; add it under jobs",
        ),
        (
            "models:\n  a: {depends_on: ['model:b']}\n  b: {depends_on: ['model:a']}\n",
            "warning x.yaml:2: models.a.depends_on: depends on itself: model:a → model:b → model:a; remove the "
            "dependency that data does not follow",
        ),
        (
            "services:\n  shop: {criticality: critical, runbook: https://x}\n",
            "error x.yaml:2: services.shop: is critical and nobody owns it; add owner: <team>, or a pattern to a "
            "team's owns",
        ),
        (
            "services:\n  shop: {}\n",
            "warning x.yaml:2: services.shop: nobody owns it: its alerts go to the catch-all; add owner: <team>, or a "
            "pattern to a team's owns",
        ),
        (
            "models:\n  fraud: {criticality: critical}\n",
            "warning x.yaml:2: models.fraud: is critical and has no runbook of its own; add runbook: https://… or "
            "runbooks/x.md",
        ),
        (
            "models:\n  fraud:\n    runbook: runbooks/gone.md\n",
            "error x.yaml:3: models.fraud.runbook: there is no file runbooks/gone.md; write it, or link to one",
        ),
        (
            "models:\n  a: {aliases: [x]}\n  b:\n    aliases: [y, x]\n",
            "error x.yaml:4: models.b.aliases[1]: x is an alias of model:a already; keep one, or write it with its "
            "kind, kind:name",
        ),
        (
            "policies:\n  routes:\n    - {name: all, want: ticket}\n"
            "    - {name: late, want: page, when: {symptoms: [cost]}}\n",
            "error x.yaml:4: policies.routes.late: is never reached: all (x.yaml:3) takes all of it; move it before "
            "all, or delete it",
        ),
        (
            "connectors: {console: {kind: console}}\npolicies:\n  routes:\n"
            "    - {name: a, want: page, destinations: [consle]}\n",
            'error x.yaml:4: policies.routes.a.destinations: no destination is named consle; did you mean "console"?',
        ),
        (
            "policies:\n  defaults:\n    page: [pager]\n",
            "error x.yaml:3: policies.defaults.page[0]: no destination is named pager; add it under connectors",
        ),
        (
            "teams:\n  other:\n    destinations: {desk: {group: X}}\n",
            "error x.yaml:3: teams.other.destinations.desk: no destination is named desk; add it under connectors",
        ),
        (
            "maintenance:\n  w:\n    subjects: ['host:db-*']\n    starts_at: 2026-01-01T02:00Z\n    duration: 1h\n",
            "warning x.yaml:3: maintenance.w.subjects[0]: host:db-* covers nothing in the catalogue; mend the pattern",
        ),
        (
            "hooks:\n  x:\n    source: gihtub\n    unverified: false\n    secret: {env: S}\n",
            'error x.yaml:3: hooks.x.source: no source is named gihtub; did you mean "github"?',
        ),
        (
            "hooks:\n  x:\n    source: github\n    unverified: true\n",
            "warning x.yaml:4: hooks.x.unverified: takes messages from anybody who knows the address; give it a "
            "secret: {env: NAME} or {file: path}",
        ),
        (
            "policies:\n  severities:\n    gihtub: {high: error}\n",
            'error x.yaml:3: policies.severities.gihtub: no source is named gihtub; did you mean "github"?',
        ),
        (
            "connectors:\n  x:\n    kind: consle\n",
            'error x.yaml:3: connectors.x.kind: no connector is of kind consle; did you mean "console"?',
        ),
        (
            "connectors:\n  x:\n    kind: console\n    pth: /tmp/x\n",
            'error x.yaml:4: connectors.x.pth: unknown key; did you mean "path"?',
        ),
        (
            "connectors:\n  x:\n    kind: pagerduty\n    api_token: {env: S}\n    routing_keys:\n      a: hunter2\n",
            "error x.yaml:6: connectors.x.routing_keys.a: is a secret written in clear; write {env: NAME} or "
            "{file: path}, and change the secret",
        ),
        (
            "connectors:\n  x:\n    kind: pagerduty\n    connect_timeout_s: 600\n",
            "error x.yaml:4: connectors.x.connect_timeout_s: should be less than or equal to 30",
        ),
    ],
)
def test_the_check_names_the_place_and_the_remedy(text: str, said: str) -> None:
    assert findings_of(text, env={"S": "s3cret"}) == [said]


def test_somebody_must_get_what_nobody_owns() -> None:
    found = [str(finding) for finding in check(mappings_of("teams: {a: {}}\n"))]
    assert found == ["x.yaml:1: policies.catch_all: no team gets what nobody owns; name one: catch_all: platform"]


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        (Condition(), Condition(symptoms=frozenset({Symptom.COST})), True),
        (Condition(symptoms=frozenset({Symptom.COST})), Condition(), False),
        (Condition(severity=Severity.WARNING), Condition(severity=Severity.CRITICAL), True),
        (Condition(severity=Severity.CRITICAL), Condition(severity=Severity.WARNING), False),
        (Condition(criticality=Criticality.HIGH), Condition(criticality=Criticality.CRITICAL), True),
        (Condition(criticality=Criticality.HIGH), Condition(criticality=Criticality.LOW), False),
        (Condition(subjects=("model:*",)), Condition(subjects=("model:churn*", "model:x")), True),
        (Condition(subjects=("model:?",)), Condition(subjects=("model:*",)), False),
        (Condition(subjects=("model:*",)), Condition(subjects=("model:x", "job:x")), False),
        (Condition(business_hours=True), Condition(business_hours=False), False),
        (Condition(probability=0.5), Condition(probability=0.8), True),
        (Condition(labels={"a": "1"}), Condition(labels={"a": "1", "b": "2"}), True),
        (Condition(labels={"a": "1"}), Condition(labels={"a": "2"}), False),
    ],
)
def test_a_condition_covers_what_it_holds_for_too(wide: Condition, narrow: Condition, answer: bool) -> None:
    assert covers(wide, narrow) is answer
