"""Three service desks with people at them, emptied for each test, and a world that writes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import requests

from tests.pipeline.world import MAPPINGS, World
from tocsin import polling, reconciling, simulators

TOKEN, ROUTING_KEY = "tocsin", "0123456789abcdef0123456789abcdef"
GROUPS = {"sys_user_group": ["Platform", "Data Engineering", "ML", "Network"]}

POLICIES = """
    connectors:
      servicenow: {{kind: servicenow, url: "{servicenow}", auth: basic, username: admin, password: {{env: SECRET}}}}
      pagerduty: {{kind: pagerduty, url: "{pagerduty}", api_url: "{pagerduty}", default_routing_key: {{env: KEY}},
                   api_token: {{env: SECRET}}, from_email: "tocsin@example.org"}}
      jira: {{kind: jira, url: "{jira}", email: admin, api_token: {{env: SECRET}}, project: OPS}}
    policies:
      defaults: {{page: [pagerduty, servicenow, jira], ticket: [servicenow, jira]}}
      catch_all: platform
      routes:
        - {{name: critical-pages, want: page, when: {{severity: critical}}}}
      {more}
    hooks:
      am: {{source: alertmanager, environment: production, unverified: true}}
      gh: {{source: github, environment: production, unverified: true}}
      sn: {{source: servicenow, environment: staging, unverified: true, defaults: {{own_account: admin}}}}
      pd: {{source: pagerduty, environment: production, unverified: true}}
      ji: {{source: jira, environment: production, unverified: true, defaults: {{own_account: admin}}}}
"""


@dataclass
class Staff:
    """The three desks, with what people do at them."""

    servicenow: simulators.Running
    pagerduty: simulators.Running
    jira: simulators.Running

    def tickets(self) -> list[dict[str, Any]]:
        """Our incidents in ServiceNow, oldest first."""
        state: Any = self.servicenow.state()
        return [row for row in state.get("tables", state).get("incident", ()) if row["correlation_id"]]

    def ticket(self) -> dict[str, Any]:
        [one] = self.tickets()
        return one

    def pages(self) -> list[dict[str, Any]]:
        """The incidents in PagerDuty, oldest first."""
        state: Any = self.pagerduty.state()
        return list(state["incidents"])

    def page(self) -> dict[str, Any]:
        [one] = self.pages()
        return one

    def issues(self) -> list[dict[str, Any]]:
        """The issues in Jira, oldest first."""
        state: Any = self.jira.state()
        return list(state["issues"])

    def issue(self) -> dict[str, Any]:
        [one] = self.issues()
        return one

    # -- people ------------------------------------------------------------------------------------------------------

    def in_servicenow(self, do: str = "", *, by: str = "kim.doe", **more: Any) -> None:
        edit = {"record": self.tickets()[-1]["sys_id"], "as": by, **more}
        self.servicenow.person({**edit, "do": do} if do else edit)

    def in_pagerduty(self, path: str = "", *, by: str = "kim@example.org", body: Mapping[str, Any]) -> None:
        headers = {"Authorization": f"Token token={TOKEN}", "From": by}
        url = f"{self.pagerduty.url}/incidents/{self.pages()[-1]['id']}{path}"
        answer = requests.request("POST" if path else "PUT", url, json=body, headers=headers, timeout=5)
        assert answer.ok, answer.text

    def set_page(self, status: str, *, by: str = "kim@example.org") -> None:
        self.in_pagerduty(by=by, body={"incident": {"type": "incident_reference", "status": status}})

    def in_jira(self, method: str, path: str, body: object = None, *, by: str = "ada") -> Any:
        url = f"{self.jira.url}/rest/api/3/issue/{self.issues()[0]['key']}{path}"
        answer = requests.request(method, url, json=body, auth=(by, TOKEN), timeout=5)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def move_issue(self, category: str, *, by: str = "ada") -> None:
        ways = self.in_jira("GET", "/transitions")["transitions"]
        way = next(one for one in ways if one["to"]["statusCategory"]["key"] == category)
        self.in_jira("POST", "/transitions", {"transition": {"id": way["id"]}}, by=by)

    # -- what readers see --------------------------------------------------------------------------------------------

    def notes_of_ticket(self) -> str:
        state: Any = self.servicenow.state()
        return "\n".join(row["value"] for row in state.get("tables", state).get("sys_journal_field", ()))

    def notes_of_page(self) -> str:
        return "\n".join(note["content"] for page in self.pages() for note in page["notes"])

    def comments_of_issue(self) -> str:
        return str([one["body"] for issue in self.issues() for one in issue["comments"]])


@contextmanager
def running() -> Iterator[Staff]:
    """All three, until the block ends."""
    with (
        simulators.start("servicenow", seed=GROUPS) as servicenow,
        simulators.start("pagerduty") as pagerduty,
        simulators.start("jira", seed={"projects": ["OPS"]}) as jira,
    ):
        yield Staff(servicenow, pagerduty, jira)


class Staffed(World):
    """A world whose records stand at the three desks."""

    def __init__(self, url: str, directory: Path, staff: Staff, *, more: str = "") -> None:
        addresses = {kind: getattr(staff, kind).url for kind in simulators.KINDS}
        text = dedent(POLICIES).format(more=more, **addresses)
        teams = dedent(MAPPINGS["teams.yaml"]).replace("{out:", "{servicenow:")
        super().__init__(url, directory, {"teams.yaml": teams, "policies.yaml": text})

    def poll(self) -> int:
        """Ask every desk now, and settle what was heard; answers how many acts were new."""
        heard = polling.poll(self.app, self._couriers, now_due=True)
        self.settle()
        return heard

    def reconcile(self, *, repair: bool = True) -> list[reconciling.Surveyed]:
        """As if the records had been left alone for an hour."""
        self.do(
            "UPDATE records SET changed_at = changed_at - interval '1 h', created_at = created_at - interval '1 h',"
            " next_attempt_at = NULL"
        )
        return reconciling.reconcile(self.app, self._couriers, repair=repair)

    def hands(self) -> dict[str, Any]:
        """What is kept of people's acts on the one incident."""
        [row] = self.sql("SELECT coalesce(hands, '{}') AS hands FROM incidents")
        found: dict[str, Any] = row["hands"]
        return found

    def reasons(self, like: str) -> list[str]:
        """Action and reason of these audit lines, in order."""
        found = self.sql("SELECT action, reason FROM audit WHERE action LIKE :like ORDER BY id", like=like)
        return [f"{row['action']} {row['reason']}" for row in found]


def rule_body(ticket: Mapping[str, Any], action: str, *, by: str = "kim.doe", revision: int = 9, **more: str) -> object:
    """What our Business Rule posts of an incident."""
    return {
        "event_id": f"{ticket['sys_id']}:{revision}",
        "table": "incident",
        "sys_id": ticket["sys_id"],
        "number": ticket["number"],
        "correlation_id": ticket["correlation_id"],
        "action": action,
        "state": "In Progress",
        "priority": "3 - Moderate",
        "sys_updated_by": by,
        "sys_updated_on": ticket["sys_updated_on"],
        "sys_mod_count": str(revision),
        **more,
    }


def page_body(page: Mapping[str, Any], event_type: str, *, at: str, by: str = "Kim Doe", **more: Any) -> object:
    """A webhook of PagerDuty about an incident."""
    data = {"id": page["id"], "type": "incident", "incident_key": page["key"], "number": page["number"], **more}
    agent = {"id": "PKIM", "type": "user_reference", "summary": by} if by else None
    event = {"id": f"E{event_type}{at}", "event_type": event_type, "resource_type": "incident", "occurred_at": at}
    return {"event": {**event, "agent": agent, "data": data}}
