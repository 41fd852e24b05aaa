"""What stands at an address of a sender's own protocol? One GET, the bytes as they are; never a redirect."""

from __future__ import annotations

from typing import Any

from tocsin.connectors._http import Failure, Http, Reply
from tocsin.domain.record import Reason

MAX_BYTES = 65_536
"""A certificate has two thousand, a confirmation's answer less."""


class Fetcher(Http):
    """The HTTP client for addresses outside of any destination: TLS verified, no credentials, 5 s for all it does."""

    def __init__(self, *, ca_bundle: str = "") -> None:
        super().__init__(timeout_s=(2.0, 4.0), deadline_s=5.0, ca_bundle=ca_bundle)

    def fetch(self, url: str) -> bytes | Failure:
        """The body of a 2xx answer, when it has at most MAX_BYTES."""
        answer = self.call("GET", url, idempotent=False, headers={"Accept": "*/*"})
        if isinstance(answer, Failure):
            return answer
        body = answer.body if isinstance(answer.body, bytes) else b""
        if len(body) > MAX_BYTES:
            return Failure("retry", Reason.BAD_ANSWER, answer.status, "the answer is too large")
        return body

    def _judge(self, answer: Any, body: bytes, *, idempotent: bool) -> Reply | Failure:  # noqa: ANN401  # a Response
        if 200 <= answer.status_code < 300:
            return Reply(answer.status_code, body, answer.headers)
        return super()._judge(answer, body, idempotent=idempotent)
