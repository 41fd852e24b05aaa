"""Jira Cloud's REST API 3, and version 2 as Data Center answers it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulators.conftest import Client, Clock
from tocsin import simulators

LABEL = "aiops-0123456789abcdef0123456789abcdef"
NOT_A_DOCUMENT = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"


def text(words: str, *marks: str) -> dict[str, Any]:
    return {"type": "text", "text": words, **({"marks": [{"type": mark} for mark in marks]} if marks else {})}


def paragraph(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(content)}


def document(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(content) or [paragraph(text("error rate 4 %"))]}


def fields(**more: Any) -> dict[str, Any]:
    given = {"project": {"key": "OPS"}, "issuetype": {"name": "Incident"}, "summary": "drift", "labels": [LABEL]}
    return {"fields": {name: value for name, value in (given | more).items() if value is not None}}


def create(jira: Client, **more: Any) -> str:
    answer = jira.post("/issue", fields(**more))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def search(jira: Client, jql: str, **more: Any) -> list[str]:
    answer = jira.post("/search/jql", {"jql": jql, "fields": ["summary"], **more})
    assert answer.status_code == 200, answer.text
    return [issue["key"] for issue in answer.json()["issues"]]


def move(jira: Client, key: str, category: str) -> Any:
    found = jira.get(f"/issue/{key}/transitions").json()["transitions"]
    to = next(one for one in found if one["to"]["statusCategory"]["key"] == category)
    return jira.post(f"/issue/{key}/transitions", {"transition": {"id": to["id"]}})


def test_create_answers_id_key_and_self_and_takes_properties_along(jira: Client) -> None:
    body = fields(description=document()) | {"properties": [{"key": "tocsin", "value": {"incident": "TOC-1"}}]}
    made = jira.post("/issue", body)
    assert made.status_code == 201
    assert set(made.json()) == {"id", "key", "self"}
    issue = jira.get("/issue/OPS-1", params={"fields": "description,labels", "properties": "tocsin"}).json()
    assert issue["fields"] == {"description": document(), "labels": [LABEL]}
    assert issue["properties"] == {"tocsin": {"incident": "TOC-1"}}


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"description": "plain"}, "description", NOT_A_DOCUMENT),
        ({"summary": "x" * 256}, "summary", "Summary can't exceed 255 characters."),
        ({"summary": "two\nlines"}, "summary", "The summary is invalid because it contains newline characters."),
        ({"summary": None}, "summary", "You must specify a summary of the issue."),
        ({"labels": ["x y"]}, "labels", "The label 'x y' contains spaces which is invalid."),
        ({"priority": {"name": "P0"}}, "priority", "Priority name 'P0' is not valid"),
        ({"issuetype": {"name": "Epic?"}}, "issuetype", "Specify a valid issue type"),
        ({"project": {"key": "NOPE"}}, "project", "valid project is required"),
        ({"components": [{"name": "nope"}]}, "components", "Component name 'nope' is not valid"),
        (
            {"customfield_10001": "x"},
            "customfield_10001",
            "Field 'customfield_10001' cannot be set. It is not on the appropriate screen, or unknown.",
        ),
    ],
)
def test_what_a_create_refuses(jira: Client, wrong: dict[str, Any], field: str, message: str) -> None:
    answer = jira.post("/issue", fields(**wrong))
    assert (answer.status_code, answer.json()["errors"][field]) == (400, message)
    assert search(jira, "project = OPS") == []


def test_texts_are_limited_as_serialized_documents(jira: Client) -> None:
    answer = jira.post("/issue", fields(description=document(paragraph(text("x" * 32_767)))))
    assert answer.json()["errors"]["description"].startswith("The entered text is too long.")


@pytest.mark.parametrize(
    "content",
    [
        [paragraph(text(""))],
        [text("top")],
        [{"type": "unheard"}],
        [{"type": "heading", "attrs": {"level": 9}, "content": [text("x")]}],
        [paragraph(text("x", "code", "strong"))],
        [{"type": "bulletList", "content": []}],
        [{"type": "codeBlock", "content": [text("x", "strong")]}],
        [paragraph(text("x", "blink"))],
    ],
)
def test_malformed_documents_are_refused(jira: Client, content: list[Any]) -> None:
    assert jira.post("/issue", fields(description=document(*content))).json()["errorMessages"] == ["INVALID_INPUT"]


def test_a_field_in_fields_and_update_is_refused(jira: Client) -> None:
    answer = jira.post("/issue", fields() | {"update": {"labels": [{"add": "x"}]}})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["labels"])


def test_edits_set_and_add(jira: Client) -> None:
    key = create(jira)
    edit = {"fields": {"summary": "worse"}, "update": {"labels": [{"add": "b"}, {"remove": LABEL}]}}
    assert jira.put(f"/issue/{key}", edit).status_code == 204
    seen = jira.get(f"/issue/{key}", params={"fields": "summary,labels"}).json()["fields"]
    assert seen == {"summary": "worse", "labels": ["b"]}


@pytest.mark.parametrize(
    ("jql", "expected"),
    [
        ("project = OPS", ["OPS-3", "OPS-2", "OPS-1"]),
        (f'labels = "{LABEL}"', ["OPS-1"]),
        ("labels in (b, c) ORDER BY created ASC", ["OPS-2", "OPS-3"]),
        ("project = OPS AND statusCategory != Done ORDER BY key", ["OPS-2", "OPS-3"]),
        ("status = Done", ["OPS-1"]),
        ("key in (OPS-1, OPS-3)", ["OPS-3", "OPS-1"]),
        ("labels = b OR (labels = c AND NOT status = Done)", ["OPS-3", "OPS-2"]),
        ("created >= -5m", ["OPS-3"]),
        ('created < "2026-11-21 09:05"', ["OPS-2", "OPS-1"]),
        ("summary ~ drift AND resolution is EMPTY", ["OPS-3", "OPS-2"]),
        ("labels not in (b)", ["OPS-3", "OPS-1"]),
    ],
)
def test_jql(jira: Client, clock: Clock, jql: str, expected: list[str]) -> None:
    move(jira, create(jira), "done")
    create(jira, labels=["b"])
    clock.go_on(minutes=10)
    create(jira, labels=["c"])
    assert search(jira, jql) == expected


@pytest.mark.parametrize(
    ("jql", "message"),
    [
        ("", "Unbounded JQL queries are not allowed here."),
        ("ORDER BY created", "Unbounded JQL queries are not allowed here."),
        ("colour = red", "Field 'colour' does not exist"),
        ("project = NOPE", "The value 'NOPE' does not exist for the field 'project'."),
        ("labels =", "Error in the JQL Query"),
        ("labels = a b", "Error in the JQL Query"),
    ],
)
def test_queries_that_are_refused(jira: Client, jql: str, message: str) -> None:
    answer = jira.post("/search/jql", {"jql": jql})
    assert answer.status_code == 400
    assert message in answer.json()["errorMessages"][0]


def test_search_pages_by_token_and_shows_ids_by_default(jira: Client) -> None:
    for _ in range(3):
        create(jira)
    first = jira.post("/search/jql", {"jql": "project=OPS", "maxResults": 2}).json()
    assert (set(first), first["isLast"]) == ({"issues", "isLast", "nextPageToken"}, False)
    assert [set(issue) for issue in first["issues"]] == [{"id"}, {"id"}]
    token = first["nextPageToken"]
    last = jira.get("/search/jql", params={"jql": "project=OPS", "maxResults": 2, "nextPageToken": token}).json()
    assert (len(last["issues"]), last["isLast"]) == (1, True)


def test_start_at_and_the_old_search_are_gone(jira: Client) -> None:
    assert jira.post("/search/jql", {"jql": "project=OPS", "startAt": 0}).status_code == 400
    assert jira.get("/search", params={"jql": "project=OPS"}).status_code == 410


def test_search_lags_behind_but_reading_by_key_does_not(clock: Clock) -> None:
    with simulators.start("jira", clock=clock, index_lag_s=30) as running:
        jira = Client(running, "/rest/api/3", ("admin", "tocsin"))
        key = create(jira)
        issue_id = jira.get(f"/issue/{key}").json()["id"]
        assert search(jira, f"labels={LABEL}") == []
        assert search(jira, f"labels={LABEL}", reconcileIssues=[issue_id]) == [key]
        bulk = jira.post("/issue/bulkfetch", {"issueIdsOrKeys": [key, "OPS-99"], "fields": ["labels"]}).json()
        assert bulk["issues"][0]["fields"] == {"labels": [LABEL]}
        assert (len(bulk["issues"]), bulk["issueErrors"]) == (1, [])
        clock.go_on(seconds=31)
        assert search(jira, f"labels={LABEL}") == [key]


def test_done_sets_a_resolution_and_back_clears_it(jira: Client) -> None:
    key = create(jira)
    assert move(jira, key, "indeterminate").status_code == 204
    assert move(jira, key, "done").status_code == 204
    assert jira.get(f"/issue/{key}").json()["fields"]["resolution"]["name"] == "Done"
    assert move(jira, key, "new").status_code == 204
    seen = jira.get(f"/issue/{key}").json()["fields"]
    assert (seen["status"]["name"], seen["resolution"]) == ("To Do", None)


def test_a_transition_that_does_not_lead_from_here_is_refused(jira: Client) -> None:
    key = create(jira)
    assert jira.post(f"/issue/{key}/transitions", {"transition": {"id": "11"}}).status_code == 400
    with_field = {"transition": {"id": "21"}, "fields": {"resolution": {"name": "Done"}}}
    assert "resolution" in jira.post(f"/issue/{key}/transitions", with_field).json()["errors"]


def test_a_project_may_name_its_own_statuses(jira: Client) -> None:
    statuses = [["Open", "new"], ["Completed", "done"]]
    jira.running.seed({"projects": [{"key": "ITSM", "statuses": statuses, "components": ["ranking"]}]})
    key = create(jira, project={"key": "ITSM"}, components=[{"name": "ranking"}])
    move(jira, key, "done")
    assert jira.get(f"/issue/{key}").json()["fields"]["status"]["name"] == "Completed"


def test_comments_carry_properties_and_are_not_idempotent(jira: Client) -> None:
    key = create(jira)
    body = {"body": document(), "properties": [{"key": "tocsin", "value": {"note": "1"}}]}
    for _ in range(2):
        assert jira.post(f"/issue/{key}/comment", body).status_code == 201
    listed = jira.get(f"/issue/{key}/comment", params={"expand": "properties"}).json()
    assert listed["total"] == 2
    assert listed["comments"][0]["properties"] == [{"key": "tocsin", "value": {"note": "1"}}]
    assert jira.post(f"/issue/{key}/comment", {"body": "plain"}).json()["errors"]["comment"] == NOT_A_DOCUMENT


def test_an_issue_full_of_comments_answers_413() -> None:
    with simulators.start("jira", max_comments=1) as running:
        jira = Client(running, "/rest/api/3", ("admin", "tocsin"))
        key = create(jira)
        codes = [jira.post(f"/issue/{key}/comment", {"body": document()}).status_code for _ in range(2)]
    assert codes == [201, 413]


def test_a_remote_link_is_upserted_by_its_global_id(jira: Client) -> None:
    key = create(jira)

    def link(title: str, **more: Any) -> int:
        body = {"globalId": "tocsin=1", "object": {"url": "https://example.org", "title": title}, **more}
        return jira.post(f"/issue/{key}/remotelink", body).status_code

    assert (link("first", relationship="caused by"), link("second")) == (201, 200)
    (only,) = jira.get(f"/issue/{key}/remotelink").json()
    assert (only["object"]["title"], only.get("relationship")) == ("second", None)


def test_properties_are_put_read_and_removed(jira: Client) -> None:
    path = f"/issue/{create(jira)}/properties/tocsin"
    assert [jira.put(path, {"n": n}).status_code for n in (1, 2)] == [201, 200]
    assert jira.get(path).json() == {"key": "tocsin", "value": {"n": 2}}
    assert jira.call("DELETE", path).status_code == 204
    assert jira.get(path).status_code == 404


def test_attachments_need_the_no_check_header(jira: Client) -> None:
    path = f"/issue/{create(jira)}/attachments"
    files = {"file": ("evidence.json", b"{}")}
    assert jira.call("POST", path, files=files).status_code == 403
    made = jira.call("POST", path, files=files, headers={"X-Atlassian-Token": "no-check"})
    assert (made.json()[0]["filename"], made.json()[0]["size"]) == ("evidence.json", 2)


def test_issues_can_be_linked(jira: Client) -> None:
    first, second = create(jira), create(jira)
    link = {"type": {"name": "Duplicate"}, "inwardIssue": {"key": first}, "outwardIssue": {"key": second}}
    assert jira.post("/issueLink", link).status_code == 201
    seen = jira.get(f"/issue/{second}").json()["fields"]["issuelinks"][0]
    assert (seen["type"]["name"], seen["inwardIssue"]["key"]) == ("Duplicate", first)


def test_createmeta_names_what_a_create_needs(jira: Client) -> None:
    kinds = jira.get("/issue/createmeta/OPS/issuetypes").json()["issueTypes"]
    incident = next(kind["id"] for kind in kinds if kind["name"] == "Incident")
    found = jira.get(f"/issue/createmeta/OPS/issuetypes/{incident}").json()["fields"]
    required = {field["fieldId"] for field in found if field["required"]}
    assert required == {"project", "issuetype", "summary", "reporter"}


def test_strangers_are_401_and_missing_issues_404(jira: Client) -> None:
    assert jira.get("/myself", auth=("admin", "wrong")).status_code == 401
    assert jira.get("/myself").json()["emailAddress"] == "admin"
    assert jira.get("/issue/OPS-1").json()["errorMessages"][0].startswith("Issue does not exist")


def test_version_2_takes_and_gives_plain_text(jira: Client) -> None:
    key = create(jira, description=document(paragraph(text("one")), paragraph(text("two"))))
    jira.root = "/rest/api/2"
    assert jira.get(f"/issue/{key}").json()["fields"]["description"] == "one\ntwo"
    assert jira.post("/issue", fields(description=document())).status_code == 400
    plain = create(jira, description="a\nb")
    assert jira.get("/search", params={"jql": "project=OPS"}).json()["total"] == 2
    jira.root = "/rest/api/3"
    assert jira.get(f"/issue/{plain}").json()["fields"]["description"] == document(
        paragraph(text("a")), paragraph(text("b"))
    )


def test_data_center_lets_tokens_in_and_has_no_version_3() -> None:
    with simulators.start("jira", deployment="Server") as running:
        jira = Client(running, "/rest/api/2", headers={"Authorization": "Bearer tocsin"})
        assert jira.get("/serverInfo").json()["deploymentType"] == "Server"
        jira.root = "/rest/api/3"
        assert jira.get("/serverInfo").status_code == 404
