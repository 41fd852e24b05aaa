"""Faults on demand, the call log and the other controls; alike for all three."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from tests.simulators.conftest import ROUTING_KEY, Client
from tests.simulators.test_jira import fields

OURS = "f" * 32
EVENT = {
    "routing_key": ROUTING_KEY,
    "event_action": "trigger",
    "dedup_key": "k",
    "payload": {"summary": "s", "source": "x", "severity": "error"},
}


def create(vendor: Client, **more: Any) -> requests.Response:
    """The create of each vendor."""
    if vendor.running.kind == "servicenow":
        return vendor.post("/table/incident", {"sys_id": OURS, "short_description": "s"}, **more)
    if vendor.running.kind == "pagerduty":
        return vendor.post("/v2/enqueue", EVENT, **more)
    return vendor.post("/issue", fields(), **more)


def kept(vendor: Client) -> int:
    """How many records the vendor holds."""
    state = vendor.control("GET", "/__state")
    name = {"servicenow": "incident", "pagerduty": "incidents", "jira": "issues"}[vendor.running.kind]
    return len(state.get(name, []))


@pytest.fixture(params=["servicenow", "pagerduty", "jira"])
def vendor(request: pytest.FixtureRequest) -> Client:
    client: Client = request.getfixturevalue(request.param)
    return client


def test_commit_then_drop_does_the_work_and_answers_nothing(vendor: Client) -> None:
    vendor.plan("commit_then_drop", match={"method": "POST"})
    with pytest.raises(requests.ConnectionError):
        create(vendor)
    assert kept(vendor) == 1
    assert vendor.control("GET", "/__calls")["calls"][0]["status"] is None


def test_drop_before_commit_does_nothing(vendor: Client) -> None:
    vendor.plan("drop_before_commit")
    with pytest.raises(requests.ConnectionError):
        create(vendor)
    assert kept(vendor) == 0


@pytest.mark.parametrize(("fault", "records"), [("server_error_before", 0), ("server_error_after", 1)])
def test_server_errors_before_and_after_the_work(vendor: Client, fault: str, records: int) -> None:
    vendor.plan(fault, status=502)
    assert create(vendor).status_code == 502
    assert kept(vendor) == records


def test_slow_answers_late_but_has_done_the_work(vendor: Client) -> None:
    vendor.plan("slow", after_s=5)
    with pytest.raises(requests.ReadTimeout):
        create(vendor, timeout=0.3)
    assert kept(vendor) == 1


def test_slow_commit_does_the_work_after_the_caller_gave_up(vendor: Client) -> None:
    vendor.plan("slow_commit", after_s=0.4)
    with pytest.raises(requests.ReadTimeout):
        create(vendor, timeout=0.1)
    assert kept(vendor) == 0
    deadline = time.monotonic() + 5
    while not kept(vendor) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert kept(vendor) == 1


def test_html_200_is_no_answer_of_the_api(vendor: Client) -> None:
    vendor.plan("html_200")
    answer = create(vendor)
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    assert kept(vendor) == 0


def test_rate_limit_speaks_each_vendors_dialect(vendor: Client) -> None:
    vendor.plan("rate_limit", after_s=7)
    answer = create(vendor)
    assert (answer.status_code, kept(vendor)) == (429, 0)
    expected = {
        "servicenow": {"Retry-After": "7", "X-RateLimit-Limit": "100"},
        "pagerduty": {},  # the Events API names no time to wait
        "jira": {"Retry-After": "7", "RateLimit-Reason": "jira-burst-based"},
    }[vendor.running.kind]
    assert {name: answer.headers[name] for name in expected} == expected


def test_pagerdutys_rest_api_limits_in_its_own_way(pagerduty: Client) -> None:
    pagerduty.plan("rate_limit", match={"path": "^/incidents"}, after_s=20)
    answer = pagerduty.get("/incidents")
    assert answer.json() == {"error": {"message": "Rate Limit Exceeded", "code": 2020}}
    assert (answer.headers["ratelimit-remaining"], answer.headers["ratelimit-reset"]) == ("0", "20")


def test_a_business_rule_aborts(vendor: Client) -> None:
    vendor.plan("business_rule_abort", rule="Only on weekdays")
    answer = create(vendor)
    assert answer.status_code == {"servicenow": 403, "pagerduty": 400, "jira": 422}[vendor.running.kind]
    assert "Only on weekdays" in answer.text
    assert kept(vendor) == 0


def test_silent_field_drop_ignores_fields(servicenow: Client, jira: Client) -> None:
    servicenow.plan("silent_field_drop", fields=["sys_id", "short_description"])
    made = create(servicenow).json()["result"]
    assert made["short_description"] == ""
    assert made["sys_id"] != OURS
    jira.plan("silent_field_drop", fields=["labels"])
    key = create(jira).json()["key"]
    assert jira.get(f"/issue/{key}").json()["fields"]["labels"] == []


def test_index_lag_hides_the_young_from_searches(jira: Client) -> None:
    create(jira)
    jira.plan("index_lag", match={"path": "/search/jql$"}, after_s=60, times=0)
    for _ in range(2):
        assert jira.post("/search/jql", {"jql": "project = OPS"}).json()["issues"] == []
    jira.control("DELETE", "/__faults")
    assert len(jira.post("/search/jql", {"jql": "project = OPS"}).json()["issues"]) == 1


def test_a_plan_strikes_what_it_matches_as_often_as_it_says(servicenow: Client) -> None:
    servicenow.plan("server_error_before", match={"method": "POST", "path": "/incident$"}, times=2, skip=1)
    codes = [servicenow.post("/table/incident", {}).status_code for _ in range(4)]
    assert codes == [201, 503, 503, 201]
    assert servicenow.control("GET", "/__faults")["faults"][0]["left"] == 0


def test_a_plan_that_makes_no_sense_is_refused(servicenow: Client) -> None:
    for body in ({"fault": "gremlins"}, {"fault": "slow", "matches": {}}, {"fault": "slow", "match": {"path": "("}}):
        assert requests.post(servicenow.url + "/__faults", json=body, timeout=5).status_code == 400


def test_calls_are_logged_and_pages_for_people_are_not(vendor: Client) -> None:
    create(vendor)
    requests.get(vendor.url + "/", timeout=5)
    log = vendor.control("GET", "/__calls")
    assert log["count"] == 1
    assert (log["calls"][0]["method"], log["calls"][0]["fault"]) == ("POST", None)
    assert log["calls"][0]["status"] in (201, 202)
    assert vendor.control("GET", "/__calls?method=get")["count"] == 0


def test_a_page_for_people_is_never_struck(vendor: Client) -> None:
    vendor.plan("html_200", times=0)
    assert "simulator for Tocsin" in requests.get(vendor.url + "/", timeout=5).text


def test_reset_forgets_records_faults_and_calls_but_not_the_seed(servicenow: Client) -> None:
    create(servicenow)
    servicenow.plan("html_200", times=0)
    servicenow.control("POST", "/__reset")
    assert (kept(servicenow), servicenow.control("GET", "/__calls")["count"]) == (0, 0)
    groups = servicenow.get("/table/sys_user_group").json()["result"]
    assert [group["name"] for group in groups][-2:] == ["ML Platform", "Data Engineering"]


def test_seeding_twice_gives_the_same_ids(servicenow: Client) -> None:
    first = servicenow.control("POST", "/__seed", {"sys_user_group": ["Search"]})
    assert servicenow.control("POST", "/__seed", {"sys_user_group": ["Search"]}) == first


def test_a_seed_that_does_not_fit_is_refused(vendor: Client) -> None:
    answer = requests.post(vendor.url + "/__seed", json={"projects": "OPS", "routing_keys": 5}, timeout=5)
    assert answer.status_code == 400
