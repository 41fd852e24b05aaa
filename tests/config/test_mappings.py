"""Files become values, and every mistake is told with file:line: field: message; remedy."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.config.trees import ROOT, errors_of, mappings_of
from tocsin.config.mappings import env_names, load, loads
from tocsin.domain.alert import Severity, Symptom
from tocsin.domain.errors import BadMapping
from tocsin.domain.policy import Checks, Mode, Want
from tocsin.domain.subject import Subject


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "models:\n  churn:\n    critcality: high\n",
            'x.yaml:3: models.churn.critcality: unknown key; did you mean "criticality"?',
        ),
        ("servces: {}\n", 'x.yaml:1: servces: unknown key; did you mean "services"?'),
        (
            "teams:\n  a:\n    owns:\n      - job:x\n      - pattern: jobs:x\n",
            "x.yaml:5: teams.a.owns[1].pattern: 'jobs:x' is not a pattern like job:ingest-*; kinds are dataset, "
            "feature, host, job, model, provider, queue, service, unknown",
        ),
        (
            "services:\n  a:\n    criticality: huge\n",
            "x.yaml:3: services.a.criticality: should be 'critical', 'high', 'medium' or 'low'",
        ),
        (
            "policies:\n  persistence:\n    latency: 5\n",
            "x.yaml:3: policies.persistence.latency: is not a duration; write a number with its unit: 90s, 5m, 2h, "
            "14d, 1h30m",
        ),
        (
            "policies:\n  drift:\n    checks: {failed: 3, of: 2}\n",
            "x.yaml:3: policies.drift.checks: 3 of 2 checks cannot fail; make `of` at least 3",
        ),
        (
            "policies:\n  routes:\n    - {want: page, name: a}\n    - name: b\n",
            "x.yaml:4: policies.routes[1].want: is missing; add it: page, ticket or none.",
        ),
        (
            "hooks:\n  a: {source: github}\n",
            "x.yaml:2: hooks.a: needs either a secret, {env: NAME} or {file: path}, or unverified: true",
        ),
        (
            "hooks:\n  A b: {source: github, unverified: true}\n",
            "x.yaml:2: hooks.A b: String should match pattern '^[a-z0-9][a-z0-9._-]{0,63}$'",
        ),
        (
            "maintenance:\n  w:\n    subjects: ['*']\n    starts_at: 2026-01-01T02:00\n    duration: 1h\n"
            "    timezone: Mars/Base\n",
            "x.yaml:6: maintenance.w.timezone: 'Mars/Base' is not a time zone; write an IANA name such as "
            "Europe/Berlin or UTC",
        ),
        (
            "maintenance:\n  w:\n    subjects: ['*']\n    starts_at: 2026-01-01T02:00\n    duration: 1h\n"
            "    rrule: FREQ=DAILY;BYDAY=XX\n",
            "x.yaml:6: maintenance.w.rrule: 'FREQ=DAILY;BYDAY=XX' is not an RFC 5545 rule (invalid 'BYDAY': XX); such "
            "as FREQ=WEEKLY;BYDAY=SU",
        ),
        (
            "policies:\n  redaction:\n    patterns:\n      x: '(a'\n",
            "x.yaml:4: policies.redaction.patterns.x: is not a regular expression: missing ), unterminated subpattern "
            "at position 0",
        ),
        (
            "services:\n  a:\n    depends_on: [orders]\n",
            "x.yaml:3: services.a.depends_on[0]: 'orders' is not kind:name with a kind of dataset, feature, host, job, "
            "model, provider, queue, service, unknown",
        ),
        ("services: [a]\n", "x.yaml:1: services: should be a valid dictionary"),
        ("just text\n", "x.yaml:1: should be a valid dictionary or instance of MappingFile"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_remedy(text: str, said: str) -> None:
    assert errors_of(text) == [said]


def test_all_mistakes_of_all_files_are_told_at_once() -> None:
    with pytest.raises(BadMapping) as refused:
        loads({"a.yaml": "x: 1\n", "b.yaml": "teams: {t: {ttle: T}}\n"}, env={}, root=ROOT)
    assert [finding.split(":")[0] for finding in refused.value.findings] == ["a.yaml", "b.yaml"]


def test_an_entry_stands_in_one_file_only() -> None:
    assert errors_of({"a.yaml": "services: {x: {}}", "b.yaml": "\nservices:\n\n  x: {}"}) == [
        "b.yaml:3: services.x: stands already at a.yaml:1; keep one of them"
    ]


def test_what_is_written_by_hand_wins_over_what_is_imported_field_by_field() -> None:
    files = {
        "imported/cmdb.yaml": "services: {x: {owner: imported, ci: X-PROD}, y: {owner: imported}}",
        "z.yaml": "services: {x: {owner: by-hand}}",
    }
    entries = loads(files, env={}, root=ROOT).catalog.entries
    x = entries[Subject("service:x")]
    assert (x.owner, x.ci, x.origin) == ("by-hand", "X-PROD", "z.yaml:1")
    assert entries[Subject("service:y")].origin == "imported/cmdb.yaml:1"


def test_policies_of_several_files_are_one() -> None:
    policy = mappings_of(
        "policies: {routes: [{name: b, want: page}], persistence: {latency: 5m}}",
        a="policies: {routes: [{name: a, want: none}], persistence: {cost: 1h}}",
    ).policy
    assert [(rule.name, rule.want, rule.origin) for rule in policy.rules] == [
        ("a", Want.NONE, "a.yaml:1"),
        ("b", Want.PAGE, "x.yaml:1"),
    ]
    assert policy.persistence == {Symptom.LATENCY: timedelta(minutes=5), Symptom.COST: timedelta(hours=1)}


def test_a_policy_that_is_set_twice_is_a_mistake() -> None:
    files = {
        "a.yaml": "policies:\n  catch_all: a\n  persistence: {cost: 1h}\n",
        "b.yaml": "policies:\n  catch_all: b\n  persistence:\n    latency: 1m\n    cost: 2h\n",
    }
    assert errors_of(files) == [
        "b.yaml:2: policies.catch_all: stands already at a.yaml:2; keep one of them",
        "b.yaml:5: policies.persistence.cost: stands already at a.yaml:3; keep one of them",
    ]


def test_two_routes_of_one_name_are_a_mistake() -> None:
    assert errors_of("policies:\n  routes:\n    - {name: a, want: page}\n    - {name: a, want: none}\n") == [
        "x.yaml:4: policies.routes[1].name: a route named a stands already at x.yaml:3; give it a name of its own"
    ]


def test_a_tie_between_teams_is_a_mistake() -> None:
    tree = "jobs: {ingest-orders: {}}\nteams:\n  a: {owns: ['job:ingest-*']}\n  b: {owns: ['job:*-orders']}\n"
    assert errors_of(tree) == [
        "x.yaml:4: teams.b.owns: a (job:ingest-*, x.yaml:3) and b (job:*-orders) both own job:ingest-orders; make one "
        "pattern longer or give the entry an owner"
    ]


@pytest.mark.parametrize(
    "tree",
    [
        "jobs: {ingest-orders: {owner: a}}\nteams:\n  a: {owns: ['job:ingest-*']}\n  b: {owns: ['job:*-orders']}\n",
        "jobs: {other: {}}\nteams:\n  a: {owns: ['job:ingest-*']}\n  b: {owns: ['job:*-orders']}\n",
        "teams:\n  a: {owns: ['job:x']}\n  b: {owns: [{pattern: 'job:x', symptoms: [freshness]}]}\n",
        "teams:\n  a: {owns: [{pattern: 'job:x', symptoms: [cost]}]}\n"
        "  b: {owns: [{pattern: 'job:x', symptoms: [freshness]}]}\n",
    ],
)
def test_patterns_that_never_decide_the_same_thing_are_no_tie(tree: str) -> None:
    assert errors_of(tree) == []


def test_the_same_pattern_of_two_teams_is_a_tie_even_if_nothing_matches_yet() -> None:
    tree = "teams:\n  a: {owns: ['job:new-*']}\n  b: {owns: ['job:new-*']}\n"
    assert [error.split(":")[:2] for error in errors_of(tree)] == [["x.yaml", "3"]]


def test_a_model_rests_on_its_features() -> None:
    catalog = mappings_of("models: {churn: {version: 4.10, features: [age], depends_on: ['job:train']}}").catalog
    churn = catalog.entries[Subject("model:churn")]
    assert churn.depends_on == ("job:train", "feature:age")
    assert churn.model is not None
    assert churn.model.version == "4.10"


def test_wall_time_becomes_a_moment_in_the_window_s_zone() -> None:
    (window,) = mappings_of(
        "maintenance: {w: {subjects: ['*'], starts_at: 2026-07-01T02:00, duration: 2h, timezone: Europe/Berlin, "
        "rrule: 'RRULE:FREQ=WEEKLY;BYDAY=WE'}}"
    ).policy.windows
    assert window.starts_at == datetime(2026, 7, 1, 0, 0, tzinfo=UTC)
    assert (window.rrule, window.duration) == ("FREQ=WEEKLY;BYDAY=WE", timedelta(hours=2))


def test_a_route_keeps_its_condition() -> None:
    (rule,) = mappings_of(
        "policies: {routes: [{name: a, want: page, when: {subjects: ['model:*'], severity: error, probability: 0.8}}]}"
    ).policy.rules
    assert (rule.when.subjects, rule.when.severity, rule.when.probability) == (("model:*",), Severity.ERROR, 0.8)


# --- secrets ---

CONNECTOR = """
connectors:
  desk:
    kind: pagerduty
    mode: off
    url: {env: DESK_URL}
    api_token: {env: DESK_TOKEN}
    routing_keys: {a: {env: KEY_A}}
hooks:
  gh: {source: github, secret: {file: secrets/gh}}
"""
ENV = {"DESK_URL": "https://desk.example.com", "DESK_TOKEN": "s3cret-token", "KEY_A": "s3cret-key"}


def test_a_secret_that_is_not_there_is_a_finding() -> None:
    assert errors_of(CONNECTOR, env={"DESK_URL": "x", "KEY_A": "x"}) == [
        "x.yaml:6: connectors.desk.api_token: the environment variable DESK_TOKEN is not set; set it where Tocsin runs",
        "x.yaml:9: hooks.gh.secret: the secret file secrets/gh cannot be read (FileNotFoundError); write the file, "
        "mode 0600",
    ]


def test_secrets_are_in_no_repr_and_no_file_that_is_kept(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/gh").write_text("s3cret-hook\n", encoding="utf-8")
    (tmp_path / "x.yaml").write_text(CONNECTOR, encoding="utf-8")
    mappings = load(tmp_path, env=ENV)
    desk = mappings.destinations["desk"]
    token = desk.options["api_token"]
    assert isinstance(token, SecretStr)
    assert token.get_secret_value() == "s3cret-token"
    assert desk.text("url") == "https://desk.example.com"
    assert desk.mode is Mode.OFF
    assert mappings.hooks["gh"].secrets == ("s3cret-hook",)
    assert "s3cret" not in repr(mappings) + repr(mappings.files) + repr(mappings.hooks["gh"])
    assert list(mappings.files) == ["x.yaml"]


def test_a_secret_in_clear_is_refused_and_not_repeated() -> None:
    (said,) = errors_of("hooks:\n  gh:\n    source: github\n    secret: hunter2\n")
    assert said == (
        "x.yaml:4: hooks.gh.secret: is not a reference to a secret; write {env: NAME} or {file: path}, never the "
        "secret itself"
    )


def test_the_variables_that_a_deployment_must_set_are_known() -> None:
    assert env_names({"x.yaml": CONNECTOR}) == ("DESK_TOKEN", "DESK_URL", "KEY_A")


# --- trees ---


def test_the_same_files_have_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("services: {x: {}}\n", encoding="utf-8")
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema/not.yaml").write_text("nonsense: 1\n", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("nonsense: 1\n", encoding="utf-8")
    first, second = load(tmp_path, env={}), load(tmp_path, env={})
    assert first == second
    assert loads(first.files, env={}, root=tmp_path).digest == first.digest
    (tmp_path / "a.yaml").write_text("services: {x: {} }\n", encoding="utf-8")
    assert load(tmp_path, env={}).digest != first.digest


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.yml", b"", "x.yml:1: is not read; rename it to x.yaml"),
        ("x.yaml", b"\xff\xfe", "x.yaml:1: is not UTF-8; save it as UTF-8 text"),
        ("x.yaml", b"#" * 2_000_001, "x.yaml:1: the file is larger than 2,000,000 bytes; split it into several files"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadMapping) as refused:
        load(tmp_path, env={})
    assert str(refused.value) == said


def test_a_directory_that_is_not_there_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match="is not a directory; run `tocsin init"):
        load(tmp_path / "gone", env={})


def test_reading_mappings_loads_no_vendor_s_client(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/gh").write_text("s3cret-hook\n", encoding="utf-8")
    (tmp_path / "x.yaml").write_text(CONNECTOR, encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from tocsin.config.mappings import load;"
        f"load(Path({str(tmp_path)!r}), env={ENV!r}); sys.exit('requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_policy_says_when_a_drift_counts() -> None:
    drift = mappings_of(
        "policies: {drift: {checks: {failed: 2, of: 4}, without_effect: none, mean_shift: 0.3}}"
    ).policy.drift
    assert (drift.checks, drift.without_effect, drift.mean_shift) == (Checks(failed=2, of=4), Want.NONE, 0.3)
    assert (drift.shape, drift.significance) == (0.1, 0.05)
