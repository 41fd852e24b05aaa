"""How do we call a vendor, and what does its answer oblige us to do? The only HTTP client of the house.

A call answers with a value: `Reply` (a 2xx that is the vendor's JSON) or `Failure` (what the caller must do, and why).
Nothing raises. Refused or unresolved means that nothing was sent: retry. A lost answer may hide a success: ambiguous,
unless the call may be repeated (`idempotent`). One attempt has one deadline; `attempt` starts it and counts calls.
"""

from __future__ import annotations

import base64
import copy
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, stop_after_delay
from tenacity import wait_random_exponential as jittered
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from tocsin.connectors._waits import asked_to_wait
from tocsin.domain.record import Confirmation, Outcome, Reason

MAX_DETAIL = 500
MAX_BODY_BYTES = 8_000_000
"""A page of 200 incidents with long texts stays below; what is longer is no answer that we asked for."""
MAX_TRIES = 3
MAX_BLIP_S = 10
NOT_THE_API = timedelta(minutes=5)
"""A login page or a hibernating instance does not mend in seconds (reference: vendors.md §3.4)."""
MAX_CONNECTIONS = 16  # kept open; more callers at once open their own
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_CREDENTIALS = {"Authorization", "x-sn-apikey"}

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Result = Literal["retry", "ambiguous", "rejected"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer. `body` is its parsed JSON, None where the answer was empty."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failure:
    """Anything else. `status` is 0 when no answer came; `body` is the vendor's JSON error, where it sent one."""

    result: Result
    reason: Reason
    status: int = 0
    detail: str = ""
    after: timedelta | None = None
    body: Any = None
    blip: bool = False
    """Likely over within seconds: an idempotent call is tried again at once."""
    unsent: bool = False
    """The call never left this machine: it cannot be carried out late either."""
    limited_by: str = ""
    """Which of its limits the vendor says was met: Jira's RateLimit-Reason, ServiceNow's X-RateLimit-Rule."""

    def outcome(self, confirmation: Confirmation | None = None) -> Outcome:
        """The same, as the end of an attempt."""
        return Outcome(
            result=self.result, reason=self.reason, detail=self.detail, after=self.after, confirmation=confirmation
        )


def clock_s() -> float:
    """Seconds that only grow, also while this process is stopped and while its machine sleeps (Linux; elsewhere what
    time.monotonic counts): a lease runs out in either."""
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


def unchanged(text: str) -> str:
    """No redaction."""
    return text


def basic(user: str, password: str) -> str:
    """The value of a Basic Authorization header (RFC 7617, UTF-8)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


class Http:
    """A session with one vendor: TLS always verified, redirects never followed, CA bundle and proxy by config.

    `timeout_s` is (connect, read) in seconds; `deadline_s` bounds all calls of one attempt. `client_cert` is a PEM
    file, or a certificate's and its key's. Without `proxy` HTTPS_PROXY and NO_PROXY hold. `redact` cleans the
    vendor's words; `secrets` are blotted out of them besides. `memory` holds what may be remembered between
    attempts in this process (OAuth tokens, looked-up ids).
    """

    def __init__(
        self,
        *,
        timeout_s: tuple[float, float] = (5.0, 10.0),
        session: requests.Session | None = None,
        redact: Callable[[str], str] = unchanged,
        secrets: tuple[str, ...] = (),
        deadline_s: float = 20.0,
        ca_bundle: str = "",
        client_cert: tuple[str, str] | str = "",
        proxy: str = "",
        blip_wait_s: float = 0.5,
    ) -> None:
        self._timeout_s = timeout_s
        self._session = session or _session(proxy, client_cert)
        self._proxy = proxy
        self._verify: str | bool = ca_bundle or True
        self._redact = redact
        self._secrets = {secret for secret in secrets if secret}
        self._deadline_s = deadline_s
        self._blip_wait_s = blip_wait_s
        self._ends_at_s = clock_s() + deadline_s
        self._now: datetime | None = None
        self.memory: dict[str, tuple[float, Any]] = {}
        self.calls = 0

    def __repr__(self) -> str:
        return f"Http(timeout_s={self._timeout_s}, deadline_s={self._deadline_s})"

    def attempt(self, now: datetime, *, within_s: float | None = None) -> Http:
        """The same session at the start of a new attempt: a fresh deadline (at most `within_s` from now), no calls
        yet. `now` dates Retry-After."""
        fresh = copy.copy(self)
        fresh._ends_at_s = clock_s() + min(self._deadline_s, self._deadline_s if within_s is None else within_s)
        fresh._now = now
        fresh.calls = 0
        return fresh

    def keep_secret(self, secret: str) -> None:
        """From now on blot this out too (a token that the vendor handed us)."""
        self._secrets.add(secret)

    def remember(self, name: str, value: object, *, for_s: float) -> None:
        """Keep a value in this process for so many seconds."""
        self.memory[name] = (time.monotonic() + for_s, value)

    def recall(self, name: str) -> Any:  # noqa: ANN401  # whatever was remembered
        """What was remembered under this name and has not expired; else None."""
        until_s, value = self.memory.get(name, (0.0, None))
        return value if until_s > time.monotonic() else None

    def forget(self, name: str) -> None:
        """Drop a remembered value."""
        self.memory.pop(name, None)

    def call(
        self,
        method: Method,
        url: str,
        *,
        idempotent: bool,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        data: Mapping[str, str] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply | Failure:
        """Call once; up to three times where that is harmless and the failure looks like a blip.

        `json` becomes the body, or `data` as a form, or `content` as it is (its Content-Type is in `headers`).
        `idempotent` says that a repeat after a lost answer is harmless.
        """
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Tocsin", **(headers or {})}
        body: bytes | Mapping[str, str] | None = data if content is None else content
        if json is not None:
            sent.setdefault("Content-Type", "application/json")
            body = orjson.dumps(json, default=str, option=orjson.OPT_NON_STR_KEYS)
        for name in _CREDENTIALS & set(sent):
            self.keep_secret(sent[name].split()[-1])  # as encoded on the wire; some answers quote their request
        prepared = {name: value.encode() for name, value in sent.items()}

        def once() -> Reply | Failure:
            return self._once(method, url, idempotent=idempotent, headers=prepared, body=body, params=params)

        if not idempotent:
            return once()
        tries: Retrying = Retrying(
            retry=retry_if_result(_is_blip),
            stop=stop_after_attempt(MAX_TRIES) | stop_after_delay(MAX_BLIP_S),
            wait=jittered(multiplier=self._blip_wait_s, max=3),
            retry_error_callback=_last,
        )
        answer: Reply | Failure = tries(once)
        return answer

    def _once(
        self,
        method: Method,
        url: str,
        *,
        idempotent: bool,
        headers: Mapping[str, bytes],
        body: bytes | Mapping[str, str] | None,
        params: Mapping[str, str] | None,
    ) -> Reply | Failure:
        left_s = self._ends_at_s - clock_s()
        if left_s <= 0:
            over = f"the attempt's {self._deadline_s:g} s were over; not sent"
            return Failure("retry", Reason.TIMEOUT, detail=over, unsent=True)
        connect_s, read_s = self._timeout_s
        self.calls += 1
        try:
            with self._session.request(
                method,
                url,
                headers=headers,
                data=_Timely(body, self._ends_at_s) if isinstance(body, bytes) else body,
                params=params,
                timeout=(min(connect_s, left_s), min(read_s, left_s)),
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                proxies={} if self._proxy else _proxies_of_the_environment(url),
            ) as answer:
                return self._judge(answer, self._read(answer), idempotent=idempotent)
        except (requests.RequestException, HTTPError, OSError) as error:
            return _unanswered(error, idempotent=idempotent)

    def _read(self, answer: requests.Response) -> bytes:
        """The body, at most 8 MB of it; reading stops at the deadline."""
        body = bytearray()
        while chunk := answer.raw.read1(16_384, decode_content=True):  # what has come, without waiting for more
            body += chunk
            if clock_s() > self._ends_at_s:
                raise requests.ReadTimeout("the answer dripped past the deadline")
            if len(body) > MAX_BODY_BYTES:
                return b""
        return bytes(body)

    def _judge(self, answer: requests.Response, body: bytes, *, idempotent: bool) -> Reply | Failure:
        status = answer.status_code
        media_type = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        is_json = media_type.endswith(("/json", "+json"))
        parsed = _parsed(body) if is_json else None
        words = self.words(f"status {status}: {body[:4000].decode('utf-8', 'replace')}")
        if 200 <= status < 300:
            if not body and (status in (201, 204) or "json" not in media_type):
                return Reply(status, None, answer.headers)
            if parsed is not None:
                return Reply(status, parsed, answer.headers)
            if is_json and not idempotent:
                return Failure("ambiguous", Reason.BAD_ANSWER, status, words)
            return Failure("retry", Reason.BAD_ANSWER, status, words, after=NOT_THE_API)
        failure = classify(status, idempotent=idempotent)
        after = failure.after
        if failure.result != "rejected":
            after = asked_to_wait(answer.headers, now=self._now) or after
        limit = answer.headers.get("RateLimit-Reason") or answer.headers.get("X-RateLimit-Rule") or ""
        return replace(
            failure, detail=words, after=after, body=parsed, blip=failure.blip and after is None, limited_by=limit[:80]
        )

    def words(self, text: str) -> str:
        """The vendor's words, fit to be kept: one line, no secret, redacted, at most 500 characters."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return self._redact(re.sub(r"\s+", " ", text).strip())[:MAX_DETAIL]


class _Timely:
    """A body that is handed out only before its time is up: a process that was stopped while it connected must not
    send what somebody else may have sent meanwhile."""

    def __init__(self, content: bytes, ends_at_s: float) -> None:
        self._content = io.BytesIO(content)
        self._length = len(content)
        self._ends_at_s = ends_at_s

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:  # which makes requests send it as it is, with its length
        yield self.read()

    def read(self, size: int = -1) -> bytes:
        """The next piece. Raises ReadTimeout when the time is up."""
        if clock_s() > self._ends_at_s:
            raise requests.ReadTimeout("timed out before the body was sent")
        return self._content.read(size)


def _session(proxy: str, client_cert: tuple[str, str] | str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # neither .netrc nor environment may add credentials or certificates: config says all
    session.cert = client_cert or None
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=MAX_CONNECTIONS, max_retries=0))
    return session


def _proxies_of_the_environment(url: str) -> dict[str, str]:
    """HTTPS_PROXY, unless NO_PROXY excepts the host or the host is this machine. Plain http never takes a detour."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname in LOOPBACK:
        return {}
    found = get_environ_proxies(url)
    return {"https": found["https"]} if "https" in found else {}


def _is_blip(answer: Reply | Failure) -> bool:
    return isinstance(answer, Failure) and answer.blip


def _last(state: RetryCallState) -> Reply | Failure:
    assert state.outcome is not None
    answer: Reply | Failure = state.outcome.result()
    return answer


def _parsed(body: bytes) -> Any:  # noqa: ANN401  # whatever the vendor's JSON holds
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


_REJECTED = {
    401: Reason.UNAUTHORIZED,
    402: Reason.FORBIDDEN,
    403: Reason.FORBIDDEN,
    404: Reason.GONE,
    407: Reason.FORBIDDEN,
    410: Reason.GONE,
}


def classify(status: int, *, idempotent: bool) -> Failure:
    """What a status outside 2xx obliges us to do. A 5xx may have been carried out (reference: vendors.md §3.4)."""
    if status == 429:
        return Failure("retry", Reason.RATE_LIMITED, status)
    if status in (409, 423, 425):
        return Failure("retry", Reason.CONFLICT, status)
    if status >= 500 or status == 408:
        reason = Reason.TIMEOUT if status in (408, 504) else Reason.SERVER_ERROR
        return Failure("retry" if idempotent else "ambiguous", reason, status, blip=status in (500, 502, 503, 504))
    if status < 400:  # a redirect is a login page or a moved instance, never the API
        return Failure("retry", Reason.BAD_ANSWER, status, after=NOT_THE_API)
    return Failure("rejected", _REJECTED.get(status, Reason.CLIENT_ERROR), status)


def _unanswered(error: Exception, *, idempotent: bool) -> Failure:
    """No (whole) answer came. The error's own text is left out: it quotes addresses and proxies."""
    name = type(error).__name__
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return Failure("rejected", Reason.CLIENT_ERROR, detail=f"{name}: the configured url cannot be called")
    if type(error) is OSError:  # requests looks for the files before it connects; what breaks later is a subclass
        missing = "a configured certificate file is missing; nothing was sent"
        return Failure("retry", Reason.UNREACHABLE, detail=missing, unsent=True)
    if _never_sent(error):
        return Failure("retry", Reason.UNREACHABLE, detail=f"{name}: nothing was sent", blip=True, unsent=True)
    timed_out = isinstance(error, requests.Timeout) or "timed out" in str(error)
    return Failure(
        "retry" if idempotent else "ambiguous",
        Reason.TIMEOUT,
        detail=f"{name}: " + ("no answer in time" if timed_out else "the connection broke before the answer"),
        blip=not timed_out,
    )


def _never_sent(error: Exception) -> bool:
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError)):
        return True
    inner = error.args[0] if error.args else None
    return isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError)
