"""What the vendor's own client pysnc does with an instance: one check a function, run by `.venv-clients`.

    python as_a_client.py URL USER PASSWORD

It prints one JSON object: check → "passed" or what went wrong. It is no test by itself; test_pysnc.py reads it.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pysnc  # type: ignore[import-not-found,unused-ignore]
import pytest
from pysnc.auth import (  # type: ignore[import-not-found,unused-ignore]
    ServiceNowClientCredentialsFlow,
    ServiceNowPasswordGrantFlow,
)

ADMIN = "6816f79cc0a8016401c5a33be04be441"
URL, USER, PASSWORD = sys.argv[1:4]
Check = Callable[[Any], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def made(client: Any, **columns: str) -> Any:
    """A new incident."""
    record = client.GlideRecord("incident")
    record.initialize()
    for name, value in columns.items():
        record.set_value(name, value)
    assert record.insert()
    return record


def found(client: Any, table: str, *conditions: tuple[str, ...], encoded: str = "") -> Any:
    record = client.GlideRecord(table)
    for condition in conditions:
        record.add_query(*condition)
    if encoded:
        record.add_encoded_query(encoded)
    record.query()
    return record


@check
def a_record_by_its_sys_id(client: Any) -> None:
    user = client.GlideRecord("sys_user")
    assert user.get(ADMIN)
    assert user.user_name == "admin"
    assert user.get_display_value("user_password") == "********"
    assert not client.GlideRecord("sys_user").get("nobody")


@check
def a_chosen_sys_id_is_kept_and_taken_only_once(client: Any) -> None:
    ours = "abcdefabcdefabcdefabcdefabcdef01"
    record = client.GlideRecord("incident")
    record.initialize()
    record.set_new_guid_value(ours)
    assert record.insert() == ours
    again = client.GlideRecord("incident")
    again.initialize()
    again.set_new_guid_value(ours)
    with pytest.raises(pysnc.exceptions.RoleException, match="Error during insert of incident"):
        again.insert()


@check
def the_life_of_an_incident(client: Any) -> None:
    record = made(client, short_description="drift", impact="1", urgency="2")
    assert (record.priority, record.get_display_value("priority")) == ("2", "2 - High")
    record.state = "6"
    record.close_code = "Solution provided"
    record.close_notes = "Rolled back."
    assert record.update()
    assert record.get_display_value("state") == "Resolved"
    record.state = "2"
    assert record.update()
    assert record.reopen_count == "1"
    assert record.delete()


@check
def resolving_without_a_code_is_refused_by_the_data_policy(client: Any) -> None:
    record = made(client, short_description="drift")
    record.state = "6"
    with pytest.raises(pysnc.exceptions.RoleException, match="Data Policy Exception"):
        record.update()


@check
def work_notes_are_in_the_journal(client: Any) -> None:
    record = made(client, work_notes="first")
    record.work_notes = "second"
    assert record.update()
    notes = found(client, "sys_journal_field", ("element_id", record.sys_id), ("element", "work_notes"))
    assert sorted(str(note.value) for note in notes) == ["first", "second"]


@check
def parents_lead_their_children(client: Any) -> None:
    parent = made(client, short_description="storm")
    child = made(client, short_description="one of many", parent_incident=str(parent.sys_id))
    parent.state = "2"
    assert parent.update()
    assert child.get(child.sys_id)
    assert child.state == "2"


@check
def alternatives_and_operators(client: Any) -> None:
    tables = found(client, "sys_db_object", encoded="name=alm_asset^ORname=bsm_chart")
    assert len(tables) == 2
    assert len(found(client, "sys_user", ("name", "CONTAINS", "admin"), ("user_name", "STARTSWITH", "problem"))) == 1
    assert len(found(client, "sys_user", ("user_name", "IN", "admin,problem.admin"))) == 2


@check
def joins_and_related_lists(client: Any) -> None:
    users = client.GlideRecord("sys_user")
    users.add_join_query("sys_user_group", join_table_field="manager").add_query("active", "true")
    users.query()
    assert len(users) > 1
    groups = client.GlideRecord("sys_user_group")
    groups.add_rl_query("sys_group_has_role", "group", ">0", True).add_query("role.name", "LIKE", "admin")
    groups.query()
    assert 2 < len(groups) < 8


@check
def dots_walk_along_references(client: Any) -> None:
    user = client.GlideRecord("sys_user")
    user.fields = "sys_id,department,department.name,department.dept_head,department.dept_head.email"
    assert user.get(ADMIN)
    assert user.department.name == "Finance"
    assert user.department.dept_head.email == "natasha.ingram@example.com"


@check
def pages_are_followed(client: Any) -> None:
    log = client.GlideRecord("syslog", batch_size=100)
    log.fields = ["sys_id"]
    log.query()
    assert len({str(row.sys_id) for row in log}) == len(log) > 600


@check
def a_query_too_long_for_an_address_goes_as_a_batch(client: Any) -> None:
    users = client.GlideRecord("sys_user")
    for _ in range(2300):
        users.add_query("AAAA", "BBBB")
    users.add_query("sys_id", ADMIN)
    users.query()
    assert len(users) == 1


@check
def many_are_updated_and_deleted_in_one_batch(client: Any) -> None:
    for number in range(5):
        made(client, short_description=f"batched {number}")
    records = found(client, "incident", ("short_description", "LIKE", "batched"))
    while records.next():
        records.category = "network"
    assert records.update_multiple()
    assert len(found(client, "incident", ("short_description", "LIKE", "batched"), ("category", "network"))) == 5
    assert found(client, "incident", ("short_description", "LIKE", "batched")).delete_multiple()
    assert len(found(client, "incident", ("short_description", "LIKE", "batched"))) == 0


@check
def a_business_rule_stops_some_of_a_batch(client: Any) -> None:
    rule = client.GlideRecord("sys_script")
    rule.initialize()
    for name, value in {"name": "No drills", "collection": "incident", "when": "before"}.items():
        rule.set_value(name, value)
    rule.active = rule.action_update = rule.abort_action = True
    rule.filter_condition = "short_descriptionLIKEdrill^EQ"
    assert rule.insert()
    for _ in range(4):
        made(client, short_description="ruled")
    records = found(client, "incident", ("short_description", "ruled"))
    for number, record in enumerate(records):
        record.short_description = "ruled drill" if number % 2 else "ruled well"
    assert not records.update_multiple()
    assert len(found(client, "incident", ("short_description", "ruled well"))) == 2


@check
def files_come_back_as_they_went(client: Any) -> None:
    record = made(client, short_description="with evidence")
    where = record.add_attachment("evidence.bin", b"\x00\x01\x02")
    (file,) = list(record.get_attachments())
    assert file.get_link() == where
    assert file.read() == b"\x00\x01\x02"
    file.delete()
    assert len(record.get_attachments()) == 0


@check
def moments_are_shown_in_another_time_zone(client: Any) -> None:
    record = made(client, short_description="when")
    created = record.get_element("sys_created_on")
    assert created.get_value() != created.get_display_value()


@check
def errors_have_their_class(client: Any) -> None:
    for table, expected in (("no_such_table", "Invalid table"), ("A" * 23_000, "<html>")):
        with pytest.raises(pysnc.exceptions.RequestException, match=expected):
            client.GlideRecord(table).get("x")
    stranger = pysnc.ServiceNowClient(URL, (USER, "wrong")).GlideRecord("sys_user")
    with pytest.raises(pysnc.exceptions.AuthenticationException, match="User Not Authenticated"):
        stranger.get(ADMIN)


@check
def oauth_by_password_and_by_client(_: Any) -> None:
    for flow in (
        ServiceNowPasswordGrantFlow(USER, PASSWORD, "tocsin", PASSWORD),
        ServiceNowClientCredentialsFlow("tocsin", PASSWORD),
    ):
        assert pysnc.ServiceNowClient(URL, flow).GlideRecord("sys_user").get(ADMIN)


def run() -> dict[str, str]:
    """Every check's outcome."""
    outcomes = {}
    for one in CHECKS:
        client = pysnc.ServiceNowClient(URL, (USER, PASSWORD))
        try:
            one(client)
        except Exception:  # noqa: BLE001  # whatever a check stumbles over is its outcome
            outcomes[one.__name__] = traceback.format_exc()
        else:
            outcomes[one.__name__] = "passed"
        client.session.close()
    return outcomes


if __name__ == "__main__":
    print(json.dumps(run()))
