"""PagerDuty in the trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.chaos.desks.desk import SECRET, Desk, Standing

ALPHA, BETA = "a1" * 16, "b2" * 16
_HEADERS = {"Authorization": f"Token token={SECRET}", "From": "beth@example.org"}


class PagerDutyDesk(Desk):
    """Two services, and pages of others under keys like ours."""

    kind = "pagerduty"
    seed: ClassVar[Mapping[str, object]] = {"routing_keys": {ALPHA: "Alpha", BETA: "Beta"}}

    addresses: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "alpha": {"routing_key": "alpha"},
        "beta": {"routing_key": "beta"},
    }

    def destination(self) -> dict[str, object]:
        return {
            "kind": "pagerduty",
            "url": self.url,
            "api_url": self.url,
            "api_token": {"env": "CHAOS_SECRET"},
            "from_email": "tocsin@example.org",
            "routing_keys": {"alpha": {"env": "CHAOS_ALPHA"}, "beta": {"env": "CHAOS_BETA"}},
            "default_routing_key": {"env": "CHAOS_ALPHA"},
        }

    def role(self, method: str, path: str, body: Mapping[str, Any]) -> str:
        if path.endswith("/enqueue"):
            return "create" if body.get("event_action") == "trigger" else "move"
        if path.endswith("/notes") and method == "POST":
            return "note"
        if not path.startswith("/incidents"):
            return "look-up"
        if method == "PUT":
            return "move"
        return "search" if path == "/incidents" else "read"

    def plant(self, key: str, title: str) -> None:
        for other in (key[:-1] + ("0" if key[-1] != "0" else "1"), key[:16], f"x{key}"):
            self._foreign[other] = None
            event = {
                "routing_key": ALPHA,
                "event_action": "trigger",
                "dedup_key": other,
                "payload": {"summary": title, "source": "x", "severity": "critical"},
            }
            self.api("POST", "/v2/enqueue", event)

    def parent(self, key: str) -> tuple[str, str]:
        return f"parent {key}"[:32], "1"  # a page names no parent

    def person(self, edit: str, key: str) -> bool:
        found = next((one for one in self._rows() if one["key"] == key and one["status"] != "resolved"), None)
        if found is None or (edit == "acknowledge" and found["status"] != "triggered"):
            return False
        path = f"/incidents/{found['id']}"
        if edit == "comment":
            self.api("POST", f"{path}/notes", {"note": {"content": "Looking at it."}}, headers=_HEADERS)
            return True
        status = {"acknowledge": "acknowledged", "resolve": "resolved"}[edit]
        self.api("PUT", path, {"incident": {"type": "incident_reference", "status": status}}, headers=_HEADERS)
        return True

    def _rows(self) -> list[dict[str, Any]]:
        found: Any = self.running.state()["incidents"]
        return list(found)

    def foreign(self) -> dict[str, object]:
        return {row["key"]: row for row in self._rows() if row["key"] in self._foreign}

    def standings(self) -> dict[str, list[Standing]]:
        found: dict[str, list[Standing]] = {}
        for row in self._rows():
            standing = Standing(
                external_id=row["id"],
                number=str(row["number"]),
                status="resolved" if row["status"] == "resolved" else "open",
                values={
                    "status": row["status"],
                    "severity": row["severity"],
                    "place": row["service"]["name"],
                    "routing_key": {"Alpha": ALPHA, "Beta": BETA}[row["service"]["name"]],
                },
                notes=tuple(str(note["content"]) for note in row["notes"]),
                made_at=row["created_at"],
            )
            found.setdefault(row["key"], []).append(standing)
        return found
