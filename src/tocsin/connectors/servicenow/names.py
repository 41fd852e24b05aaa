"""Which row does a name mean? Names of groups, users, CIs and changes become sys_ids, or stay out and are told.

A name that nobody bears, or two, is never guessed: the field stays empty and the record goes out all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.connectors._http import Failure, Http
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.render import REFERENCES
from tocsin.connectors.servicenow.table import MAX_NAME, Table
from tocsin.domain.record import Reason

_SYS_ID = re.compile(r"[0-9a-f]{32}")
_MISSING_REMEMBERED_S = 60.0
_HAVE_ACTIVE = ("sys_user_group", "sys_user")
"""Tables whose retired rows often bear the same name as the live one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Fields with sys_ids in the place of names, and a sentence for each that was left out."""

    fields: dict[str, str]
    unknown: tuple[str, ...] = ()
    failure: Failure | None = None
    """The instance could not be asked: nothing should be written yet."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one instance; what was found is remembered in this process."""

    config: Config
    table: Table
    http: Http = field(repr=False)

    def resolved(self, fields: Mapping[str, object]) -> Resolved:
        """These fields, fit to be written."""
        kept = {name: str(value) for name, value in fields.items()}
        unknown: list[str] = []
        for name in REFERENCES:
            if not kept.get(name):
                continue
            found = self._sys_id(name, kept[name])
            if isinstance(found, Failure):
                if found.result != "rejected" or found.reason is Reason.UNAUTHORIZED:
                    return Resolved(fields={}, failure=found)
                unknown.append(f"{name} {kept.pop(name)!r} could not be looked up (status {found.status}): left empty")
            elif len(found) == 1:
                kept[name] = found[0]
            else:
                why = "is not known here" if not found else "is the name of more than one"
                unknown.append(f"{name} {kept.pop(name)!r} {why}: left empty")
        return Resolved(fields=kept, unknown=tuple(unknown))

    def _sys_id(self, name: str, value: str) -> tuple[str, ...] | Failure:
        """The sys_ids of the rows of that name: one, none, or two for more than one."""
        table, column = REFERENCES[name]
        if _SYS_ID.fullmatch(value):
            return (value,)
        if "^" in value or value.startswith("javascript:") or len(value) > MAX_NAME:
            return ()  # such a name would change the meaning of the query
        place = f"{table}.{column}={value}"
        known: tuple[str, ...] | None = self.http.recall(place)
        if known is not None:
            return known
        may_retire = table in _HAVE_ACTIVE
        query, fields = f"{column}={value}", f"sys_id,{column}"
        if may_retire:
            query, fields = f"{query}^active=true", f"{fields},active"
        rows = self.table.rows(table, query, fields=fields, limit=2)
        if isinstance(rows, Failure):
            return rows
        same = [row for row in rows if row.get(column, "").casefold() == value.casefold() and row.get("sys_id")]
        live = [row for row in same if not (may_retire and row.get("active") == "false")]
        exact = [row for row in live if row.get(column) == value]
        found = tuple(row["sys_id"] for row in exact or live)
        self.http.remember(place, found, for_s=self.config.names_cached_s if found else _MISSING_REMEMBERED_S)
        return found
