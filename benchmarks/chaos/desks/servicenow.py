"""ServiceNow in the trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.chaos.desks.desk import SECRET, Desk, Standing, Status

_TABLE = "/api/now/table/incident"
_AUTH = ("admin", SECRET)
_STATUS: dict[str, Status] = {"6": "resolved", "7": "closed", "8": "closed"}
PERSON = "beth.anglin"


class ServiceNowDesk(Desk):
    """Two groups, one person, and incidents of others that carry keys like ours."""

    kind = "servicenow"
    seed: ClassVar[Mapping[str, object]] = {
        "sys_user_group": ["Alpha Group", "Beta Group"],
        "sys_user": [{"user_name": PERSON, "name": "Beth Anglin"}],
        "cmdb_ci_service": ["Checkout"],
    }

    addresses: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "alpha": {"assignment_group": "Alpha Group"},
        "beta": {"assignment_group": "Beta Group"},
    }

    def destination(self) -> dict[str, object]:
        return {
            "kind": "servicenow",
            "url": self.url,
            "auth": "basic",
            "username": "admin",
            "password": {"env": "CHAOS_SECRET"},
        }

    def role(self, method: str, path: str, body: Mapping[str, Any]) -> str:
        if method == "POST" and path.endswith("/incident"):
            return "create"
        if method in ("PATCH", "PUT"):
            return "note" if body.get("work_notes") and "state" not in body else "move"
        table, _, sys_id = path.partition("/table/")[2].partition("/")
        if table not in ("incident", "sys_journal_field"):
            return "look-up"
        return "read" if sys_id else "search"

    def plant(self, key: str, title: str) -> None:
        alike = (key[:-1] + ("0" if key[-1] != "0" else "1"), key[:16], "", f"x{key}")
        for other in alike:
            self._plant({"correlation_id": other, "correlation_display": "Tocsin", "short_description": title})

    def plant_under(self, key: str) -> None:
        """Somebody else's incident with our primary key."""
        self._plant({"sys_id": key, "correlation_id": "theirs", "short_description": "Printer"})

    def parent(self, key: str) -> tuple[str, str]:
        fields = {"correlation_id": f"parent {key}", "short_description": "An earlier outage"}
        made = self.api("POST", _TABLE, fields, auth=_AUTH)["result"]
        return str(made["sys_id"]), str(made["number"])

    def _plant(self, fields: dict[str, str]) -> None:
        made = self.api("POST", _TABLE, fields, auth=_AUTH)["result"]
        self._foreign[made["sys_id"]] = None

    def person(self, edit: str, key: str) -> bool:
        row = next((row for row in self._rows() if row["correlation_id"] == key), None)
        if row is None:
            return False
        state = row["state"]
        possible = {
            "assign": state not in "78",
            "impact": state not in "678",
            "take": state in "13",
            "comment": True,
            "resolve": state in "123",
            "close": state == "6",
            "reopen": state == "6",
        }
        if not possible[edit]:
            return False
        resolved = {"close_code": "User error", "close_notes": "It was the cleaner."}
        fields: dict[str, str] = {
            "assign": {"assigned_to": self._person_id()},
            "impact": {"impact": "3" if row["impact"] != "3" else "2"},
            "take": {"state": "2", "assigned_to": self._person_id()},
            "comment": {"work_notes": "Looking at it."},
            "resolve": {"state": "6", **resolved},
            "close": {"state": "7"},
            "reopen": {"state": "2"},
        }[edit]
        if edit == "impact":
            self.chosen[key] = {"impact": fields["impact"]}
        instance: Any = self.running.front.simulator
        with self.running.front._lock:
            instance = instance.instance
            us, instance.user = instance.user, PERSON
            instance.update("incident", row["sys_id"], fields)
            instance.user = us
        return True

    def _person_id(self) -> str:
        users: Any = self.running.state()["sys_user"]
        return next(str(row["sys_id"]) for row in users if row["user_name"] == PERSON)

    def _rows(self) -> list[dict[str, str]]:
        found: Any = self.running.state().get("incident", [])
        return list(found)

    def foreign(self) -> dict[str, object]:
        journal: Any = self.running.state().get("sys_journal_field", [])
        return {
            row["sys_id"]: (dict(row), [one["value"] for one in journal if one["element_id"] == row["sys_id"]])
            for row in self._rows()
            if row["sys_id"] in self._foreign
        }

    def standings(self) -> dict[str, list[Standing]]:
        notes: dict[str, list[str]] = {}
        journal: Any = self.running.state().get("sys_journal_field", [])
        for one in journal:
            notes.setdefault(one["element_id"], []).append(one["value"])
        found: dict[str, list[Standing]] = {}
        for row in self._rows():
            standing = Standing(
                external_id=row["sys_id"],
                number=row["number"],
                status=_STATUS.get(row["state"], "open"),
                values={name: row[name] for name in ("state", "impact", "urgency", "assigned_to", "assignment_group")},
                notes=tuple(notes.get(row["sys_id"], ())),
            )
            found.setdefault(row["correlation_id"], []).append(standing)
        return found
