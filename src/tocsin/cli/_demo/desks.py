"""What stands in the three service desks? Their `/__state`, read as an operator would read their pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import requests

from tocsin.simulators import Running

_MARK = re.compile(r"\s*\[toc:[0-9a-f]{8}\]\s*$")
"""The line with which we recognise our own note."""
_RESOLVED = "6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One record as its desk shows it."""

    desk: str
    number: str
    url: str
    title: str
    fields: Mapping[str, str]
    body: str
    notes: tuple[str, ...]
    """Oldest first."""
    resolved: bool
    resolutions: int
    """How many times it was resolved."""
    opened: str
    closing: str = ""
    """What was said at the end."""


def tickets(desks: Mapping[str, Running]) -> list[Ticket]:
    """Every record of every desk, oldest first."""
    return [
        *_servicenow(desks["servicenow"].url, state_of(desks["servicenow"])),
        *_pagerduty(desks["pagerduty"].url, state_of(desks["pagerduty"])),
        *_jira(desks["jira"].url, state_of(desks["jira"])),
    ]


def state_of(desk: Running) -> dict[str, Any]:
    """The desk's own memory, over HTTP."""
    answer = requests.get(f"{desk.url}/__state", timeout=20)
    answer.raise_for_status()
    state = orjson.loads(answer.content)
    assert isinstance(state, dict)
    return state


def _servicenow(url: str, state: dict[str, Any]) -> list[Ticket]:
    names = {
        row["sys_id"]: row.get("name") or row.get("user_name", "")
        for table in ("sys_user_group", "cmdb_ci", "cmdb_ci_service", "sys_user")
        for row in state.get(table, [])
    }
    found = []
    for row in state.get("incident", []):
        notes = [
            _MARK.sub("", entry["value"])
            for entry in state.get("sys_journal_field", [])
            if entry["element_id"] == row["sys_id"]
        ]
        resolved = row["state"] == _RESOLVED
        found.append(
            Ticket(
                desk="servicenow",
                number=row["number"],
                url=f"{url}/incident/{row['number']}",
                title=row["short_description"],
                fields={
                    "Group": names.get(row["assignment_group"], ""),
                    "CI": names.get(row["cmdb_ci"], ""),
                    "Service": names.get(row["business_service"], ""),
                    "Category": row["category"].capitalize(),
                    "Impact": row["impact"],
                    "Urgency": row["urgency"],
                    "Priority": row["priority"],
                    "Channel": row["contact_type"],
                    "State": "Resolved" if resolved else "Open",
                },
                body=row["description"],
                notes=tuple(notes),
                resolved=resolved,
                resolutions=int(resolved) + int(row.get("reopen_count") or 0),
                opened=row["opened_at"],
                closing=row.get("close_notes", ""),
            )
        )
    return found


def _pagerduty(url: str, state: dict[str, Any]) -> list[Ticket]:
    found = []
    for one in state["incidents"]:
        kinds = [entry["kind"] for entry in one["timeline"]]
        details = one["event"]["payload"].get("custom_details", {})
        found.append(
            Ticket(
                desk="pagerduty",
                number=f"#{one['number']}",
                url=f"{url}/ui/incidents/{one['id']}",
                title=one["title"],
                fields={
                    "Service": one["service"]["name"],
                    "Severity": one["severity"],
                    "Urgency": one["urgency"],
                    "Pages": str(1 + kinds.count("reopen")),
                    "State": one["status"].capitalize(),
                },
                body=str(details.get("description", "")),
                notes=tuple(_MARK.sub("", note["content"]) for note in one["notes"]),
                resolved=one["status"] == "resolved",
                resolutions=kinds.count("resolve"),
                opened=str(one["created_at"]),
            )
        )
    return found


def _jira(url: str, state: dict[str, Any]) -> list[Ticket]:
    found = []
    for one in state["issues"]:
        fields = one["fields"]
        kind, priority = fields.get("issuetype") or {}, fields.get("priority") or {}
        found.append(
            Ticket(
                desk="jira",
                number=one["key"],
                url=f"{url}/browse/{one['key']}",
                title=str(fields.get("summary", "")),
                fields={
                    "Project": one["project"],
                    "Type": str(kind.get("name", "")),
                    "Priority": str(priority.get("name", "")),
                    "Labels": " ".join(fields.get("labels") or []),
                    "State": one["status"],
                },
                body=_plain(fields.get("description")),
                notes=tuple(_MARK.sub("", _plain(comment["body"])) for comment in one["comments"]),
                resolved=one["status_category"] == "done",
                resolutions=sum(move["to"] == one["status"] for move in one["history"])
                if one["status_category"] == "done"
                else 0,
                opened=str(one["created"]),
            )
        )
    return found


def _plain(document: object) -> str:
    """The text of an Atlassian document."""
    if isinstance(document, str):
        return document
    if not isinstance(document, dict):
        return ""
    if document.get("type") == "hardBreak":
        return "\n"
    inner = "".join(_plain(child) for child in document.get("content") or [])
    inner = str(document.get("text", "")) + inner
    return inner + "\n" if document.get("type") in ("paragraph", "codeBlock") else inner
