"""Jira in the trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from benchmarks.chaos.desks.desk import SECRET, Desk, Standing, Status

_AUTH = ("admin", SECRET)
_PERSON = ("beth", SECRET)
"""Somebody else than our integration: what its own account changes is never taken for a person's doing."""
_API = "/rest/api/3"


class JiraDesk(Desk):
    """One project, and issues of others with labels like ours."""

    kind = "jira"
    seed: ClassVar[Mapping[str, object]] = {"projects": ["OPS", "WEB"]}

    addresses: ClassVar[Mapping[str, Mapping[str, str]]] = {"alpha": {"project": "OPS"}, "beta": {"project": "OPS"}}

    def destination(self) -> dict[str, object]:
        return {
            "kind": "jira",
            "url": self.url,
            "email": "admin",
            "api_token": {"env": "CHAOS_SECRET"},
            "project": "OPS",
            "issue_type": "Incident",
        }

    def role(self, method: str, path: str, body: Mapping[str, Any]) -> str:
        if method == "POST" and path.endswith("/issue"):
            return "create"
        if method == "POST" and path.endswith("/comment"):
            return "note"
        if path.endswith(("/search/jql", "/issue/bulkfetch")):
            return "search"
        if not {"issue", "issueLink"} & set(path.split("/")) or "createmeta" in path:
            return "look-up"
        return "move" if method in ("POST", "PUT") else "read"

    def plant(self, key: str, title: str) -> None:
        for other in (key[:-1] + ("0" if key[-1] != "0" else "1"), key[:16], f"x{key}"):
            fields = {
                "project": {"key": "OPS"},
                "issuetype": {"name": "Incident"},
                "summary": title,
                "labels": [f"tocsin-{other}"],
            }
            body = {"fields": fields, "properties": [{"key": "tocsin", "value": {"key": other}}]}
            made = self.api("POST", f"{_API}/issue", body, auth=_AUTH)
            self._foreign[str(made["id"])] = None

    def parent(self, key: str) -> tuple[str, str]:
        fields = {"project": {"key": "OPS"}, "issuetype": {"name": "Incident"}, "summary": f"An earlier outage {key}"}
        made = self.api("POST", f"{_API}/issue", {"fields": fields}, auth=_AUTH)
        return str(made["id"]), str(made["key"])

    def person(self, edit: str, key: str) -> bool:
        found = next((one for one in self._issues() if f"tocsin-{key}" in one.labels), None)
        if found is None:
            return False
        category = found.state.category
        possible = {"take": category == "new", "resolve": category != "done", "priority": category != "done"}
        if not possible.get(edit, True):
            return False
        path = f"{_API}/issue/{found.id}"
        if edit == "comment":
            text = {"type": "text", "text": "Looking at it."}
            body = {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [text]}]}
            self.api("POST", f"{path}/comment", {"body": body}, auth=_PERSON)
        elif edit in ("take", "resolve"):
            into = {"take": "indeterminate", "resolve": "done"}[edit]
            way = next(one for one in found.project.workflow if one.category == into)
            self.api("POST", f"{path}/transitions", {"transition": {"id": way.transition_id}}, auth=_PERSON)
        else:
            fields = {"assign": {"assignee": {"accountId": "beth"}}, "priority": {"priority": {"name": "Lowest"}}}[edit]
            self.api("PUT", path, {"fields": fields}, auth=_PERSON)
            self.chosen.setdefault(key, {}).update({"priority": "Lowest"} if edit == "priority" else {})
        return True

    def _issues(self) -> list[Any]:
        vendor: Any = self.running.front.simulator
        return sorted(vendor.site.issues.values(), key=lambda one: (one.created, int(one.id)))

    def foreign(self) -> dict[str, object]:
        return {
            one.id: (
                dict(one.fields),
                one.state.name,
                one.updated,
                [c.id for c in one.comments],
                [link.global_id for link in one.remote_links],
                list(one.links),
                dict(one.properties),
            )
            for one in self._issues()
            if one.id in self._foreign
        }

    def standings(self) -> dict[str, list[Standing]]:
        found: dict[str, list[Standing]] = {}
        for one in self._issues():
            standing = Standing(
                external_id=one.id,
                number=one.key,
                status=_status(one.state.category),
                values={
                    "status": one.state.name,
                    "priority": _name(one.fields.get("priority")),
                    "assignee": str(one.fields.get("assignee") or ""),
                },
                notes=tuple(orjson.dumps([c.body, c.properties]).decode() for c in one.comments),
            )
            for label in one.labels:
                found.setdefault(label.removeprefix("tocsin-"), []).append(standing)
        return found


def _status(category: str) -> Status:
    return "resolved" if category == "done" else "open"


def _name(value: object) -> str:
    return str(value.get("name", "")) if isinstance(value, dict) else str(value or "")
