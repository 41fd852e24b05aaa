"""The Table API as a connector uses it: create once, read back, note, resolve, reopen, ask."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.simulators.conftest import Client, Clock
from tocsin import simulators

OURS = "0123456789abcdef" * 2
DONE = {"state": "6", "close_code": "Solution provided", "close_notes": "Rolled back."}


def create(servicenow: Client, **values: Any) -> dict[str, Any]:
    answer = servicenow.post("/table/incident", {"short_description": "drift", **values})
    assert answer.status_code == 201, answer.text
    result: dict[str, Any] = answer.json()["result"]
    return result


def group_id(servicenow: Client, name: str) -> str:
    found = servicenow.get("/table/sys_user_group", params={"sysparm_query": f"name={name}"}).json()["result"]
    return str(found[0]["sys_id"])


def numbers(servicenow: Client, query: str) -> list[str]:
    params = {"sysparm_query": query, "sysparm_fields": "number"}
    return [row["number"] for row in servicenow.get("/table/incident", params=params).json()["result"]]


def test_the_caller_may_choose_the_sys_id(servicenow: Client) -> None:
    answer = servicenow.post("/table/incident", {"sys_id": OURS, "short_description": "drift"})
    assert answer.headers["Location"] == f"{servicenow.url}/api/now/v2/table/incident/{OURS}"
    assert servicenow.get(f"/table/incident/{OURS}").json()["result"]["number"] == "INC0010001"


def test_a_second_insert_of_a_sys_id_is_refused(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)
    answer = servicenow.post("/table/incident", {"sys_id": OURS, "number": "INC77"})
    assert answer.status_code == 403
    assert answer.json() == {
        "error": {"message": "Operation Failed", "detail": "Error during insert of incident (INC77)"},
        "status": "failure",
    }


def test_of_concurrent_inserts_with_one_sys_id_exactly_one_succeeds(servicenow: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: servicenow.post("/table/incident", {"sys_id": OURS}).status_code, range(8)))
    assert sorted(codes) == [201] + [403] * 7


def test_an_instance_may_ignore_the_chosen_sys_id() -> None:
    with simulators.start("servicenow", keep_sys_id=False) as running:
        given = create(Client(running, "/api/now/v2", ("admin", "tocsin")), sys_id=OURS)
    assert given["sys_id"] != OURS


def test_every_value_is_a_string(servicenow: Client) -> None:
    row = create(servicenow, impact=1, urgency=2, active=True)
    assert {type(value) for value in row.values() if not isinstance(value, dict)} == {str}


@pytest.mark.parametrize(
    ("impact", "urgency", "priority"),
    [(1, 1, "1"), (1, 2, "2"), (2, 1, "2"), (2, 2, "3"), (3, 1, "3"), (1, 3, "3"), (2, 3, "4"), (3, 3, "5")],
)
def test_priority_follows_from_impact_and_urgency(servicenow: Client, impact: int, urgency: int, priority: str) -> None:
    assert create(servicenow, impact=impact, urgency=urgency, priority="1")["priority"] == priority


def test_unknown_and_read_only_fields_are_dropped_without_a_word(servicenow: Client) -> None:
    row = create(servicenow, colour="red", sys_created_by="mallory")
    assert "colour" not in row
    assert row["sys_created_by"] == "admin"


def test_an_update_counts_and_stamps_and_an_empty_one_does_not(servicenow: Client, clock: Clock) -> None:
    create(servicenow, sys_id=OURS)
    clock.go_on(minutes=5)
    assert servicenow.patch(f"/table/incident/{OURS}", {"urgency": "1"}).json()["result"]["sys_mod_count"] == "1"
    again = servicenow.put(f"/table/incident/{OURS}", {"urgency": "1"}).json()["result"]
    assert (again["sys_mod_count"], again["sys_updated_on"]) == ("1", "2026-11-21 09:05:00")


def test_work_notes_go_to_the_journal_and_the_field_reads_empty(servicenow: Client, clock: Clock) -> None:
    create(servicenow, sys_id=OURS, work_notes="first")
    clock.go_on(minutes=1)
    assert servicenow.patch(f"/table/incident/{OURS}", {"work_notes": "second"}).json()["result"]["work_notes"] == ""
    query = f"element_id={OURS}^element=work_notes^ORDERBYDESCsys_created_on"
    entries = servicenow.get("/table/sys_journal_field", params={"sysparm_query": query}).json()["result"]
    assert [entry["value"] for entry in entries] == ["second", "first"]
    shown = servicenow.get(f"/table/incident/{OURS}", params={"sysparm_display_value": "true"}).json()["result"]
    assert shown["work_notes"].startswith("2026-11-21 01:01:00 - System Administrator (Work notes)\nsecond\n\n")


def test_the_same_work_note_twice_is_two_entries(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)
    for _ in range(2):
        servicenow.patch(f"/table/incident/{OURS}", {"work_notes": "again"})
    assert len(servicenow.get("/table/sys_journal_field").json()["result"]) == 2


def test_resolving_needs_a_code_and_notes(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)
    refused = servicenow.patch(f"/table/incident/{OURS}", {"state": "6", "close_code": "Solution provided"})
    assert refused.status_code == 403
    assert "Data Policy Exception" in refused.json()["error"]["detail"]
    assert servicenow.get(f"/table/incident/{OURS}").json()["result"]["state"] == "1"
    resolved = servicenow.patch(f"/table/incident/{OURS}", DONE).json()["result"]
    assert (resolved["state"], resolved["incident_state"], bool(resolved["resolved_at"])) == ("6", "6", True)


def test_a_resolved_incident_can_be_reopened_and_a_closed_one_not(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)
    servicenow.patch(f"/table/incident/{OURS}", DONE)
    reopened = servicenow.patch(f"/table/incident/{OURS}", {"state": "2"}).json()["result"]
    assert (reopened["reopen_count"], reopened["resolved_at"]) == ("1", "")
    servicenow.patch(f"/table/incident/{OURS}", DONE | {"state": "7"})
    refused = servicenow.patch(f"/table/incident/{OURS}", {"state": "2"})
    assert refused.status_code == 403
    assert "was aborted by Business Rule" in refused.text


def test_delete_answers_204_and_then_404(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)
    assert servicenow.call("DELETE", f"/table/incident/{OURS}").status_code == 204
    gone = servicenow.call("DELETE", f"/table/incident/{OURS}")
    assert (gone.status_code, gone.json()["error"]["message"]) == (404, "No Record found")


def test_a_missing_record_answers_404_to_every_method(servicenow: Client) -> None:
    answers = [servicenow.call(method, f"/table/incident/{OURS}", {}) for method in ("GET", "PATCH", "PUT", "DELETE")]
    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("correlation_id=k1", ["INC0010001"]),
        ("correlation_id!=k1", ["INC0010002", "INC0010003"]),
        ("short_descriptionLIKElate", ["INC0010003"]),
        ("short_descriptionSTARTSWITHdrift", ["INC0010001", "INC0010002"]),
        ("numberININC0010001,INC0010003", ["INC0010001", "INC0010003"]),
        ("urgency<=2", ["INC0010001", "INC0010002"]),
        ("urgency>=2^correlation_idISEMPTY", ["INC0010003"]),
        ("urgency=1^ORurgency=3^ORDERBYDESCnumber", ["INC0010003", "INC0010001"]),
        ("urgency=1^NQurgency=3", ["INC0010001", "INC0010003"]),
        ("assignment_group.name=ML Platform", ["INC0010001"]),
        ("ORDERBYDESCurgency^ORDERBYnumber", ["INC0010003", "INC0010002", "INC0010001"]),
        ("sys_created_on>=2026-11-21 09:00:00^urgency=1", ["INC0010001"]),
    ],
)
def test_encoded_queries(servicenow: Client, query: str, expected: list[str]) -> None:
    group = group_id(servicenow, "ML Platform")
    create(servicenow, correlation_id="k1", urgency="1", assignment_group=group)
    create(servicenow, correlation_id="k2", urgency="2")
    create(servicenow, short_description="late job", urgency="3")
    assert numbers(servicenow, query) == expected


def test_an_invalid_part_of_a_query_is_ignored_and_finds_other_peoples_incidents(servicenow: Client) -> None:
    create(servicenow, correlation_id="theirs")
    assert numbers(servicenow, "corelation_id=ours") == ["INC0010001"]


def test_pages_have_a_total_and_links(servicenow: Client) -> None:
    for _ in range(3):
        create(servicenow)
    params = {"sysparm_limit": "2", "sysparm_fields": "number", "sysparm_query": "active=true"}
    first = servicenow.get("/table/incident", params=params)
    assert (len(first.json()["result"]), first.headers["X-Total-Count"]) == (2, "3")
    rest = servicenow.call("GET", first.links["next"]["url"].removeprefix(servicenow.url + servicenow.root))
    assert [row["number"] for row in rest.json()["result"]] == ["INC0010003"]
    quiet = servicenow.get("/table/incident", params={**params, "sysparm_suppress_pagination_header": "true"})
    assert "Link" not in quiet.headers
    assert quiet.headers["X-Total-Count"] == "3"


def test_references_come_as_value_link_or_name(servicenow: Client) -> None:
    group = group_id(servicenow, "ML Platform")
    create(servicenow, sys_id=OURS, assignment_group=group)

    def seen(**params: str) -> Any:
        return servicenow.get(f"/table/incident/{OURS}", params=params).json()["result"]["assignment_group"]

    link = f"{servicenow.url}/api/now/table/sys_user_group/{group}"
    assert seen() == {"link": link, "value": group}
    assert seen(sysparm_exclude_reference_link="true") == group
    assert seen(sysparm_display_value="true", sysparm_exclude_reference_link="true") == "ML Platform"
    assert seen(sysparm_display_value="all") == {"display_value": "ML Platform", "value": group, "link": link}


def test_a_name_is_no_reference_unless_input_display_value_is_asked(servicenow: Client) -> None:
    assert create(servicenow, assignment_group="ML Platform")["assignment_group"] == ""
    answer = servicenow.post(
        "/table/incident", {"assignment_group": "ML Platform"}, params={"sysparm_input_display_value": "true"}
    )
    assert answer.json()["result"]["assignment_group"]["value"] == group_id(servicenow, "ML Platform")


def test_an_item_brings_its_support_group(servicenow: Client) -> None:
    servicenow.running.seed({"cmdb_ci_service": [{"name": "checkout", "support_group": "Data Engineering"}]})
    ci = servicenow.get("/table/cmdb_ci", params={"sysparm_query": "name=checkout"}).json()["result"][0]["sys_id"]
    assert create(servicenow, cmdb_ci=ci)["assignment_group"]["value"] == group_id(servicenow, "Data Engineering")


def test_changes_are_read_by_both_apis(servicenow: Client) -> None:
    servicenow.running.seed({"change_request": [{"number": "CHG0030001", "short_description": "Deploy 4.12"}]})
    assert servicenow.get("/table/change_request").json()["result"][0]["number"] == "CHG0030001"
    changes = servicenow.call("GET", "/../../sn_chg_rest/v1/change", params={"sysparm_query": "numberISNOTEMPTY"})
    assert changes.json()["result"][0]["number"] == {"display_value": "CHG0030001", "value": "CHG0030001"}


def test_an_attachment_can_be_read_back(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)
    params = {"table_name": "incident", "table_sys_id": OURS, "file_name": "evidence.json"}
    made = servicenow.post("/attachment/file", {"observed": 0.041}, params=params)
    assert (made.status_code, made.json()["result"]["size_bytes"]) == (201, "19")
    assert servicenow.get(f"/attachment/{made.json()['result']['sys_id']}/file").json() == {"observed": 0.041}


def test_parents_count_their_children(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)
    create(servicenow, parent_incident=OURS)
    assert servicenow.get(f"/table/incident/{OURS}").json()["result"]["child_incidents"] == "1"


def test_version_one_answers_404_for_no_rows(servicenow: Client) -> None:
    servicenow.root = "/api/now/v1"
    assert servicenow.get("/table/incident").status_code == 404


def test_wrong_addresses_and_bodies_are_named(servicenow: Client) -> None:
    assert servicenow.get("/table/no_such_table").json()["error"]["message"] == "Invalid table no_such_table"
    assert servicenow.get("/tables/incident").status_code == 400
    assert servicenow.call("DELETE", "/table/incident").status_code == 405
    broken = servicenow.call("POST", "/table/incident", data="{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["error"]["message"]) == (400, "Exception while reading request")


def test_oauth_tokens_let_in_until_they_end(servicenow: Client, clock: Clock) -> None:
    client = {"client_id": "admin", "client_secret": "tocsin"}

    def token(**form: str) -> Any:
        servicenow.root = ""
        return servicenow.call("POST", "/oauth_token.do", data=client | form, auth=None)

    def status(access: str) -> int:
        servicenow.root = "/api/now"
        headers = {"Authorization": f"Bearer {access}"}
        return servicenow.get("/table/incident", headers=headers, auth=None).status_code

    given = token(grant_type="password", username="admin", password="tocsin").json()
    assert status(given["access_token"]) == 200
    clock.go_on(seconds=given["expires_in"] + 1)
    assert status(given["access_token"]) == 401
    again = token(grant_type="refresh_token", refresh_token=given["refresh_token"]).json()
    assert status(again["access_token"]) == 200
    assert token(grant_type="client_credentials").json()["token_type"] == "Bearer"
    assert token(grant_type="password", username="admin", password="wrong").status_code == 401
