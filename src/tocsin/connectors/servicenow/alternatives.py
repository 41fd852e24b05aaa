"""Are the two other ways of keeping incidents single set up: Event Management, or an import set that coalesces?"""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.connectors._http import Failure
from tocsin.connectors._inspect import clock, error, note, ok, refused, warning
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.instance import Instance
from tocsin.domain.record import Reason
from tocsin.domain.seen import Finding

_WITHOUT = "without it a lost answer can make a second incident"


def events_only(instance: Instance) -> Iterator[Finding]:
    """With identity: event we only insert events; the role for that (evt_mgmt_integration) reads next to nothing."""
    found = instance.rows("em_alert", fields="sys_id", limit=1)
    if isinstance(found, Failure) and found.status == 400:
        says = f"Event Management is not there: {found.detail}"
        yield error("event_management", "em_alert", says, "activate its plugin, or choose another identity")
        return
    if isinstance(found, Failure) and found.reason is not Reason.FORBIDDEN:
        yield refused("credentials" if found.reason is Reason.UNAUTHORIZED else "reach", found)
        return
    yield ok("credentials", instance.config.username or instance.config.auth, "Logged in")
    skew = clock(instance.headers, instance.look.now)
    if skew is not None:
        yield skew
    says = "Whether events are taken, and which group their alerts reach, is decided by rules there"
    yield note("event_management", says=says, remedy="send one event by hand, and follow its alert")


def import_set(config: Config, instance: Instance) -> Iterator[Finding]:
    """The staging table, its transform map into our table, and that this coalesces on correlation_id."""
    staging = instance.rows(config.staging_table, fields="sys_id", limit=1)
    if isinstance(staging, Failure) and staging.status == 400:
        remedy = "create it (System Import Sets), or correct staging_table"
        yield error("import_set", config.staging_table, f"There is no such table: {staging.detail}", remedy)
        return
    query = f"source_table={config.staging_table}^target_table={config.table}^active=true"
    maps = instance.rows("sys_transform_map", query, fields="sys_id,name,source_table,target_table", limit=5)
    if isinstance(maps, Failure):
        yield note("import_set", config.staging_table, "Transform maps are not visible to this user")
        return
    ours = [row for row in maps if row.get("source_table") == config.staging_table]
    if not ours:
        says = f"No active transform map leads from {config.staging_table} to {config.table}"
        yield error("import_set", config.staging_table, says, "create one that coalesces on correlation_id")
        return
    entries = instance.rows(
        "sys_transform_entry",
        f"map={ours[0]['sys_id']}^coalesce=true",
        fields="map,target_field,coalesce",
        limit=20,
    )
    fields = [] if isinstance(entries, Failure) else [row.get("target_field") for row in entries]
    if isinstance(entries, Failure):
        yield note("import_set", ours[0].get("name", ""), "Its field maps are not visible to this user")
    elif fields != ["correlation_id"]:
        says = f"The transform map must coalesce on correlation_id alone, and does on {fields or 'nothing'}; {_WITHOUT}"
        yield warning("import_set", ours[0].get("name", ""), says, "set Coalesce on correlation_id, nowhere else")
    else:
        yield ok("import_set", ours[0].get("name", ""), "Coalesces on correlation_id")
