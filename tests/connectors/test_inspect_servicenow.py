"""What doctor finds out about a ServiceNow instance before the first outage does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.connectors.canned import refusing_url
from tests.connectors.doctoring import Found, certificate, inspection, look
from tocsin import simulators
from tocsin.domain.seen import Grade, Inspection

SEED: dict[str, object] = {
    "sys_user_group": [
        "ML Platform",
        "Payments",
        {"name": "Twins", "sys_id": "1" * 32},
        {"name": "Twins", "sys_id": "2" * 32},
        {"name": "Old Hands", "active": "false"},
    ],
    "cmdb_ci": ["returns-model", {"name": "twin", "sys_id": "3" * 32}, {"name": "twin", "sys_id": "4" * 32}],
    "cmdb_ci_service": ["Returns"],
}
CATEGORIES = dict.fromkeys(("data", "model", "platform", "product", "external"), "software")


@pytest.fixture(scope="module")
def _desk() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(_desk: simulators.Running) -> simulators.Running:
    _desk.reset()
    return _desk


def seen(desk: simulators.Running, asked: Inspection | None = None, **config: Any) -> Found:
    given = {
        "url": desk.url,
        "username": "admin",
        "password": "tocsin",
        "caller_id": "admin",
        "categories": CATEGORIES,
        **config,
    }
    return look("servicenow", given, asked or inspection(), desk)


def fault(desk: simulators.Running, kind: str, **more: Any) -> None:
    plan = {"fault": kind, "times": 0, **more}
    requests.post(f"{desk.url}/__faults", json=plan, timeout=5).raise_for_status()


def team(group: str) -> Inspection:
    return inspection(addresses={"ml": {"assignment_group": group}}, origins={"team:ml": "teams/ml.yaml:3"})


def test_a_sound_instance_has_no_errors_and_is_only_read(desk: simulators.Running) -> None:
    found = seen(
        desk,
        inspection(
            addresses={"ml": {"assignment_group": "ML Platform"}, "pay": {"assignment_group": "payments"}},
            cis=("returns-model",),
            business_services=("Returns",),
        ),
    )
    assert found.errors == []
    assert found.methods == {"GET"}
    assert found.only("assignment_group").value == "ML Platform, payments"
    assert found.grades("close_code") == found.grades("state") == found.grades("category") == [Grade.OK]
    assert found.only("create").grade is Grade.NOTE
    assert "--probe-write" in found.only("create").says


def test_a_wrong_password_ends_the_look_at_once(desk: simulators.Running) -> None:
    found = seen(desk, password="wrong")
    assert (found.errors[0].check, found.errors[0].value) == ("credentials", "401")
    assert found.findings[-1] == found.errors[0]
    assert len(found.calls) == 1


def test_a_right_that_is_missing_is_another_fault_than_a_wrong_password(desk: simulators.Running) -> None:
    fault(desk, "business_rule_abort", match={"path": "/table/incident"})
    found = seen(desk)
    assert [(one.check, one.value) for one in found.errors] == [("read:incident", "403")]


def test_a_table_that_may_not_be_read_is_named_with_its_use(desk: simulators.Running) -> None:
    fault(desk, "business_rule_abort", match={"path": "/table/(sys_user_group|sys_journal_field)"})
    found = seen(desk, team("ML Platform"))
    assert found.only("read:sys_user_group").grade is Grade.ERROR
    assert found.only("read:sys_journal_field").grade is Grade.WARNING
    assert "written twice" in found.only("read:sys_journal_field").says


def test_an_instance_that_sleeps_is_told_from_one_that_is_away(desk: simulators.Running) -> None:
    fault(desk, "html_200")
    (asleep,) = seen(desk).errors
    assert (asleep.check, "sleeps" in asleep.says) == ("reach", True)
    away = look("servicenow", {"url": refusing_url(), "username": "a", "password": "b"}, inspection())
    assert [one.check for one in away.findings] == ["reach"]
    assert "Cannot be reached" in away.findings[0].says


@pytest.mark.parametrize(
    ("group", "says"), [("Nobody", "There is none"), ("Twins", "2 bear this name"), ("Old Hands", "inactive")]
)
def test_a_group_that_is_not_one_active_group_is_told_with_the_file_that_names_it(
    desk: simulators.Running, group: str, says: str
) -> None:
    (wrong,) = seen(desk, team(group)).of("assignment_group")
    assert (wrong.grade, wrong.value) == (Grade.ERROR, group)
    assert says in wrong.says
    assert "team ml (teams/ml.yaml:3)" in wrong.says


def test_a_name_that_would_change_the_query_is_never_asked_for(desk: simulators.Running) -> None:
    (wrong,) = seen(desk, team("x^ORname=Payments")).of("assignment_group")
    assert wrong.grade is Grade.ERROR


def test_the_default_group_and_the_caller_are_looked_up_too(desk: simulators.Running) -> None:
    found = seen(desk, default_assignment_group="Nobody", caller_id="robot")
    assert [one.check for one in found.errors] == ["assignment_group", "caller_id"]
    assert "default_assignment_group" in found.errors[0].says


def test_missing_and_ambiguous_cis_are_told_together_and_only_once(desk: simulators.Running) -> None:
    names = ("returns-model", "twin", "gone", *(f"model-{n}" for n in range(60)), "with, comma")
    found = seen(desk, inspection(cis=names, origins={"ci:gone": "models.yaml:7"}))
    ambiguous, missing, unsaid, right = found.of("ci")
    assert (ambiguous.value, ambiguous.grade) == ("twin", Grade.WARNING)
    assert (missing.value, missing.grade) == ("gone (models.yaml:7)", Grade.WARNING)
    assert (unsaid.grade, unsaid.says[:2]) == (Grade.NOTE, "61")
    assert right.value == "1 found once"
    assert sum("/table/cmdb_ci" in call["path"] for call in found.calls) <= 5


def test_a_close_code_that_is_not_in_the_list_comes_with_the_list(desk: simulators.Running) -> None:
    wrong = seen(desk, close_code="Fixed by magic").only("close_code")
    assert wrong.grade is Grade.ERROR
    assert "Solution provided" in wrong.remedy


def test_a_label_in_the_place_of_a_value_is_recognized(desk: simulators.Running) -> None:
    wrong = seen(desk, categories={**CATEGORIES, "data": "Database"}).only("category")
    assert wrong.value == "Database"
    assert "'Database' is written 'database'" in wrong.remedy


def test_categories_that_nobody_mapped_are_warned_of(desk: simulators.Running) -> None:
    assert "model" in seen(desk, categories={}).only("category").value


def test_a_column_that_is_not_there_is_told_before_its_text_is_dropped(desk: simulators.Running) -> None:
    wrong = seen(desk, fields={"u_model": "{component}"}).only("fields")
    assert (wrong.grade, wrong.value) == (Grade.WARNING, "u_model")


def test_a_data_policy_that_asks_for_more_is_told(desk: simulators.Running) -> None:
    desk.seed({"sys_data_policy_rule": [{"table": "incident", "field": "location", "mandatory": "true"}]})
    wrong = seen(desk).only("data_policy")
    assert (wrong.grade, wrong.value) == (Grade.WARNING, "location")


def test_clocks_that_are_apart_are_warned_of(desk: simulators.Running) -> None:
    assert seen(desk).only("clock").grade is Grade.OK
    wrong = seen(desk, inspection(late=timedelta(minutes=5))).only("clock")
    assert wrong.grade is Grade.WARNING
    assert 295 < int(wrong.value.removesuffix(" s")) < 330
    assert "behind ours" in wrong.says


def test_a_low_rate_limit_is_warned_of(desk: simulators.Running) -> None:
    desk.seed({"sys_rate_limit_rules": [{"name": "Tocsin", "request_limit_per_hour": "90"}]})
    wrong = seen(desk).only("rate_limit")
    assert (wrong.grade, wrong.value) == (Grade.WARNING, "90")


def test_an_administrator_is_more_than_we_need(desk: simulators.Running) -> None:
    assert seen(desk).only("roles").grade is Grade.WARNING


def test_a_hook_without_a_business_rule_that_posts_to_it_is_told(desk: simulators.Running) -> None:
    asked = inspection(hooks=("https://tocsin.example.com/hooks/desk",))
    assert seen(desk, asked).only("business_rule").value == "none"
    desk.seed({"sys_script": [{"name": "Tocsin: tell what happened", "collection": "incident", "when": "async"}]})
    assert seen(desk, asked).only("business_rule").grade is Grade.OK


def test_an_import_set_that_does_not_coalesce_is_warned_of(desk: simulators.Running) -> None:
    desk.seed({"u_tocsin": [{"sys_id": "5" * 32}]})
    config: dict[str, Any] = {"identity": "import_set", "staging_table": "u_tocsin"}
    assert seen(desk, **config).only("import_set").grade is Grade.ERROR
    made = {"name": "Tocsin", "sys_id": "6" * 32, "source_table": "u_tocsin", "target_table": "incident"}
    desk.seed({"sys_transform_map": [made]})
    assert seen(desk, **config).only("import_set").grade is Grade.WARNING
    field = {"map": "6" * 32, "source_field": "u_correlation_id", "target_field": "correlation_id", "coalesce": "true"}
    desk.seed({"sys_transform_entry": [field]})
    assert seen(desk, **config).only("import_set").grade is Grade.OK


def test_a_certificate_that_ends_soon_is_warned_of(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, days=5)
    with simulators.start("servicenow", seed=SEED, tls=(cert, key), host="localhost") as running:
        soon = seen(running, ca_bundle=cert)
        assert soon.only("certificate").grade is Grade.WARNING
        assert "in 5 days" in soon.only("certificate").says
        unknown = seen(running)
        assert [one.check for one in unknown.findings] == ["reach"]
        assert "ca_bundle" in unknown.findings[0].remedy


# --- the probe ---


def rows(desk: simulators.Running, table: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = desk.state().get(table, [])  # type: ignore[assignment]
    return found


def test_a_probe_creates_one_incident_and_cancels_it_with_a_note(desk: simulators.Running) -> None:
    found = seen(desk, inspection(probe_group="ML Platform"))
    (incident,) = rows(desk, "incident")
    assert incident["state"] == "8"
    assert incident["correlation_display"] == "Tocsin doctor"
    assert [row["value"] for row in rows(desk, "sys_journal_field") if "Nothing is wrong" in row["value"]]
    assert found.only("foreign_sys_id").value == incident["sys_id"]
    assert found.only("probe").value == incident["number"]
    assert found.errors == []


def test_an_instance_that_chooses_sys_ids_itself_is_told() -> None:
    with simulators.start("servicenow", seed=SEED, keep_sys_id=False) as running:
        found = seen(running, inspection(probe_group="ML Platform"))
        assert found.only("foreign_sys_id").grade is Grade.NOTE
        assert [row["state"] for row in rows(running, "incident")] == ["8"]


def test_a_probe_at_a_group_that_is_not_there_writes_nothing(desk: simulators.Running) -> None:
    found = seen(desk, inspection(probe_group="Nobody"))
    assert found.only("probe").grade is Grade.ERROR
    assert found.methods == {"GET"}


def test_a_rule_that_refuses_the_probe_is_named(desk: simulators.Running) -> None:
    fault(desk, "business_rule_abort", rule="Validate CI", match={"method": "POST"})
    found = seen(desk, inspection(probe_group="ML Platform"))
    assert "Validate CI" in found.only("create").says
    assert rows(desk, "incident") == []


def test_a_probe_whose_answer_is_lost_is_taken_back_all_the_same(desk: simulators.Running) -> None:
    fault(desk, "commit_then_drop", match={"method": "POST"}, times=1)
    seen(desk, inspection(probe_group="ML Platform"))
    assert [row["state"] for row in rows(desk, "incident")] == ["8"]
