"""Calls the webhooks of an administrator, signed, as Jira does: at least once, and not always in order.

https://developer.atlassian.com/cloud/jira/platform/webhooks/ : X-Hub-Signature is the HMAC-SHA256 of the body; the
identifier stays the same over retries; 408, 409, 425, 429, 5xx and silence are tried again.
"""

from __future__ import annotations

import hmac
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import orjson
import requests

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Clock, Json, stable_id

EVENTS = ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created")
TRIED_AGAIN = (408, 409, 425, 429)
MAX_TRIES = 6
IDLE_S = 0.5
"""The sender waits so long for more before it lets go what it held back, and before it goes to sleep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    id: str
    name: str
    url: str
    secret: str = field(default="", repr=False)
    events: tuple[str, ...] = EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one webhook."""

    identifier: str
    webhook: Webhook
    event: str
    body: bytes


@dataclass(slots=True, kw_only=True)
class Weather:
    """What goes wrong on the way. A seed sets it: {"webhook_weather": {"repeat": 1, "reverse": 2, "lose": 0}}."""

    repeat: int = 0
    """Every delivery comes so many times more, under the same identifier."""
    reverse: int = 0
    """So many deliveries are held back and come in the opposite order."""
    lose: int = 0
    """So many of the next deliveries never come."""


class Webhooks:
    """All webhooks of a site. Events go out one after the other, from a thread that sleeps when there are none."""

    def __init__(self, clock: Clock, *, retry_s: float) -> None:
        self._clock = clock
        self._retry_s = retry_s
        self.hooks: list[Webhook] = []
        self.weather = Weather()
        self.log: list[Json] = []
        """Every try: identifier, event, url, status (0: no answer), retry."""
        self._queue: queue.Queue[Delivery] = queue.Queue()
        self._told = 0
        self._lock = threading.Lock()
        self._sender: threading.Thread | None = None
        self._closed = threading.Event()

    def seed(self, records: Mapping[str, object]) -> None:
        """Adds webhooks and sets the weather."""
        given, weather = records.get("webhooks") or [], records.get("webhook_weather") or {}
        if not isinstance(given, list) or not isinstance(weather, Mapping):
            raise BadPayload("webhooks is a list of {url, secret, events}, webhook_weather an object")
        for one in given:
            self.add(one)
        for name, count in weather.items():
            setattr(self.weather, str(name), int(str(count)))

    def add(self, given: Mapping[str, object]) -> Webhook:
        """Registers one: {"url", "secret"?, "events"?, "name"?}."""
        events = given.get("events")
        hook = Webhook(
            id=str(len(self.hooks) + 1),
            name=str(given.get("name") or "webhook"),
            url=str(given["url"]),
            secret=str(given.get("secret") or ""),
            events=tuple(map(str, events)) if isinstance(events, list) and events else EVENTS,
        )
        self.hooks.append(hook)
        return hook

    def remove(self, hook_id: str) -> bool:
        """Whether there was one."""
        before = len(self.hooks)
        self.hooks = [one for one in self.hooks if one.id != hook_id]
        return len(self.hooks) < before

    def tell(self, event: str, body: Mapping[str, object]) -> None:
        """Send an event to every webhook that wants it."""
        now = self._clock()
        self._told += 1
        raw = orjson.dumps({"timestamp": int(now.timestamp() * 1000), **body})
        for hook in self.hooks:
            if event in hook.events:
                name = stable_id("webhook", hook.id, self._told, now.isoformat(), length=32)
                self._queue.put(Delivery(identifier=name, webhook=hook, event=event, body=raw))
        if not self._queue.empty():
            self._wake()

    def close(self) -> None:
        """Nothing more is sent."""
        self._closed.set()

    def _wake(self) -> None:
        with self._lock:
            if self._sender is None or not self._sender.is_alive():
                self._sender = threading.Thread(target=self._send_all, name="jira-webhooks", daemon=True)
                self._sender.start()

    def _send_all(self) -> None:
        held: list[Delivery] = []
        while not self._closed.is_set():
            try:
                held.append(self._queue.get(timeout=IDLE_S))
            except queue.Empty:
                self._let_go(held)
                with self._lock:
                    if self._queue.empty():
                        self._sender = None
                        return
                continue
            if len(held) >= self.weather.reverse:
                self._let_go(held)

    def _let_go(self, held: list[Delivery]) -> None:
        for delivery in reversed(held):
            if self.weather.lose > 0:
                self.weather.lose -= 1
                continue
            for _ in range(1 + self.weather.repeat):
                self._send(delivery)
        held.clear()

    def _send(self, delivery: Delivery) -> None:
        for retry in range(MAX_TRIES):
            status = self._post(delivery, retry)
            self.log.append(
                {
                    "identifier": delivery.identifier,
                    "event": delivery.event,
                    "url": delivery.webhook.url,
                    "status": status,
                    "retry": retry,
                }
            )
            if status not in TRIED_AGAIN and 0 < status < 500:
                return
            if self._closed.wait(self._retry_s):
                return

    def _post(self, delivery: Delivery, retry: int) -> int:
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "User-Agent": "Atlassian HttpClient unknown / JIRA-1001.0.0-SNAPSHOT (100283) / Default",
            "X-Atlassian-Webhook-Identifier": delivery.identifier,
            "X-Atlassian-Webhook-Flow": "Primary",
        }
        if retry:
            headers["X-Atlassian-Webhook-Retry"] = str(retry)
        if delivery.webhook.secret:
            digest = hmac.new(delivery.webhook.secret.encode(), delivery.body, sha256).hexdigest()
            headers["X-Hub-Signature"] = f"sha256={digest}"
        try:
            answer = requests.post(delivery.webhook.url, data=delivery.body, headers=headers, timeout=(5, 20))
        except requests.RequestException:
            return 0
        return answer.status_code
