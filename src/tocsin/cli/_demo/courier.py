"""Posts webhooks as their producers would, and asks Tocsin's API what became of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import orjson
import requests

from tocsin.cli._demo.producers import Post, signed
from tocsin.cli._demo.scenario import Tally
from tocsin.cli._demo.stage import Stage
from tocsin.domain.errors import Unavailable

AT_ONCE = 8
ACCEPTED = 202
TIMEOUT_S = 20


class Courier:
    """One thread a sender, each with its own connection."""

    def __init__(self, stage: Stage) -> None:
        self.tally = Tally()
        self._stage = stage
        self._local = threading.local()
        self._lock = threading.Lock()

    def send(self, posts: Sequence[Post], *, sent: Callable[[], None] = lambda: None) -> None:
        """Post these, several at once; `sent` is called after each. Raises Unavailable when one is refused."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="producer") as pool:
            for _ in pool.map(self._send, posts):
                sent()
        if self.tally.refused:
            raise Unavailable(f"Tocsin refused a webhook of the demo: {self.tally.refused[0]}")

    def figures(self) -> dict[str, int]:
        """How much waits and how much there is, by Tocsin's API."""
        found = self.ask("/api/v1/figures")
        return {name: int(value) for name, value in found.items()}

    def ask(self, path: str) -> dict[str, Any]:
        """An answer of Tocsin's API. Raises Unavailable when there is none."""
        answer = self._called("GET", path, headers={"Authorization": f"Bearer {self._stage.api_token}"})
        answer.raise_for_status()
        body = orjson.loads(answer.content)
        assert isinstance(body, dict)
        return body

    def settled(self, *, within_s: float = 40.0) -> bool:
        """Waits until every message is understood and decided, and every record delivered."""

        def quiet() -> bool:
            figures = self.figures()
            return not (figures["waiting"] or figures["undecided"] or figures["undelivered"])

        return wait_for(quiet, within_s=within_s)

    def _send(self, post: Post) -> None:
        hook, secret = self._stage.secret_of(post.source)
        raw = orjson.dumps(post.body)
        headers = signed(post, raw, secret, now=datetime.now(UTC))
        answer = self._called("POST", f"/hooks/{hook}", headers=headers, body=raw)
        with self._lock:
            self.tally.posted += 1
            if answer.status_code != ACCEPTED:
                self.tally.refused.append(f"{hook} answered {answer.status_code}: {answer.text[:200]}")

    def _called(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"") -> requests.Response:
        url = self._stage.url + path
        try:
            return self._session().request(method, url, data=body, headers=dict(headers), timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise self._stage.gone(type(error).__name__) from error

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session


def wait_for(holds: Callable[[], bool], *, within_s: float, every_s: float = 0.25) -> bool:
    """Whether it came to hold in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True
