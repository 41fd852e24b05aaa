"""The instance beside the plain Table API: queries, statistics, batches, files, import sets, events, limits, tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.simulators.conftest import Client, Clock
from tests.simulators.test_servicenow import OURS, create, group_id, numbers
from tocsin import simulators

ADMIN = "6816f79cc0a8016401c5a33be04be441"


def found(servicenow: Client, table: str, query: str, **params: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = servicenow.get(
        f"/table/{table}", params={"sysparm_query": query, "sysparm_exclude_reference_link": "true", **params}
    ).json()["result"]
    return rows


class TestQueries:
    @pytest.fixture(autouse=True)
    def _three(self, servicenow: Client, clock: Clock) -> None:
        create(servicenow, correlation_id="k^1", urgency="1", assignment_group=group_id(servicenow, "ML Platform"))
        clock.go_on(hours=1)
        create(servicenow, correlation_id="K2", urgency="2", impact="2")
        clock.go_on(hours=1)
        create(servicenow, short_description="late job", urgency="3", impact="2")

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("urgencyBETWEEN1@2", [1, 2]),
            ("sys_created_onBETWEEN2026-11-21 09:30:00@2026-11-21 10:30:00", [2]),
            ("short_descriptionDOES NOT CONTAINlate", [1, 2]),
            ("short_descriptionNOT LIKElate", [1, 2]),
            ("short_descriptionCONTAINSlate", [3]),
            ("short_descriptionENDSWITHjob", [3]),
            ("urgencyNOT IN1,3", [2]),
            ("urgencySAMEASimpact", [2]),
            ("urgencyGT_FIELDimpact", [3]),
            ("correlation_id=k2", [2]),  # texts are compared without regard to case
            ("correlation_id=k^^1", [1]),
            ("assignment_groupISNOTEMPTY", [1]),
            ("assignment_group.manager.nameISEMPTY^assignment_group.nameSTARTSWITHML", [1]),
            ("urgency=3^ORurgency=1^impact=2^EQ", [3]),
            ("urgency=1^NQurgency=2^impact=2", [1, 2]),
            ("opened_by=javascript:gs.getUserID()^urgency=2", [2]),
            ("sys_created_on>=javascript:gs.hoursAgo(1)", [2, 3]),
            ("sys_created_on>javascript:gs.dateGenerate('2026-11-21','01:30:00')", [2, 3]),
            ("sys_created_onONToday@javascript:gs.beginningOfToday()@javascript:gs.endOfToday()", [1, 2, 3]),
            ("urgency=1^ORDERBYDESCnumber", [1]),
            ("sys_created_on>javascript:gs.unheardOf()^urgency=2", [2]),
        ],
    )
    def test_every_operator(self, servicenow: Client, query: str, expected: list[int]) -> None:
        assert numbers(servicenow, query) == [f"INC001000{n}" for n in expected]

    def test_a_join_selects_by_the_rows_that_point_here(self, servicenow: Client) -> None:
        managers = found(servicenow, "sys_user", "JOINsys_user.sys_id=sys_user_group.manager!name=Network")
        assert [row["name"] for row in managers] == ["Sven Halvorsen"]

    def test_a_related_list_selects_by_their_number(self, servicenow: Client) -> None:
        roles = "RLQUERYsys_group_has_role.group,{},m2m^role.nameLIKEadmin^ENDRLQUERY^ORDERBYname"
        with_admin = found(servicenow, "sys_user_group", roles.format(">0"))
        without = found(servicenow, "sys_user_group", roles.format("=0"))
        assert "Platform Administration" in [row["name"] for row in with_admin]
        assert "Network" in [row["name"] for row in without]
        assert len(with_admin) + len(without) == len(found(servicenow, "sys_user_group", ""))

    def test_an_instance_may_answer_nothing_to_a_senseless_query(self, servicenow: Client) -> None:
        assert len(numbers(servicenow, "no_such_column=1")) == 3
        setting = {"name": "glide.invalid_query.returns_no_rows", "value": "true"}
        servicenow.control("POST", "/__seed", {"sys_properties": [setting]})
        assert numbers(servicenow, "no_such_column=1") == []

    def test_a_parent_table_shows_its_columns_only(self, servicenow: Client) -> None:
        rows = found(servicenow, "task", "sys_class_name=incident")
        assert len(rows) == 3
        assert "caller_id" not in rows[0]


class TestStatistics:
    def test_counts_and_sums_by_group(self, servicenow: Client) -> None:
        for urgency in ("1", "1", "3"):
            create(servicenow, urgency=urgency)
        params = {"sysparm_count": "true", "sysparm_sum_fields": "urgency", "sysparm_group_by": "urgency"}
        assert servicenow.get("/stats/incident", params=params).json()["result"] == [
            {"stats": {"count": "2", "sum": {"urgency": "2"}}, "groupby_fields": [{"field": "urgency", "value": "1"}]},
            {"stats": {"count": "1", "sum": {"urgency": "3"}}, "groupby_fields": [{"field": "urgency", "value": "3"}]},
        ]
        whole = {"sysparm_count": "true", "sysparm_avg_fields": "urgency", "sysparm_query": "urgency=1"}
        stats = servicenow.get("/stats/incident", params=whole).json()["result"]["stats"]
        assert stats == {"count": "2", "avg": {"urgency": "1.0000"}}


class TestBatches:
    def batch(self, servicenow: Client, *items: dict[str, Any]) -> dict[str, Any]:
        body = {"batch_request_id": "7", "rest_requests": list(items)}
        answer = servicenow.post("/batch", body)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        assert result["batch_request_id"] == "7"
        return result

    def item(self, item_id: str, method: str, url: str, body: object = None) -> dict[str, Any]:
        raw = base64.b64encode(json.dumps(body).encode()).decode()
        headers = [{"name": "Content-Type", "value": "application/json"}]
        return {"id": item_id, "method": method, "url": url, "headers": headers, **({"body": raw} if body else {})}

    def test_items_are_answered_each_with_its_own_status(self, servicenow: Client) -> None:
        result = self.batch(
            servicenow,
            self.item("a", "POST", "/api/now/table/incident", {"sys_id": OURS, "short_description": "drift"}),
            self.item("b", "GET", f"/api/now/table/incident/{OURS}?sysparm_fields=number"),
            self.item("c", "DELETE", f"/api/now/table/incident/{OURS}"),
            self.item("d", "GET", f"/api/now/table/incident/{OURS}"),
        )
        answers = {one["id"]: one for one in result["serviced_requests"]}
        assert [answers[n]["status_code"] for n in "abcd"] == [201, 200, 204, 404]
        assert json.loads(base64.b64decode(answers["b"]["body"])) == {"result": {"number": "INC0010001"}}
        assert "X-Transaction-ID" in [pair["name"] for pair in answers["b"]["headers"]]
        assert result["unserviced_requests"] == []

    def test_what_is_too_large_stays_unserviced(self, servicenow: Client) -> None:
        servicenow.running.seed({"sys_properties": [{"name": "glide.rest.batch.max.inputSize", "value": "200"}]})
        large = self.item("a", "POST", "/api/now/table/incident", {"description": "x" * 300})
        assert self.batch(servicenow, large)["unserviced_requests"] == ["a"]

    def test_a_long_query_fits_a_batch_and_no_address(self, servicenow: Client) -> None:
        create(servicenow)
        query = "AAAA=BBBB^" * 2300 + "number=INC0010001"
        refused = servicenow.get("/table/incident", params={"sysparm_query": query})
        assert (refused.status_code, refused.text[:6]) == (414, "<html>")
        result = self.batch(servicenow, self.item("a", "GET", f"/api/now/table/incident?sysparm_query={query}"))
        assert len(json.loads(base64.b64decode(result["serviced_requests"][0]["body"]))["result"]) == 1


class TestFiles:
    def test_a_file_goes_plainly_or_as_a_form(self, servicenow: Client) -> None:
        create(servicenow, sys_id=OURS)
        where = {"table_name": "incident", "table_sys_id": OURS}
        plain = servicenow.call(
            "POST", "/attachment/file", params={**where, "file_name": "a.bin"}, data=b"\x00\x01",
            headers={"Content-Type": "application/octet-stream"},
        )  # fmt: skip
        form = servicenow.call("POST", "/attachment/upload", data=where, files={"uploadFile": ("b.png", b"png")})
        assert (plain.status_code, form.status_code) == (201, 201)
        assert plain.headers["Location"].endswith(f"/attachment/{plain.json()['result']['sys_id']}/file")
        listed = servicenow.get("/attachment", params={"sysparm_query": f"table_sys_id={OURS}"})
        assert [one["file_name"] for one in listed.json()["result"]] == ["a.bin", "b.png"]
        assert requests.get(plain.headers["Location"], auth=servicenow.auth, timeout=5).content == b"\x00\x01"
        gone = servicenow.call("DELETE", f"/attachment/{form.json()['result']['sys_id']}")
        assert (gone.status_code, len(servicenow.get("/attachment").json()["result"])) == (204, 1)

    def test_an_instance_may_refuse_a_kind_of_file(self, servicenow: Client) -> None:
        create(servicenow, sys_id=OURS)
        servicenow.running.seed({"sys_properties": [{"name": "glide.attachment.extensions", "value": "txt,png"}]})
        params = {"table_name": "incident", "table_sys_id": OURS, "file_name": "a.exe"}
        assert servicenow.post("/attachment/file", {}, params=params).status_code == 400


class TestImportSets:
    def staged(self, servicenow: Client, **row: str) -> dict[str, Any]:
        answer = servicenow.post("/import/u_tocsin_incident", row)
        assert answer.status_code == 201, answer.text
        (result,) = answer.json()["result"]
        assert isinstance(result, dict)
        return result

    def test_rows_with_one_correlation_id_coalesce(self, servicenow: Client) -> None:
        first = self.staged(servicenow, correlation_id="k1", short_description="drift")
        assert (first["status"], first["table"], first["display_value"]) == ("inserted", "incident", "INC0010001")
        again = self.staged(servicenow, correlation_id="k1", short_description="drift")
        changed = self.staged(servicenow, correlation_id="k1", urgency="1")
        assert [again["status"], changed["status"]] == ["ignored", "updated"]
        assert {again["sys_id"], changed["sys_id"]} == {first["sys_id"]}
        assert requests.get(first["record_link"], auth=servicenow.auth, timeout=5).json()["result"]["urgency"] == "1"

    def test_a_row_that_fails_is_told_with_a_success_code(self, servicenow: Client) -> None:
        failed = self.staged(servicenow, correlation_id="k1", state="6")
        assert failed["status"] == "error"
        assert "Data Policy Exception" in failed["error_message"]
        assert numbers(servicenow, "correlation_id=k1") == []

    def test_a_transform_map_names_columns_and_coalesces(self, servicenow: Client) -> None:
        made = servicenow.running.seed(
            {"sys_transform_map": [{"name": "Alerts", "source_table": "u_alerts", "target_table": "problem"}]}
        )
        entry = {"map": made["sys_transform_map"]["Alerts"], "coalesce": "true"}  # type: ignore[index]
        fields = ({"source_field": "u_key", "target_field": "correlation_id"} | entry, {
            "source_field": "u_title", "target_field": "short_description", "map": entry["map"],
        })  # fmt: skip
        servicenow.running.seed({"sys_transform_entry": [{"sys_id": str(n) * 32, **f} for n, f in enumerate(fields)]})
        for title in ("first", "second"):
            servicenow.post("/import/u_alerts", {"u_key": "k1", "u_title": title})
        problems = found(servicenow, "problem", "correlation_id=k1")
        assert [row["short_description"] for row in problems] == ["second"]

    def test_only_staging_tables_take_rows(self, servicenow: Client) -> None:
        assert servicenow.post("/import/incident", {}).status_code == 400


class TestEvents:
    def send(self, servicenow: Client, **event: str) -> None:
        body = {"records": [{"source": "Tocsin", "node": "db-1", **event}]}
        answer = requests.post(servicenow.url + "/api/global/em/jsonv2", json=body, auth=servicenow.auth, timeout=5)
        assert answer.json() == {"result": {"Default Bulk Endpoint": "1 events were inserted"}}

    def alerts(self, servicenow: Client) -> list[dict[str, str]]:
        return found(servicenow, "em_alert", "ORDERBYsys_created_on")

    def test_one_alert_for_a_message_key(self, servicenow: Client) -> None:
        for severity in ("3", "1"):
            self.send(servicenow, message_key="k1", severity=severity)
        self.send(servicenow, message_key="k2", severity="3")
        alerts = self.alerts(servicenow)
        assert [(one["message_key"], one["severity"], one["event_count"]) for one in alerts] == [
            ("k1", "1", "2"),
            ("k2", "3", "1"),
        ]
        self.send(servicenow, message_key="k1", severity="0")
        self.send(servicenow, message_key="k2", severity="3", resolution_state="Closing")
        assert [one["state"] for one in self.alerts(servicenow)] == ["Closed", "Closed"]

    def test_without_a_key_source_node_type_resource_and_metric_make_it(self, servicenow: Client) -> None:
        self.send(servicenow, type="drift", resource="churn", metric_name="psi", severity="2")
        assert self.alerts(servicenow)[0]["message_key"] == "Tocsin+db-1+drift+churn+psi"

    def test_a_clear_of_nothing_makes_no_alert(self, servicenow: Client) -> None:
        self.send(servicenow, message_key="k1", severity="0")
        assert self.alerts(servicenow) == []
        assert len(found(servicenow, "em_event", "")) == 1


class TestLimits:
    @pytest.fixture
    def limited(self, clock: Clock) -> Iterator[Client]:
        with simulators.start("servicenow", clock=clock, hourly_limit=3) as running:
            yield Client(running, "/api/now/v2", ("admin", "tocsin"))

    def test_the_hour_is_refused_with_the_documented_headers(self, limited: Client, clock: Clock) -> None:
        clock.go_on(minutes=20)
        answers = [limited.get("/table/incident") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[3].json()["error"]["detail"] == "Rate limit of 3 requests per hour for Table API exceeded"
        told = answers[3].headers
        assert (told["Retry-After"], told["X-RateLimit-Limit"]) == ("2400", "3")
        assert int(told["X-RateLimit-Reset"]) == clock.now.timestamp() + 2400
        assert len(told["X-RateLimit-Rule"]) == 32
        assert not any("remaining" in name.lower() for name in told)
        clock.go_on(minutes=40)
        assert limited.get("/table/incident").status_code == 200

    def test_counts_are_committed_late(self, limited: Client, clock: Clock) -> None:
        limited.running.seed({"sys_properties": [{"name": "tocsin.simulator.rate_limit_commit_s", "value": "30"}]})
        assert {limited.get("/table/incident").status_code for _ in range(6)} == {200}
        clock.go_on(seconds=31)
        assert [limited.get("/table/incident").status_code for _ in range(2)] == [200, 429]


class TestTheDoor:
    def test_a_session_cookie_is_let_in_and_a_wrong_password_never(self, servicenow: Client) -> None:
        with requests.Session() as session:
            url = servicenow.url + "/api/now/table/incident"
            assert session.get(url, timeout=5).status_code == 401
            assert session.get(url, auth=("admin", "tocsin"), timeout=5).status_code == 200
            assert "JSESSIONID" in session.cookies
            assert session.get(url, timeout=5).status_code == 200
            assert session.get(url, auth=("admin", "wrong"), timeout=5).status_code == 401

    def test_an_api_key_opens(self, servicenow: Client) -> None:
        statuses = [
            servicenow.get("/table/incident", auth=None, headers={"x-sn-apikey": key}).status_code
            for key in ("tocsin", "wrong")
        ]
        assert statuses == [200, 401]

    def test_client_credentials_need_the_property(self, servicenow: Client) -> None:
        form = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "tocsin"}

        def status() -> int:
            return requests.post(servicenow.url + "/oauth_token.do", data=form, timeout=5).status_code

        assert status() == 200
        name = "glide.oauth.inbound.client.credential.grant_type.enabled"
        servicenow.running.seed({"sys_properties": [{"name": name, "value": "false"}]})
        assert status() == 401

    def test_a_hibernating_instance_answers_a_page(self, servicenow: Client) -> None:
        servicenow.running.seed({"sys_properties": [{"name": "tocsin.simulator.hibernates", "value": "true"}]})
        answer = servicenow.post("/table/incident", {})
        assert (answer.status_code, "hibernating" in answer.text) == (200, True)
        assert answer.headers["Content-Type"].startswith("text/html")

    def test_the_login_page_may_come_instead(self, servicenow: Client) -> None:
        servicenow.plan("html_200", rule="login")
        assert "Log in" in servicenow.get("/table/incident").text

    @pytest.mark.parametrize(("status", "words"), [(401, "User Not Authenticated"), (403, "ACL"), (502, "Transaction")])
    def test_a_refusal_of_that_status_in_the_platforms_words(self, servicenow: Client, status: int, words: str) -> None:
        servicenow.plan("server_error_before", status=status)
        answer = servicenow.get("/table/incident")
        assert answer.status_code == status
        assert words in answer.text


def test_moments_are_shown_in_the_callers_time_zone(servicenow: Client) -> None:
    create(servicenow, sys_id=OURS)

    def shown() -> dict[str, str]:
        params = {"sysparm_display_value": "all", "sysparm_fields": "sys_created_on"}
        result: dict[str, str] = servicenow.get(f"/table/incident/{OURS}", params=params).json()["result"]
        return result["sys_created_on"]  # type: ignore[return-value]

    assert shown() == {"display_value": "2026-11-21 01:00:00", "value": "2026-11-21 09:00:00"}
    servicenow.patch(f"/table/sys_user/{ADMIN}", {"time_zone": "Europe/Berlin"})
    assert shown()["display_value"] == "2026-11-21 10:00:00"


def test_the_dictionary_tells_columns_choices_and_references(servicenow: Client) -> None:
    (column,) = found(servicenow, "sys_dictionary", "name=incident^element=caused_by")
    assert (column["internal_type"], column["reference"]) == ("reference", "change_request")
    codes = found(servicenow, "sys_choice", "name=incident^element=close_code^inactive=false")
    assert "Solution provided" in [row["value"] for row in codes]


def test_a_customer_column_can_be_written_once_it_is_in_the_dictionary(servicenow: Client) -> None:
    assert "u_model" not in create(servicenow, u_model="churn")
    servicenow.running.seed({"sys_dictionary": [{"sys_id": "d" * 32, "name": "incident", "element": "u_model"}]})
    assert create(servicenow, u_model="churn")["u_model"] == "churn"
    assert numbers(servicenow, "u_model=churn") == ["INC0010002"]


def test_a_column_that_an_acl_denies_is_dropped_without_a_word(servicenow: Client) -> None:
    servicenow.running.seed({"sys_security_acl": [{"name": "incident.category", "operation": "write"}]})
    row = create(servicenow, category="network", impact="1")
    assert (row["category"], row["impact"]) == ("inquiry", "1")


def test_a_business_rule_of_the_customer_aborts_by_its_condition(servicenow: Client) -> None:
    rule = {"name": "No drills", "collection": "task", "action_insert": "true", "abort_action": "true"}
    rule["filter_condition"] = "short_descriptionLIKEdrill^ORdescriptionLIKEdrill^EQ"
    servicenow.running.seed({"sys_script": [rule]})
    refused = servicenow.post("/table/incident", {"short_description": "Fire drill"})
    assert refused.status_code == 403
    detail = refused.json()["error"]["detail"]
    assert detail.startswith("Operation against file 'incident' was aborted by Business Rule 'No drills^")
    assert detail.endswith("'. Business Rule Stack:No drills")
    create(servicenow, short_description="Fire")


def test_a_data_policy_of_the_customer_makes_columns_mandatory_or_read_only(servicenow: Client) -> None:
    policies = [
        {"sys_id": "1" * 32, "table": "incident", "field": "caller_id", "mandatory": "true"},
        {"sys_id": "2" * 32, "table": "incident", "field": "contact_type", "disabled": "true"},
    ]
    servicenow.running.seed({"sys_data_policy_rule": policies})
    refused = servicenow.post("/table/incident", {"short_description": "drift"})
    assert (refused.status_code, refused.json()["error"]["detail"]) == (
        403,
        "Data Policy Exception: The following fields are mandatory: Caller id",
    )
    create(servicenow, sys_id=OURS, caller_id=ADMIN, contact_type="phone")
    refused = servicenow.patch(f"/table/incident/{OURS}", {"contact_type": "email"})
    assert "read only: Contact type" in refused.json()["error"]["detail"]
