"""What doctor finds out about a Jira site before the first outage does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.connectors.doctoring import Found, inspection, look
from tocsin import simulators
from tocsin.domain.seen import Grade, Inspection

HOOK = "https://tocsin.example.com/hooks/jira"
SEED: dict[str, object] = {
    "projects": [
        "OPS",
        {"key": "NODONE", "statuses": [["To Do", "new"], ["Waiting", "indeterminate"]]},
        {"key": "STRICT", "required": ["customfield_10050"]},
        {"key": "BARE", "off_screen": ["labels"]},
    ],
    "custom_fields": {"customfield_10050": "Root area"},
}


@pytest.fixture(scope="module")
def _site() -> Iterator[simulators.Running]:
    with simulators.start("jira", seed=SEED) as running:
        yield running


@pytest.fixture
def site(_site: simulators.Running) -> simulators.Running:
    _site.reset()
    return _site


def seen(site: simulators.Running, asked: Inspection | None = None, **config: Any) -> Found:
    given = {"url": site.url, "email": "admin", "api_token": "tocsin", "project": "OPS", **config}
    return look("jira", given, asked or inspection(), site)


def issue(site: simulators.Running, project: str = "OPS") -> None:
    """Somebody opens an issue by hand."""
    fields = {"project": {"key": project}, "issuetype": {"name": "Incident"}, "summary": "Printer"}
    answer = requests.post(f"{site.url}/rest/api/3/issue", json={"fields": fields}, auth=("admin", "tocsin"), timeout=5)
    answer.raise_for_status()


def test_a_sound_site_has_no_errors_and_is_only_read(site: simulators.Running) -> None:
    issue(site)
    found = seen(site)
    assert found.errors == []
    assert found.methods == {"GET"}
    assert found.only("permissions").grade is Grade.OK
    assert found.only("required_fields").grade is Grade.OK
    assert "could be resolved by" in found.only("transitions").says


def test_a_wrong_token_ends_the_look(site: simulators.Running) -> None:
    found = seen(site, api_token="wrong")
    assert [(one.check, one.value) for one in found.errors] == [("credentials", "401")]
    assert "api-tokens" in found.errors[0].remedy


def test_a_data_center_that_is_called_cloud_is_told() -> None:
    with simulators.start("jira", deployment="Server") as running:
        found = seen(running)
        assert found.only("flavour").remedy == "set flavour: datacenter"
        right = seen(running, flavour="datacenter", project="OPS")
        assert right.only("credentials").grade is Grade.OK
        assert right.errors == []


def test_a_project_that_is_not_there_is_told_with_the_team_that_names_it(site: simulators.Running) -> None:
    asked = inspection(addresses={"ml": {"project": "NOPE"}}, origins={"team:ml": "teams/ml.yaml:3"})
    wrong = next(one for one in seen(site, asked).of("project") if one.value == "NOPE")
    assert wrong.grade is Grade.ERROR
    assert "team ml (teams/ml.yaml:3)" in wrong.says


def test_teams_without_a_project_are_told_together(site: simulators.Running) -> None:
    asked = inspection(addresses={"a": {}, "b": {}})
    (wrong,) = seen(site, asked, project="").of("project")
    assert (wrong.grade, wrong.value) == (Grade.WARNING, "a, b")


def test_an_issue_type_that_the_project_lacks_comes_with_those_it_has(site: simulators.Running) -> None:
    wrong = seen(site, issue_type="Outage").only("issue_type")
    assert (wrong.grade, wrong.value) == (Grade.ERROR, "OPS: Outage")
    assert "Incident" in wrong.remedy


def test_a_required_field_that_nobody_fills_is_told_by_its_name(site: simulators.Running) -> None:
    asked = inspection(addresses={"ml": {"project": "STRICT"}})
    wrong = next(one for one in seen(site, asked).of("required_fields") if one.value.startswith("STRICT"))
    assert wrong.grade is Grade.ERROR
    assert "Root area (customfield_10050)" in wrong.says
    mended = seen(site, asked, fields={"Root area": "Payments"})
    assert mended.grades("required_fields") == [Grade.OK, Grade.OK]


def test_a_create_screen_without_labels_is_an_error(site: simulators.Running) -> None:
    wrong = seen(site, project="BARE").only("screen")
    assert (wrong.grade, "Labels" in wrong.remedy) == (Grade.ERROR, True)


def test_a_workflow_without_an_end_is_an_error(site: simulators.Running) -> None:
    assert seen(site, project="NODONE").only("transitions").grade is Grade.ERROR


def test_a_transition_that_is_not_there_comes_with_those_that_are(site: simulators.Running) -> None:
    issue(site)
    wrong = seen(site, done_transition="Abschließen").only("transitions")
    assert wrong.grade is Grade.ERROR
    assert "Done" in wrong.remedy


def test_without_an_open_issue_transitions_cannot_be_seen(site: simulators.Running) -> None:
    assert seen(site).only("transitions").grade is Grade.NOTE


def test_priorities_and_link_types_of_the_site_are_compared(site: simulators.Running) -> None:
    found = seen(site, priorities={"critical": "Blocker", "error": "High"}, relates_link="Is like")
    wrong = next(one for one in found.of("priority") if one.value == "Blocker")
    assert "Highest" in wrong.remedy
    assert found.only("link_type").value == "Is like"


def test_a_field_of_the_mappings_that_the_site_lacks_is_an_error(site: simulators.Running) -> None:
    assert seen(site, fields={"Blast radius": "x"}).only("fields").value == "Blast radius"


def test_a_webhook_that_posts_to_our_hook_is_looked_for(site: simulators.Running) -> None:
    asked = inspection(hooks=(HOOK,))
    assert seen(site, asked).only("webhook").grade is Grade.WARNING
    site.seed({"webhooks": [{"name": "Tocsin", "url": HOOK, "secret": "s"}]})
    assert seen(site, asked).only("webhook").grade is Grade.OK


def test_alerts_in_the_place_of_issues_are_looked_for_at_their_own_address(site: simulators.Running) -> None:
    config: dict[str, Any] = {"target": "alert", "cloud_id": "local", "alerts_url": site.url}
    found = seen(site, inspection(probe_group="OPS"), **config)
    assert found.only("alerts").grade is Grade.OK
    assert found.of("project") == []
    assert found.methods == {"GET"}
    assert "would notify" in found.only("probe").says
    elsewhere = seen(site, **{**config, "cloud_id": "another"}).only("alerts")
    assert (elsewhere.grade, "tenant_info" in elsewhere.remedy) == (Grade.ERROR, True)


# --- the probe ---


def issues(site: simulators.Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.state()["issues"]  # type: ignore[assignment]
    return found


def test_a_probe_creates_one_issue_and_leaves_none(site: simulators.Running) -> None:
    found = seen(site, inspection(probe_group="OPS"))
    assert found.only("create").value == "OPS-1"
    assert "nothing is left" in found.only("probe").says
    assert issues(site) == []


def test_a_probe_that_may_not_delete_closes_instead(site: simulators.Running) -> None:
    plan = {"fault": "business_rule_abort", "match": {"method": "DELETE"}}
    requests.post(f"{site.url}/__faults", json=plan, timeout=5).raise_for_status()
    found = seen(site, inspection(probe_group="OPS: Task"))
    (closed,) = issues(site)
    assert closed["status_category"] == "done"
    assert "closed by" in found.only("probe").says


def test_a_probe_that_is_refused_leaves_nothing(site: simulators.Running) -> None:
    found = seen(site, inspection(probe_group="STRICT"))
    assert found.only("create").grade is Grade.ERROR
    assert issues(site) == []
