"""Somebody else works in the instance too: people edit records, parents lead their children, pages show it."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.simulators.conftest import Client
from tests.simulators.test_servicenow import DONE, OURS, create

CHANGE = {"change_request": [{"number": "CHG0030001", "short_description": "Deploy 4.12"}]}


def row(servicenow: Client, sys_id: str = OURS) -> dict[str, str]:
    params = {"sysparm_exclude_reference_link": "true"}
    found: dict[str, str] = servicenow.get(f"/table/incident/{sys_id}", params=params).json()["result"]
    return found


def person(servicenow: Client, do: str = "", record: str = "INC0010001", **more: Any) -> requests.Response:
    body = {"record": record, **({"do": do} if do else {}), **more}
    return requests.post(servicenow.url + "/__person", json=body, timeout=5)


class TestPeople:
    @pytest.fixture(autouse=True)
    def _incident(self, servicenow: Client) -> None:
        create(servicenow, sys_id=OURS)

    @pytest.mark.parametrize(
        ("edit", "expected"),
        [
            ({"do": "acknowledge"}, {"state": "2"}),
            ({"do": "hold", "reason": "3"}, {"state": "3", "hold_reason": "3"}),
            ({"do": "resolve", "note": "Fixed."}, {"state": "6", "close_notes": "Fixed."}),
            ({"do": "close"}, {"state": "7", "active": "false"}),
            ({"do": "cancel"}, {"state": "8", "active": "false"}),
            ({"set": {"urgency": "1", "impact": "1"}}, {"priority": "1"}),
        ],
    )
    def test_an_edit_is_the_persons_and_counts(
        self, servicenow: Client, edit: dict[str, Any], expected: dict[str, str]
    ) -> None:
        answer = person(servicenow, **edit)
        assert answer.status_code == 200, answer.text
        now = row(servicenow)
        assert {name: now[name] for name in expected} == expected
        assert (now["sys_updated_by"], now["sys_mod_count"]) == ("jane.archer", "1")

    def test_names_stand_for_references(self, servicenow: Client) -> None:
        servicenow.running.seed(CHANGE)
        assigned = person(servicenow, "assign", to="Omar Aziz", group="Network", **{"as": "omar.aziz"}).json()
        caused = person(servicenow, "cause", change="CHG0030001").json()
        assert assigned["sys_updated_by"] == "omar.aziz"
        shown = servicenow.get(f"/table/incident/{OURS}", params={"sysparm_display_value": "all"}).json()["result"]
        names = {name: shown[name]["display_value"] for name in ("assigned_to", "assignment_group", "caused_by")}
        assert names == {"assigned_to": "Omar Aziz", "assignment_group": "Network", "caused_by": "CHG0030001"}
        assert len(caused["caused_by"]) == 32

    def test_notes_and_comments_bear_the_persons_name(self, servicenow: Client) -> None:
        person(servicenow, "note", note="Looking.", **{"as": "lena.vogel"})
        person(servicenow, "comment", note="We are on it.")
        entries = servicenow.get("/table/sys_journal_field").json()["result"]
        assert [(one["element"], one["value"], one["sys_created_by"]) for one in entries] == [
            ("work_notes", "Looking.", "lena.vogel"),
            ("comments", "We are on it.", "jane.archer"),
        ]

    def test_who_resolved_is_the_person(self, servicenow: Client) -> None:
        person(servicenow, "resolve")
        by = row(servicenow)["resolved_by"]
        assert servicenow.get(f"/table/sys_user/{by}").json()["result"]["user_name"] == "jane.archer"

    def test_a_record_can_vanish(self, servicenow: Client) -> None:
        assert person(servicenow, "delete").json() == {"deleted": True}
        assert servicenow.get(f"/table/incident/{OURS}").status_code == 404

    @pytest.mark.parametrize(
        ("edit", "words"),
        [
            ({"record": "INC9"}, "no number or sys_id"),
            ({"do": "dance"}, "unknown; known are"),
            ({"colour": "red"}, "unknown; known are"),
        ],
    )
    def test_what_cannot_be_done_is_named(self, servicenow: Client, edit: dict[str, str], words: str) -> None:
        answer = requests.post(servicenow.url + "/__person", json={"record": OURS, **edit}, timeout=5)
        assert answer.status_code == 400
        assert words in answer.json()["error"]

    def test_the_rules_count_for_people_too(self, servicenow: Client) -> None:
        person(servicenow, "close")
        assert "Closed incidents stay closed" in person(servicenow, "reopen").json()["error"]

    def test_an_edit_may_come_between_our_read_and_our_write(self, servicenow: Client) -> None:
        edit = {"record": OURS, "do": "assign", "to": "Omar Aziz"}
        servicenow.plan("person_edits", match={"method": "PATCH"}, edit=edit)
        before = row(servicenow)
        after = servicenow.patch(f"/table/incident/{OURS}", {"urgency": "1"}).json()["result"]
        assert (before["assigned_to"], bool(after["assigned_to"])) == ("", True)
        assert (after["urgency"], after["sys_mod_count"], after["sys_updated_by"]) == ("1", "2", "admin")


def test_nobody_works_in_a_simulator_without_people(pagerduty: Client) -> None:
    answer = requests.post(pagerduty.url + "/__person", json={}, timeout=5)
    assert (answer.status_code, "nobody" in answer.text) == (400, True)


class TestChildren:
    """docs parent-child-state-sync: the child follows, but for closing and cancelling."""

    CHILD = "c" * 32

    @pytest.fixture(autouse=True)
    def _family(self, servicenow: Client) -> None:
        create(servicenow, sys_id=OURS)
        create(servicenow, sys_id=self.CHILD, parent_incident=OURS)

    def test_a_resolved_parent_resolves_its_children(self, servicenow: Client) -> None:
        servicenow.patch(f"/table/incident/{OURS}", DONE)
        child = row(servicenow, self.CHILD)
        assert (child["state"], child["close_code"], child["close_notes"]) == ("6", *list(DONE.values())[1:])
        notes = servicenow.get("/table/sys_journal_field").json()["result"]
        assert [note["element_id"] for note in notes] == [self.CHILD]

    def test_a_reopened_parent_reopens_them(self, servicenow: Client) -> None:
        servicenow.patch(f"/table/incident/{OURS}", DONE)
        servicenow.patch(f"/table/incident/{OURS}", {"state": "2"})
        assert row(servicenow, self.CHILD)["state"] == "2"

    @pytest.mark.parametrize(
        ("parent", "child"),
        [
            ({"state": "2"}, "2"),
            ({"state": "3", "hold_reason": "5"}, "3"),
            ({"state": "3", "hold_reason": "1"}, "1"),
            ({"state": "8"}, "1"),
            ({**DONE, "state": "7"}, "1"),
        ],
    )
    def test_other_states(self, servicenow: Client, parent: dict[str, str], child: str) -> None:
        servicenow.patch(f"/table/incident/{OURS}", parent)
        assert row(servicenow, self.CHILD)["state"] == child

    def test_a_closed_child_stays_closed(self, servicenow: Client) -> None:
        servicenow.patch(f"/table/incident/{self.CHILD}", {**DONE, "state": "7"})
        servicenow.patch(f"/table/incident/{OURS}", DONE)
        assert row(servicenow, self.CHILD)["state"] == "7"

    def test_the_parent_counts_them_when_one_leaves(self, servicenow: Client) -> None:
        assert row(servicenow)["child_incidents"] == "1"
        servicenow.patch(f"/table/incident/{self.CHILD}", {"parent_incident": ""})
        assert row(servicenow)["child_incidents"] == "0"

    def test_the_pages_show_parent_children_files_and_cause(self, servicenow: Client) -> None:
        servicenow.running.seed(CHANGE)
        person(servicenow, "cause", change="CHG0030001")
        params = {"table_name": "incident", "table_sys_id": OURS, "file_name": "evidence.json"}
        servicenow.post("/attachment/file", {"observed": 0.041}, params=params)
        parent = requests.get(servicenow.url + "/incident/INC0010001", timeout=5).text
        assert "INC0010002" in parent
        assert "Deploy 4.12" in parent
        link = parent.partition('<a class="file" href="')[2].partition('"')[0]
        assert requests.get(servicenow.url + link, timeout=5).json() == {"observed": 0.041}
        child = requests.get(servicenow.url + "/incident/INC0010002", timeout=5).text
        assert '<a href="/incident/INC0010001">INC0010001</a>' in child
        listed = requests.get(servicenow.url + "/", timeout=5).text
        assert "child of INC0010001" in listed
