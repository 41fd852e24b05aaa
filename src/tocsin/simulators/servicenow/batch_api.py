"""The Batch API: several REST calls in one, each answered as if it had come alone (docs batch-api)."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias

from flask import request
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.servicenow import asked
from tocsin.simulators.servicenow.asked import Refused
from tocsin.simulators.servicenow.table_api import InstanceNow

Application: TypeAlias = Callable[..., object]

IN_A_BATCH = "tocsin.in_a_batch"
"""Key of the WSGI environment that marks an item: the limit of an address's length is the door's, not the item's."""
_INHERITED = ("Authorization", "Cookie", "X-Sn-Apikey")
_NO_BODY = (204, 304)


class Batches:
    """`POST /api/now/v1/batch`. Items are worked off in order; what is too large stays unserviced."""

    def __init__(self, instance: InstanceNow, application: Callable[[], Application]) -> None:
        self._instance = instance
        self._application = application

    def run(self) -> Response:
        """Every item's own status, headers and base64 body; the batch itself answers 200."""
        body = asked.body()
        items = body.get("rest_requests") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(items, list):
            raise Refused(400, "Exception while reading request", "rest_requests must be a list")
        limit = int(self._instance().setting("glide.rest.batch.max.inputSize") or "5242880")
        serviced: list[Json] = []
        unserviced: list[str] = []
        for item in items:
            if not isinstance(item, dict) or "id" not in item or "url" not in item:
                raise Refused(400, "Exception while reading request", "Each request needs id, method and url")
            if len(str(item.get("body", ""))) > limit:
                unserviced.append(str(item["id"]))
            else:
                serviced.append(self._answer(item))
        return reply(
            {
                "batch_request_id": str(body.get("batch_request_id", "")),
                "serviced_requests": serviced,
                "unserviced_requests": unserviced,
            }
        )

    def _answer(self, item: Json) -> Json:
        started = time.monotonic()
        answer = self._called(item)
        shown: Json = {
            "id": str(item["id"]),
            "status_code": answer.status_code,
            "status_text": HTTPStatus(answer.status_code).phrase,
            "execution_time": round((time.monotonic() - started) * 1000),
        }
        if answer.status_code not in _NO_BODY:
            shown["body"] = base64.b64encode(answer.get_data()).decode()
        if not item.get("exclude_response_headers"):
            shown["headers"] = [{"name": name, "value": value} for name, value in answer.headers.items()]
        return shown

    def _called(self, item: Json) -> Response:
        try:
            raw = base64.b64decode(str(item.get("body") or ""), validate=False)
        except binascii.Error as wrong:
            raise Refused(400, "Exception while reading request", f"The body is not base64: {wrong}") from wrong
        headers = {name: value for name in _INHERITED if (value := request.headers.get(name))}
        given = item.get("headers")
        for pair in given if isinstance(given, list) else []:
            headers[str(pair["name"])] = str(pair["value"])
        path, _, query = str(item["url"]).partition("?")
        environ = EnvironBuilder(
            path=path,
            query_string=query,
            base_url=asked.base(),
            method=str(item.get("method", "GET")).upper(),
            headers=Headers(headers),
            data=raw,
        ).get_environ()
        environ[IN_A_BATCH] = True
        return Response.from_app(self._application(), environ, buffered=True)  # type: ignore[arg-type]
