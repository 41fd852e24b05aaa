"""Can the update set be imported, does it touch only what is ours, and is what its script signs what we verify?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest

from tocsin.connectors._connector import PRODUCT
from tocsin.domain.message import Hook, Message, RecordAction
from tocsin.sources import servicenow

HERE = Path(__file__).parents[2] / "integrations" / "servicenow"
MAIN, FIELDS = HERE / "tocsin-update-set.xml", HERE / "tocsin-optional-fields.xml"
NEW_RECORDS_OF = {
    *("sys_properties", "sys_script_include", "sys_script", "sys_ui_action", "sys_user_role", "sys_security_acl"),
    *("sys_security_acl_role", "sys_dictionary", "sys_documentation"),
}
"""Tables in which a new record leaves every base record as it is."""
Given = dict[str, dict[str, str]]
NOW = datetime(2026, 11, 21, 10, 31, 8, tzinfo=UTC)
SECRET = "s3cret-of-the-hook"
HOOK = Hook(name="sn", source="servicenow", environment="production")


def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    return found


def records(file: Path) -> list[ElementTree.Element]:
    """The record of every update in the set."""
    found = []
    for update in ElementTree.parse(file).getroot().iter("sys_update_xml"):
        payload = ElementTree.fromstring(text(update, "payload"))
        (record,) = payload
        assert (payload.tag, payload.get("table")) == ("record_update", record.tag)
        found.append(record)
    return found


def text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(name) or ""


def run_in_node(script: str, *, given: object) -> str:
    """Runs the script include, then `script`, which finds `given`; answers what it prints."""
    include = (HERE / "parts" / "TocsinTell.js").read_text(encoding="utf-8")
    whole = f"{include}\nvar given = {json.dumps(given)};\n{script}"
    ended = subprocess.run([node(), "-e", whole], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("file", [MAIN, FIELDS], ids=["main", "fields"])
class TestEverySet:
    def test_it_is_a_remote_update_set_with_its_updates(self, file: Path) -> None:
        root = ElementTree.parse(file).getroot()
        assert root.tag == "unload"
        (head,) = root.iter("sys_remote_update_set")
        assert (text(head, "state"), text(head, "application_scope")) == ("loaded", "global")
        updates = list(root.iter("sys_update_xml"))
        assert {text(update, "remote_update_set") for update in updates} == {text(head, "sys_id")}
        assert {update.get("action") for update in updates} == {"INSERT_OR_UPDATE"}

    def test_every_payload_is_a_new_record_of_a_known_kind(self, file: Path) -> None:
        for record in records(file):
            assert record.tag in NEW_RECORDS_OF
            assert record.get("action") == "INSERT_OR_UPDATE"
            assert re.fullmatch(r"[0-9a-f]{32}", text(record, "sys_id"))

    def test_no_sys_id_and_no_name_of_an_update_comes_twice(self, file: Path) -> None:
        root = ElementTree.parse(file).getroot()
        ids = [text(one, "sys_id") for one in (*root, *records(file))]
        names = [text(update, "name") for update in root.iter("sys_update_xml")]
        assert len(ids) == len(set(ids))
        assert len(names) == len(set(names))

    def test_nothing_out_of_the_box_is_named(self, file: Path) -> None:
        """Our own names, or, for access rules and columns, new records beside those that exist."""
        for record in records(file):
            if record.tag in ("sys_security_acl", "sys_security_acl_role"):
                assert "tocsin_integration" in text(record, "description") or record.tag.endswith("_role")
            elif record.tag in ("sys_dictionary", "sys_documentation"):
                assert text(record, "element").startswith("u_tocsin_")
            else:
                named = text(record, "action_name") or text(record, "name")
                assert named.lower().startswith("tocsin")

    def test_the_file_is_what_its_parts_give(self, file: Path) -> None:
        made: dict[str, object] = {"__file__": str(HERE / "build.py"), "__name__": "build"}
        exec(compile((HERE / "build.py").read_text(encoding="utf-8"), "build.py", "exec"), made)
        files = made["FILES"]
        assert isinstance(files, dict)
        assert file.read_text(encoding="utf-8") == files[file.name].xml(), "run integrations/servicenow/build.py"


def test_the_business_rules_are_async_and_only_for_our_incidents() -> None:
    rules = [record for record in records(MAIN) if record.tag == "sys_script"]
    assert {text(rule, "when") for rule in rules} == {"async"}
    assert {text(rule, "abort_action") for rule in rules} == {"false"}
    (of_changes,) = [rule for rule in rules if text(rule, "collection") == "change_request"]
    rules.remove(of_changes)
    assert {text(rule, "collection") for rule in rules} == {"incident"}
    assert all(text(rule, "filter_condition").startswith("correlation_display=Tocsin^") for rule in rules)
    told = {word for rule in rules for word in re.findall(r"tell\(current, '(\w+)'", text(rule, "script"))}
    assert told <= set(RecordAction)
    assert told >= {"acknowledged", "resolved", "closed", "reopened", "reassigned", "commented", "cause_set"}


def test_no_script_asks_an_async_rule_for_what_it_cannot_know() -> None:
    for record in records(MAIN):
        script = text(record, "script")
        assert "previous." not in script
        assert not re.search(r"\.changes(To|From)?\(", script)


def test_the_secret_is_kept_encrypted_and_is_not_in_the_file() -> None:
    properties = {text(one, "name"): one for one in records(MAIN) if one.tag == "sys_properties"}
    assert text(properties["tocsin.secret"], "type") == "password2"
    assert text(properties["tocsin.secret"], "value") == text(properties["tocsin.url"], "value") == ""


def test_the_role_may_write_only_incidents_that_are_ours() -> None:
    rules = [record for record in records(MAIN) if record.tag == "sys_security_acl"]
    writing = [rule for rule in rules if text(rule, "operation") in ("write", "delete")]
    assert {text(rule, "name").partition(".")[0] for rule in writing} == {"incident"}
    assert all("correlation_display == 'Tocsin'" in text(rule, "script") for rule in writing)
    probe = f"correlation_display == '{PRODUCT} doctor'"
    assert all(probe in text(rule, "script") for rule in writing), "or the doctor could not take its probe back"
    (role,) = [record for record in records(MAIN) if record.tag == "sys_user_role"]
    linked = [record for record in records(MAIN) if record.tag == "sys_security_acl_role"]
    assert {text(one, "sys_user_role") for one in linked} == {text(role, "sys_id")}
    assert {text(one, "sys_security_acl") for one in linked} == {text(rule, "sys_id") for rule in rules}


def test_scripts_are_javascript() -> None:
    scripts = {text(one, "script") for one in (*records(MAIN), *records(FIELDS))} - {""}
    assert len(scripts) > len(("TocsinTell", "business rule", "Confirm cause"))
    said = run_in_node("given.forEach(function (one) { new (require('vm').Script)(one); });", given=sorted(scripts))
    assert said == ""


TELLS = """
// What the platform gives a script, as far as this one uses it.
var sent = {headers: {}};
var crypto = require('crypto');
var gs = {
    getProperty: function (name, otherwise) { return given.properties[name] || otherwise || ''; },
    warn: function (words) { sent.warned = words; },
    error: function (words) { sent.warned = words; }
};
var GlideDateTime = function () { this.getNumericValue = function () { return given.at * 1000; }; };
var GlideStringUtil = { base64Encode: function (plain) { return Buffer.from(plain).toString('base64'); } };
var GlideCertificateEncryption = function () {
    this.generateMac = function (key, algorithm, said) {
        if (algorithm != 'HmacSHA256') throw algorithm;
        return crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(said, 'latin1').digest('base64');
    };
};
var sn_ws = { RESTMessageV2: function () {
    this.setHttpMethod = function (method) { sent.method = method; };
    this.setEndpoint = function (url) { sent.url = url; };
    this.setHttpTimeout = function () {};
    this.setRequestHeader = function (name, value) { sent.headers[name] = value; };
    this.setRequestBody = function (body) { sent.body = body; };
    this.execute = function () { return { getStatusCode: function () { return given.status; } }; };
} };
var element = function (value) {
    return { toString: function () { return value; }, getJournalEntry: function () { return value; } };
};
var current = {
    getUniqueValue: function () { return given.row.sys_id; },
    getTableName: function () { return 'incident'; },
    getDisplayValue: function (name) { return given.shown[name] || given.row[name]; },
    getValue: function (name) { return given.row[name]; }
};
for (var name in given.row) current[name] = element(given.row[name]);
if (given.action == 'change') TocsinTell.tellChange(current);
else TocsinTell.tell(current, given.action, given.words);
console.log(JSON.stringify(sent));
"""
ROW = {
    "sys_id": "9d385017c611228701d22104cc95c371",
    "number": "INC0010023",
    "correlation_id": "b2" * 16,
    "state": "6",
    "priority": "2",
    "close_code": "Resolved by change",
    "close_notes": 'Zurückgerollt — 漂移 🎉 "quoted"',
    "work_notes": "2026-11-21 10:31:07 - Ines Okafor (Work notes)\nReverted.",
    "caused_by": "5" * 32,
    "sys_updated_by": "ines.okafor",
    "sys_updated_on": "2026-11-21 10:31:07",
    "sys_mod_count": "4",
}
SHOWN = {"state": "Resolved", "priority": "2 - High", "caused_by": "CHG0030117", "assigned_to": "Ines Okafor"}
PROPERTIES = {"tocsin.url": "https://tocsin.example.com/hooks/sn", "tocsin.secret": SECRET, "tocsin.user": "tocsin"}


def told(
    action: str = "resolved", words: str = "close_notes", *, at: datetime = NOW, changes: Given | None = None
) -> dict[str, Any]:
    """What the script sends when this is done, run in node on a stand-in of the platform."""
    given = {
        "row": ROW,
        "shown": SHOWN,
        "properties": PROPERTIES,
        "at": int(at.timestamp()),
        "status": 202,
        **(changes or {}),
    }
    sent: dict[str, Any] = json.loads(run_in_node(TELLS, given={**given, "action": action, "words": words}))
    return sent


def message(sent: dict[str, Any]) -> Message:
    return Message(
        id=UUID(int=1),
        hook="sn",
        source="servicenow",
        environment="production",
        received_at=NOW,
        headers={name.lower(): value for name, value in sent["headers"].items()},
        body=sent["body"].encode(),
    )


def test_our_source_verifies_and_understands_what_the_script_posts() -> None:
    sent = told()
    assert (sent["method"], sent["url"], sent.get("warned")) == ("POST", PROPERTIES["tocsin.url"], None)
    assert sent["body"].isascii()
    posted = message(sent)
    assert servicenow.verify(posted, [SECRET]).verdict == "verified"
    assert servicenow.verify(posted, ["another"]).verdict == "refused"
    resolved, cause = servicenow.normalize(posted, HOOK).record_updates
    assert (resolved.action, resolved.record_key, resolved.actor) == ("resolved", "b2" * 16, "ines.okafor")
    assert (resolved.status, resolved.assignee, resolved.comment) == ("Resolved", "Ines Okafor", ROW["close_notes"])
    assert (cause.action, cause.caused_by) == ("cause_set", "CHG0030117")


CHANGE = {
    "sys_id": "c83c5e5347c12200e0ef563dbb9a7190",
    "number": "CHG0030117",
    "state": "-2",
    "approval": "approved",
    "type": "normal",
    "short_description": "New index on orders",
    "start_date": "2026-11-22 22:00:00",
    "end_date": "2026-11-22 23:30:00",
    "sys_updated_on": "2026-11-21 10:31:07",
    "sys_updated_by": "tocsin",
}


def test_an_approved_change_request_is_told_with_its_window() -> None:
    asked = {"row": CHANGE, "shown": {"cmdb_ci": "orders-db"}, "properties": PROPERTIES | {"tocsin.changes": "true"}}
    posted = message(told("change", changes=asked))
    assert servicenow.verify(posted, [SECRET]).verdict == "verified"
    (change,) = servicenow.normalize(posted, HOOK).changes
    assert (change.ticket, change.labels["approved"]) == ("CHG0030117", "true")
    assert change.labels["planned_start"] == "2026-11-22T22:00:00+00:00"
    assert "orders-db" in str(change.subject)


def test_changes_are_told_only_where_that_is_asked_for() -> None:
    assert told("change", changes={"row": CHANGE}) == {"headers": {}}


def test_a_work_note_goes_along_when_it_is_what_was_done() -> None:
    (note,) = servicenow.normalize(message(told("commented", "work_notes")), HOOK).record_updates
    assert (note.action, note.comment) == ("commented", "Reverted.")


def test_what_was_signed_an_hour_ago_is_refused() -> None:
    early = told(at=NOW - timedelta(hours=1))
    assert servicenow.verify(message(early), [SECRET]).verdict == "refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"row": ROW | {"sys_updated_by": "tocsin"}},
        {"properties": PROPERTIES | {"tocsin.active": "false"}},
        {"properties": {"tocsin.url": PROPERTIES["tocsin.url"]}},
    ],
    ids=["our own edit", "switched off", "no secret"],
)
def test_nothing_is_posted(changes: Given) -> None:
    assert told(changes=changes) == {"headers": {}}


@pytest.mark.parametrize(
    ("description", "number"),
    [("Likely cause: CHG0030117 (82 %)", "CHG0030117"), ("no change", ""), ("", ""), ("XCHG0030117 CHG12", "")],
)
def test_confirm_cause_finds_the_change_in_the_description(description: str, number: str) -> None:
    said = run_in_node("console.log(TocsinTell.likelyChange(given))", given=description)
    assert said.strip() == number
