"""The Attachment API: files of records, uploaded plainly or as a form (docs c_AttachmentAPI)."""

from __future__ import annotations

import hashlib

from flask import request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.servicenow import asked
from tocsin.simulators.servicenow.asked import NO_RECORD, Refused
from tocsin.simulators.servicenow.instance import Row
from tocsin.simulators.servicenow.table_api import InstanceNow

MIB = 1024 * 1024


class Attachments:
    """Rows of sys_attachment, and their bytes."""

    def __init__(self, instance: InstanceNow) -> None:
        self._instance = instance

    def upload(self) -> Response:
        """`POST /attachment/file?table_name=&table_sys_id=&file_name=` with the bytes as the body."""
        args = request.args
        content_type = request.content_type or "application/octet-stream"
        return self._kept(
            args.get("table_name", ""),
            args.get("table_sys_id", ""),
            args.get("file_name", ""),
            request.get_data(),
            content_type,
        )

    def upload_form(self) -> Response:
        """`POST /attachment/upload`: multipart/form-data, the file in its last part."""
        part = next(reversed(list(request.files.values())), None)
        if part is None:
            raise Refused(400, "Missing parameter", "The form holds no file")
        form, content_type = request.form, part.content_type or "application/octet-stream"
        return self._kept(
            form.get("table_name", ""), form.get("table_sys_id", ""), part.filename or "", part.read(), content_type
        )

    def listed(self) -> Response:
        """The attachments that a query selects."""
        rows, headers = asked.page(self._instance().find("sys_attachment", asked.encoded_query()))
        return reply({"result": [self._shown(row) for row in rows]}, headers=headers)

    def record(self, sys_id: str) -> Response:
        """What is known of one file, or its end."""
        if request.method == "DELETE":
            if not self._instance().delete("sys_attachment", sys_id):
                raise Refused(404, *NO_RECORD)
            self._instance().files.pop(sys_id, None)
            return Response(status=204)
        return reply({"result": self._shown(self._row(sys_id))})

    def content(self, sys_id: str) -> Response:
        """The bytes of one file."""
        row = self._row(sys_id)
        return Response(self._instance().files.get(sys_id, b""), content_type=row["content_type"])

    def _kept(self, table: str, record: str, name: str, raw: bytes, content_type: str) -> Response:
        instance = self._instance()
        if not (table and record and name):
            raise Refused(400, "Missing parameter", "table_name, table_sys_id and file_name are required")
        if instance.row(table, record) is None:
            raise Refused(404, *NO_RECORD)
        allowed = [part for part in instance.setting("glide.attachment.extensions").split(",") if part]
        if allowed and name.rpartition(".")[2].lower() not in allowed:
            raise Refused(400, "Invalid file type", f"Files with the extension of {name} are not allowed")
        if len(raw) > int(instance.setting("com.glide.attachment.max_size") or "1024") * MIB:
            raise Refused(413, "Attachment size exceeds allowed limit", f"{name} is too large")
        described = {"table_name": table, "table_sys_id": record, "file_name": name, "content_type": content_type}
        size = {"size_bytes": str(len(raw)), "size_compressed": str(len(raw))}
        row = instance.insert("sys_attachment", {**described, **size, "hash": hashlib.sha256(raw).hexdigest()})
        instance.files[row["sys_id"]] = raw
        prefix = request.path.rpartition("/")[0]
        location = f"{asked.base()}{prefix}/{row['sys_id']}/file"  # as pysnc's own suite expects it
        return reply({"result": self._shown(row)}, 201, {"Location": location})

    def _row(self, sys_id: str) -> Row:
        row = self._instance().row("sys_attachment", sys_id)
        if row is None:
            raise Refused(404, *NO_RECORD)
        return row

    def _shown(self, row: Row) -> Json:
        return {**row, "download_link": f"{asked.base()}/api/now/attachment/{row['sys_id']}/file"}
