"""Will this instance take our incidents at 3 a.m.? Read-only; the probe, when it was allowed, stands in probe.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from tocsin.connectors._connector import PRODUCT
from tocsin.connectors._http import Failure, Http
from tocsin.connectors._inspect import (
    UNTESTED_WRITE,
    Look,
    by_value,
    clock,
    error,
    note,
    ok,
    refused,
    some,
    used_by,
    warning,
    way_there,
)
from tocsin.connectors.servicenow.alternatives import events_only, import_set
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.described import described
from tocsin.connectors.servicenow.instance import Instance, Named
from tocsin.connectors.servicenow.probe import probe
from tocsin.connectors.servicenow.render import REFERENCES
from tocsin.domain.record import Reason
from tocsin.domain.seen import Finding, Grade, Inspection

FEW_CALLS_AN_HOUR = 500
"""Below this an outage of some hours with a few dozen incidents runs into the limit (vendors.md §3.4: per hour)."""

_READ: Mapping[str, tuple[Literal["error", "warning"], str]] = {
    "sys_user_group": ("error", "groups are found by name"),
    "cmdb_ci": ("warning", "configuration items are found by name"),
    "cmdb_ci_service": ("warning", "business services are found by name"),
    "sys_journal_field": ("warning", "work notes that arrived are recognised, so that none is written twice"),
    "change_request": ("warning", "a confirmed cause is linked to its change record"),
}
_ROLES = "the roles itil and (to read groups, choices and the CMDB) those that docs/howto/servicenow.md lists"


def inspect(config: Config, inspection: Inspection, http: Http) -> Iterator[Finding]:
    """Everything that doctor can find out about one instance, in the order in which it matters."""
    look = Look(http, inspection.now)
    for finding in way_there(config, config.root, now=look.now):
        yield finding
        if finding.grade is Grade.ERROR:
            return
    instance = Instance(config, look)
    if config.identity == "event":
        yield from events_only(instance)
        return
    first = instance.rows(config.table, fields="sys_id", limit=1)
    if isinstance(first, Failure):
        yield refused(_first_check(config, first), first)
        return
    yield ok("credentials", config.username or config.auth, "Logged in")
    skew = clock(instance.headers, look.now)
    if skew is not None:
        yield skew
    yield from _limits(instance.headers)
    yield from _roles(config, instance)
    yield from _tables(instance)
    yield from described(config, instance)
    if config.identity == "import_set":
        yield from import_set(config, instance)
    yield from _names(config, inspection, instance)
    yield from _way_back(config, inspection, instance)
    if inspection.probe_group:
        yield from probe(config, inspection, instance)
    else:
        yield note("create", says=UNTESTED_WRITE)


def _first_check(config: Config, failure: Failure) -> str:
    if failure.reason is Reason.UNAUTHORIZED:
        return "credentials"
    return f"read:{config.table}" if failure.status in (400, 403) else "reach"


def _limits(headers: Mapping[str, str]) -> Iterator[Finding]:
    """Rate limit rules show themselves in headers, where there are any (inbound REST API rate limiting)."""
    limit = headers.get("X-RateLimit-Limit", "")
    if not limit.isdigit():
        yield ok("rate_limit", "none announced")
    elif int(limit) >= FEW_CALLS_AN_HOUR:
        yield ok("rate_limit", f"{limit} calls an hour")
    else:
        rule = headers.get("X-RateLimit-Rule") or "rule not named"
        says = f"{limit} calls an hour ({rule}): creates go first, notes wait"
        remedy = f"ask the administrator for a rule of at least {FEW_CALLS_AN_HOUR} an hour for the integration's user"
        yield warning("rate_limit", limit, says, remedy)


def _roles(config: Config, instance: Instance) -> Iterator[Finding]:
    """The user's roles, where it may see them. Not seeing them is usual and proves nothing."""
    if not config.username:
        return
    found = instance.rows(
        "sys_user_has_role", f"user.user_name={config.username}^state=active", fields="user,role.name", limit=200
    )
    names = [] if isinstance(found, Failure) else sorted({row["role.name"] for row in found if row.get("role.name")})
    if names and "admin" in names:
        says = "The integration's user is an administrator: far more than Tocsin needs"
        yield warning("roles", "admin", says, f"give it {_ROLES}; take admin away")
    elif names:
        yield ok("roles", some(names))


def _tables(instance: Instance) -> Iterator[Finding]:
    readable = []
    for table, (grade, why) in _READ.items():
        found = instance.rows(table, fields="sys_id", limit=1)
        if isinstance(found, Failure):
            make = error if grade == "error" else warning
            yield make(
                f"read:{table}", found.status, f"Needed, so that {why}: {found.detail}", f"give the user {_ROLES}"
            )
        elif not found and table.startswith(("sys_user", "cmdb")):
            says = f"No row is visible, though {why}: the table is empty, or ACLs hide its rows without saying so"
            yield warning(f"read:{table}", "0 rows", says, f"look as that user; else give it {_ROLES}")
        else:
            readable.append(table)
    yield ok("read", some(readable))


# --- names ---

_ADDRESSED = ("assignment_group", "caller_id", "service_offering", "cmdb_ci", "business_service")
"""References that a team's address may name."""


def _names(config: Config, inspection: Inspection, instance: Instance) -> Iterator[Finding]:
    usual = {
        "assignment_group": (config.default_assignment_group, "default_assignment_group"),
        "caller_id": (config.caller_id, "caller_id"),
        "service_offering": (config.service_offering, "service_offering"),
    }
    for field in _ADDRESSED:
        users = {name: used_by(inspection, teams) for name, teams in by_value(inspection.addresses, field).items()}
        name, setting = usual.get(field, ("", ""))
        if name:
            users.setdefault(name, setting)
        if users:
            yield from _each(field, instance.named(*REFERENCES[field], users), users)
    yield from _together(inspection, "ci", instance.named(*REFERENCES["cmdb_ci"], inspection.cis))
    services = instance.named(*REFERENCES["business_service"], inspection.business_services)
    yield from _together(inspection, "business_service", services)


def _each(check: str, found: Named | Failure, users: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for each name that is not exactly one active row: each of them sends incidents astray."""
    if isinstance(found, Failure):
        yield note(check, some(list(users)), f"Not looked at: {found.detail}")
        return
    right = []
    for name, who in users.items():
        rows = found.get(name, [])
        live = [row for row in rows if row.get("active") != "false"]
        if len(live) == 1:
            right.append(name)
        elif live:
            remedy = "write the sys_id of the right one in its place"
            yield error(check, name, f"{len(live)} bear this name; left empty. Used by {who}", remedy)
        elif rows:
            remedy = "name an active one, or activate it"
            yield error(check, name, f"It is inactive there; left empty. Used by {who}", remedy)
        else:
            says = f"There is none, or the user may not see it; left empty. Used by {who}"
            yield error(check, name, says, "correct the name in the mappings, or create it there")
    if right:
        yield ok(check, some(right), "Found once")


def _together(inspection: Inspection, check: str, found: Named | Failure) -> Iterator[Finding]:
    """One finding for all that are missing and one for all that are ambiguous: a catalogue holds hundreds."""
    if isinstance(found, Failure):
        yield note(check, says=f"Not looked at: {found.detail}")
        return
    missing = [name for name, rows in found.items() if not rows]
    twice = [name for name, rows in found.items() if len(rows) > 1]
    said = [name for name in missing if f"{check}:{name}" in inspection.origins]
    unsaid = [name for name in missing if f"{check}:{name}" not in inspection.origins]
    if twice:
        remedy = "write the sys_id of the right one in the mappings, or retire the others"
        names = _with_origins(inspection, check, twice)
        yield warning(check, names, "More than one bears this name: left empty", remedy)
    if said:
        remedy = "correct the name in the mappings, or create it in the CMDB"
        yield warning(check, _with_origins(inspection, check, said), "There is none of this name: left empty", remedy)
    if unsaid:
        says = f"{len(unsaid)} affected items have no entry of their own name there; their incidents go without"
        yield note(check, some(unsaid), says, f"add {check}: to those that have one under another name")
    right = len(found) - len(missing) - len(twice)
    if right:
        yield ok(check, f"{right} found once")


def _with_origins(inspection: Inspection, check: str, names: Iterable[str]) -> str:
    places = ((name, inspection.origins.get(f"{check}:{name}", "")) for name in names)
    return some([f"{name} ({place})" if place else name for name, place in places])


# --- the way back ---


def _way_back(config: Config, inspection: Inspection, instance: Instance) -> Iterator[Finding]:
    """How we learn what people do: a hook that a Business Rule posts to, or polling."""
    query = f"collection={config.table}^active=true^nameLIKE{PRODUCT}"
    rules = instance.rows("sys_script", query, fields="name,collection,active", limit=5)
    if isinstance(rules, Failure):
        yield note("business_rule", says="Business Rules are not visible to this user; send one test incident to see")
        return
    names = [row.get("name", "") for row in rules if PRODUCT in row.get("name", "")]
    if names:
        yield ok("business_rule", some(names))
    elif inspection.hooks:
        says = f"No active Business Rule on {config.table} with {PRODUCT} in its name is visible"
        yield note("business_rule", "none", says, "import integrations/servicenow, or leave it to polling")
