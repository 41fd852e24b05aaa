"""Clients that others wrote speak with the simulator: jira.js, which checks every answer, and two from PyPI."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.judges.conftest import Clients
from tocsin import simulators

SCRIPT = Path(__file__).parent / "life.mjs"


def jira_js(node_modules: Path, url: str) -> subprocess.CompletedProcess[str]:
    if not (node_modules / "jira.js").is_dir():
        pytest.skip("jira.js is not in node_modules (run `make judges`)")
    environment = {**os.environ, "JIRA_JS": str(node_modules / "jira.js")}
    return subprocess.run(
        ["node", str(SCRIPT), url], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_jira_js_finds_every_answer_in_shape(node_modules: Path, site: simulators.Running) -> None:
    ended = jira_js(node_modules, site.url)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert told["found"] == ["OPS-1"]
    assert told["status"] == "Done"
    assert told["required"] == ["customfield_10042"]


def test_jira_js_can_fail(node_modules: Path, site: simulators.Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from tocsin.simulators.jira.resource import Resources

    whole = Resources.reference
    monkeypatch.setattr(Resources, "reference", lambda self, issue: {**whole(self, issue), "key": 7})
    ended = jira_js(node_modules, site.url)
    assert ended.returncode != 0
    assert "SchemaMismatchError" in ended.stderr


PYCONTRIBS = """
import sys
from jira import JIRA
url = sys.argv[1]
j = JIRA(server=url, basic_auth=("ada", "tocsin"), options={"rest_api_version": "3"}, max_retries=0)
doc = {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": "slow"}]}]}
made = j.create_issue(fields={"project": {"key": "OPS"}, "issuetype": {"name": "Incident"}, "summary": "s",
    "description": doc, "labels": ["tocsin-1"], "customfield_10042": {"value": "Search"}})
assert [one.key for one in j.enhanced_search_issues("labels = tocsin-1")] == [made.key]
comment = j.add_comment(made.key, doc)
assert j.comments(made.key)[0].id == comment.id
link = j.add_simple_link(made.key, {"url": "https://example.org", "title": "t"})
assert j.remote_links(made.key)[0].object.title == "t"
made.update(fields={"priority": {"name": "Low"}})
ways = {way["name"]: way["id"] for way in j.transitions(made)}
j.transition_issue(made, ways["Done"], fields={"resolution": {"name": "Won't Do"}})
back = j.issue(made.key)
assert (back.fields.status.name, back.fields.resolution.name) == ("Done", "Won't Do"), back.raw
assert back.fields.priority.name == "Low"
assert j.myself()["displayName"] == "Ada Lovett"
other = j.create_issue(fields={"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "t",
    "customfield_10042": {"value": "Search"}})
j.create_issue_link("Duplicate", other.key, made.key)
assert j.issue(other.key).fields.issuelinks[0].outwardIssue.key == made.key
print("well")
"""


def test_the_jira_package_lives_with_it(clients: Clients, site: simulators.Running) -> None:
    assert clients.script(PYCONTRIBS, site.url).strip().endswith("well")
    issues: Any = site.state()["issues"]
    issue, other = issues
    assert [comment["author"] for comment in issue["comments"]] == ["ada"]
    assert [kind for _, kind, *_ in other["links"]] == ["Duplicate"]


ATLASSIAN = """
import sys
from atlassian import Jira
from requests import HTTPError
url = sys.argv[1]
a = Jira(url=url, username="ada", password="tocsin", cloud=True)
made = a.create_issue(fields={"project": {"key": "OPS"}, "summary": "s", "issuetype": {"name": "Incident"},
    "labels": ["x"], "description": "plain words", "customfield_10042": {"value": "Search"}})
assert [one["id"] for one in a.enhanced_jql("labels = x")["issues"]] == [made["id"]]
a.issue_add_comment(made["key"], "looking")
assert a.issue(made["key"])["fields"]["description"] == "plain words"
a.set_issue_status(made["key"], "Done")
assert a.get_issue_status(made["key"]) == "Done"
a.create_or_update_issue_remote_links(made["key"], "https://example.org", "t", global_id="g")
assert len(a.get_issue_remote_links(made["key"])) == 1
try:
    a.create_issue(fields={"project": {"key": "OPS"}, "summary": "s", "issuetype": {"name": "Incident"}})
except HTTPError as refused:
    assert "Root area is required." in str(refused), refused
else:
    raise AssertionError("a required field was not asked for")
print("well")
"""


def test_the_atlassian_package_lives_with_it(clients: Clients, site: simulators.Running) -> None:
    assert clients.script(ATLASSIAN, site.url).strip().endswith("well")


def test_a_client_with_a_wrong_token_is_refused(clients: Clients, site: simulators.Running) -> None:
    wrong = ATLASSIAN.replace('password="tocsin"', 'password="wrong"')
    ended = clients.run("python", "-c", wrong, site.url)
    assert ended.returncode != 0
    assert "401" in ended.stderr or "authenticated" in ended.stderr
