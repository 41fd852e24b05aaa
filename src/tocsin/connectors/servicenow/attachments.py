"""Files for an incident, through the Attachment API: each once, and never a reason for the incident to fail.

Docs c_AttachmentAPI: `POST /api/now/attachment/file` takes the bytes as they are; a size limit and a list of allowed
extensions are the instance's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from tocsin.connectors._http import Failure
from tocsin.connectors.servicenow.table import Row, result_of
from tocsin.connectors.servicenow.work import Work
from tocsin.domain.record import Attachment

AGAIN = timedelta(minutes=5)
_MAX_LISTED = 200


def attach(work: Work) -> timedelta | None:
    """Send the files that are not there yet. How long to wait before another try; None when all is said and done."""
    if not work.task.attachments or work.closed:
        return None
    there: Sequence[Row] = ()
    if not work.created:
        listed = _listed(work)
        if isinstance(listed, Failure):
            return _failed(work, listed)
        there = listed
    for file in work.task.attachments:
        failure = None if _stands(file, there) else _sent(work, file)
        if failure is not None and failure.result != "rejected":
            return _failed(work, failure)
        if failure is not None:
            work.warnings.append(f"attachment {file.name!r} was refused (status {failure.status})")
            work.remarks.append(failure.detail)
        work.attachments.append(file.id)  # there, or refused for good: neither is tried again
    return None


def _listed(work: Work) -> list[Row] | Failure:
    query = f"table_name={work.config.table}^table_sys_id={work.sys_id}"
    fields = "table_sys_id,file_name,size_bytes,hash"
    rows = work.table.rows("sys_attachment", query, fields=fields, limit=_MAX_LISTED)
    if isinstance(rows, Failure):
        return rows
    return [row for row in rows if row.get("table_sys_id") == work.sys_id]


def _stands(file: Attachment, there: Sequence[Row]) -> bool:
    """By name, and by content: its SHA-256, or its size where the instance shows no hash."""
    ours = hashlib.sha256(file.content).hexdigest()
    return any(
        row.get("file_name") == file.name
        and (row.get("hash") == ours or row.get("size_bytes") == str(len(file.content)))
        for row in there
    )


def _sent(work: Work, file: Attachment) -> Failure | None:
    answer = work.table.call(
        "POST",
        "/api/now/attachment/file",
        idempotent=False,
        params={"table_name": work.config.table, "table_sys_id": work.sys_id, "file_name": file.name},
        content=file.content,
        media_type=file.media_type or "application/octet-stream",
    )
    result = answer if isinstance(answer, Failure) else result_of(answer, idempotent=False)
    return result if isinstance(result, Failure) else None


def _failed(work: Work, failure: Failure) -> timedelta:
    """The listing comes before a repeat; after a lost answer only once nothing can arrive late any more."""
    work.remarks.append(f"attachments wait: {failure.detail}")
    return max(failure.after or AGAIN, timedelta(seconds=work.config.late_commit_s))
