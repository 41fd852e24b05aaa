"""How does an incident go through an import set? One row into a staging table; its transform map coalesces on
correlation_id, so that a second row updates what the first one made.

Docs c_ImportSetAPI: a 201 may hold rows whose `status` is `error`; `ignored` is a row that changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.connectors._http import Failure
from tocsin.connectors.servicenow.table import Row, result_of
from tocsin.connectors.servicenow.work import Work
from tocsin.domain.record import Reason

_TAKEN = ("inserted", "updated", "ignored")


def upsert(work: Work, values: Mapping[str, str]) -> Row | Failure:
    """Send one row and answer the incident that it made or changed, read back. A Failure GONE stands for none."""
    config, key = work.config, work.task.wanted.key
    row = {**values, "correlation_id": key}
    row.pop("sys_id", None)  # in a staging table it would be the staging row's own
    body = {f"{config.staging_prefix}{name}": value for name, value in row.items()}
    path = f"/api/now/import/{config.staging_table}"
    answer = work.table.call("POST", path, idempotent=False, json=body)
    result = answer if isinstance(answer, Failure) else result_of(answer, idempotent=False)
    if isinstance(result, Failure):
        return result
    rows = [one for one in result if isinstance(one, dict)] if isinstance(result, list) else []
    wrong = next((one for one in rows if one.get("status") not in _TAKEN), None)
    if wrong is not None or not rows:
        return _refused(work, wrong or {})
    ours = next((one for one in rows if one.get("table") == config.table and one.get("sys_id")), None)
    return _read_back(work, str(ours["sys_id"]) if ours else "")


def _read_back(work: Work, sys_id: str) -> Row | Failure:
    if sys_id:
        found = work.table.read(sys_id)
        return found if isinstance(found, Failure) or _is_ours(work, found) else _foreign(work, sys_id)
    rows = work.table.incidents(f"correlation_id={work.task.wanted.key}", limit=2)
    if isinstance(rows, Failure):
        return rows
    ours = next((row for row in rows if _is_ours(work, row)), None)
    return ours or Failure("rejected", Reason.BAD_ANSWER, 201, f"{work.config.staging_table} made no incident")


def _is_ours(work: Work, row: Row) -> bool:
    return row.get("correlation_id") == work.task.wanted.key


def _foreign(work: Work, sys_id: str) -> Failure:
    words = f"the transform map of {work.config.staging_table} wrote {sys_id}, which does not carry our correlation_id"
    return Failure("rejected", Reason.NOT_OURS, 201, f"{words}: let it coalesce on correlation_id only")


def _refused(work: Work, row: Mapping[str, object]) -> Failure:
    said = row.get("error_message") or row.get("status_message") or "no row"
    words = f"{work.config.staging_table}: status {row.get('status') or 'missing'} inside a 201: {said}"
    return Failure("rejected", Reason.CLIENT_ERROR, 201, work.http.words(words))
