"""Does the instance take an incident under a sys_id of our choosing? One is created, looked at, and cancelled."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Literal

from tocsin.connectors._connector import PRODUCT
from tocsin.connectors._http import Failure, Reply
from tocsin.connectors._inspect import error, note, ok, refused, some, warning
from tocsin.connectors.servicenow import login
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.instance import Instance
from tocsin.connectors.servicenow.render import CANCELED, NEW, RESOLVED
from tocsin.domain.seen import Finding, Inspection

WHY = f"{PRODUCT} doctor: a probe of the set-up, cancelled by itself. Nothing is wrong, nothing to do."


def probe(config: Config, inspection: Inspection, instance: Instance) -> Iterator[Finding]:
    """Write one incident and take it back. Whatever happens after the create, the last finding says what stands."""
    group = instance.named("sys_user_group", "name", [inspection.probe_group])
    rows = [] if isinstance(group, Failure) else group[inspection.probe_group]
    if len(rows) != 1:
        remedy = "name one group, as it stands in ServiceNow"
        yield error("probe", inspection.probe_group, "Nothing was written: this is not exactly one group there", remedy)
        return
    sys_id = secrets.token_hex(16)
    fields = {
        "sys_id": sys_id,
        "correlation_id": f"doctor-{sys_id}",
        "correlation_display": f"{PRODUCT} doctor",
        "short_description": f"{PRODUCT} set-up probe, please ignore",
        "description": WHY,
        "impact": "3",
        "urgency": "3",
        "state": NEW,
        "contact_type": config.contact_type,
        "assignment_group": rows[0]["sys_id"],
    }
    made = _call(config, instance, "POST", config.table, fields)
    if isinstance(made, Failure) and made.result != "rejected":
        made = _call(config, instance, "GET", f"{config.table}/{sys_id}", None)  # it may stand there all the same
    if isinstance(made, Failure):
        yield refused("create", made)
        return
    yield from _judged(made, fields)
    yield _taken_back(config, instance, made, inspection.probe_group)


def _judged(made: Mapping[str, str], fields: Mapping[str, str]) -> Iterator[Finding]:
    if made.get("sys_id") == fields["sys_id"]:
        yield ok("foreign_sys_id", made["sys_id"], "The instance keeps the sys_id that we chose: no incident twice")
    else:
        says = (
            "The instance chose a sys_id of its own: a lost answer is settled by looking for our correlation_id instead"
        )
        yield note("foreign_sys_id", made.get("sys_id", ""), says, "let the integration's user set sys_id on insert")
    dropped = [name for name, value in fields.items() if name != "sys_id" and made.get(name) != value]
    if dropped:
        remedy = "let the integration's user write them (field ACLs), or look for a rule that changes them"
        yield warning("create", some(dropped), "Created, but these fields did not keep what we wrote", remedy)
    else:
        yield ok("create", made.get("number", ""), "Created as asked")


def _taken_back(config: Config, instance: Instance, made: Mapping[str, str], group: str) -> Finding:
    """Cancelled with a note; where the instance knows no cancelling, resolved."""
    number, path = made.get("number", ""), f"{config.table}/{made['sys_id']}"
    closing = {"close_code": config.close_code, "close_notes": WHY}
    for state, word in ((CANCELED, "cancelled"), (RESOLVED, "resolved")):
        answer = _call(config, instance, "PATCH", path, {"state": state, **closing})
        if not isinstance(answer, Failure) and answer.get("state") == state:
            _call(config, instance, "PATCH", path, {"work_notes": WHY})
            return ok("probe", number, f"Created in {group}, then {word} with a note")
    return error("probe", number, "Created, and could not be cancelled: it still stands", f"cancel {number} by hand")


def _call(
    config: Config,
    instance: Instance,
    method: Literal["GET", "POST", "PATCH"],
    path: str,
    fields: Mapping[str, str] | None,
) -> Mapping[str, str] | Failure:
    http = instance.look.attempt()
    proof = login.headers(config, http)
    if isinstance(proof, Failure):
        return proof
    answer: Reply | Failure = http.call(
        method,
        f"{config.root}/api/now/table/{path}",
        idempotent=method == "GET",
        headers=proof,
        params={"sysparm_exclude_reference_link": "true", "sysparm_display_value": "false"},
        json=fields,
    )
    if isinstance(answer, Failure):
        return answer
    result = answer.body.get("result") if isinstance(answer.body, dict) else None
    return {name: str(value) for name, value in result.items()} if isinstance(result, dict) else {}
