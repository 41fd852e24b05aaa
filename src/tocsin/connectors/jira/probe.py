"""Does the site take an issue of ours? One is created in the named project, looked at, and closed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tocsin.connectors._connector import PRODUCT
from tocsin.connectors._http import Failure
from tocsin.connectors._inspect import error, ok, refused
from tocsin.connectors.jira.render import PROPERTY, text
from tocsin.domain.seen import Finding, Inspection

if TYPE_CHECKING:
    from tocsin.connectors.jira.inspect import Eyes

WHY = f"{PRODUCT} doctor: a probe of the set-up, closed by itself. Nothing is wrong, nothing to do."


def probe(eyes: Eyes, inspection: Inspection) -> Iterator[Finding]:
    """Write one issue and take it back: deleted where we may, else closed. The last finding says what stands."""
    config = eyes.config
    project, _, kind = inspection.probe_group.partition(":")
    fields: dict[str, Any] = {
        "project": {"key": project.strip()},
        "issuetype": {"name": kind.strip() or config.issue_type},
        "summary": f"{PRODUCT} set-up probe, please ignore",
        "description": text(config, WHY),
        "labels": [f"{PRODUCT.lower()}-doctor-{secrets.token_hex(8)}"],
        **{name: value for name, value in config.fields.items() if _stands_alone(value)},
    }
    body = {"fields": fields, "properties": [{"key": PROPERTY, "value": {"probe": True}}]}
    made = _send(eyes, "POST", "/issue", body)
    if isinstance(made, Failure):
        yield refused("create", made)
        if made.result == "ambiguous":
            label = fields["labels"][0]
            yield error("probe", label, "The answer was lost: it may stand", f"look for the label {label} and close it")
        return
    key, issue_id = str(made.get("key", "")), str(made.get("id", ""))
    yield ok("create", key, "Created as asked")
    yield _taken_back(eyes, issue_id, key)


def _stands_alone(value: object) -> bool:
    """A configured value that needs nothing of an incident."""
    return "{" not in str(value)


def _taken_back(eyes: Eyes, issue_id: str, key: str) -> Finding:
    if not isinstance(_send(eyes, "DELETE", f"/issue/{issue_id}", None), Failure):
        return ok("probe", key, "Created, then deleted: nothing is left")
    rows = eyes.get(f"/issue/{issue_id}/transitions")
    found = rows.get("transitions", []) if isinstance(rows, dict) else []
    wanted = eyes.config.done_transition
    for one in found:
        category = ((one.get("to") or {}).get("statusCategory") or {}).get("key")
        if wanted in (one.get("name"), one.get("id")) or (not wanted and category == "done"):
            moved = _send(eyes, "POST", f"/issue/{issue_id}/transitions", {"transition": {"id": one.get("id")}})
            if not isinstance(moved, Failure):
                return ok("probe", key, f"Created, then closed by {one.get('name')!r}; the user may not delete issues")
    return error("probe", key, "Created, and could be neither deleted nor closed: it stands", f"close {key} by hand")


def _send(eyes: Eyes, method: Any, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any] | Failure:  # noqa: ANN401
    url = f"{eyes.config.root}/rest/api/{3 if eyes.cloud else 2}{path}"
    answer = eyes.look.attempt().call(method, url, idempotent=False, headers=eyes.login, json=body)
    if isinstance(answer, Failure):
        return answer
    return answer.body if isinstance(answer.body, dict) else {}
