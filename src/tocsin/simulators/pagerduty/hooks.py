"""Webhooks v3: what happened is signed and posted to the subscriptions, at least once (docs webhooks/01, 02, 04).

PagerDuty wants a 2xx within 5 s. After a timeout, a 5xx or a 429 it tries again, and later webhooks of that incident to
that subscription wait; any other 4xx drops the webhook, and three dropped in a row disable the subscription for a day.
Faults: `twice` (each is delivered two times under one X-Webhook-Id), `disorder` (the newest waiting goes first).
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import orjson
import requests

from tocsin.simulators.answers import Json
from tocsin.simulators.pagerduty.resource import Resources, wire
from tocsin.simulators.pagerduty.things import Entry, Incident, Note, pd_id

_EVENTS = """acknowledged annotated conference_bridge.updated custom_field_values.updated delegated escalated
incident_type.changed priority_updated reassigned reopened resolved responder.added responder.replied role.assigned
service_updated status_update_published triggered unacknowledged"""
EVENTS = frozenset(f"incident.{name}" for name in _EVENTS.split())
FAULTS = frozenset({"twice", "disorder"})
ANSWER_WITHIN_S = 5
DISABLED_AFTER = 3
DISORDER_GATHERS_S = 0.3
"""So long a webhook waits under the fault `disorder`, that later ones may overtake it."""


@dataclass(slots=True, kw_only=True)
class Subscription:
    """Who is told of what; `service_id` empty: of the whole account."""

    id: str
    url: str
    secret: str
    events: frozenset[str]
    service_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    description: str = ""
    refusals: int = 0
    disabled: bool = False

    def shown(self) -> Json:
        """As the API shows it: without the secret, custom headers redacted."""
        scope: Json = {"type": "account_reference"}
        if self.service_id:
            scope = {"id": self.service_id, "type": "service_reference"}
        return {
            "id": self.id,
            "type": "webhook_subscription",
            "active": True,
            "delivery_method": {
                "id": pd_id("delivery", self.id),
                "type": "http_delivery_method",
                "url": self.url,
                "custom_headers": [{"name": name, "value": "<redacted>"} for name in self.headers],
                "temporarily_disabled": self.disabled,
                "secret": None,
            },
            "description": self.description,
            "events": sorted(self.events),
            "filter": scope,
        }


@dataclass(slots=True, kw_only=True)
class _Delivery:
    subscription: Subscription
    about: str
    """Id of the incident: what concerns one incident goes out in order."""
    webhook_id: str
    body: bytes
    not_before_s: float
    tries: int = 0


class Hooks:
    """The subscriptions of one account, and a thread that serves them while something waits."""

    def __init__(self, *, shown: Callable[[], Resources], clock: Callable[[], datetime], retry_s: float = 1.0) -> None:
        self.subscriptions: list[Subscription] = []
        self.faults: frozenset[str] = frozenset()
        self.delivered: list[Json] = []
        """Every try: subscription, X-Webhook-Id, event type, status (0: no answer)."""
        self._shown = shown
        self._clock = clock
        self._retry_s = retry_s
        self._waiting: list[_Delivery] = []
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None

    def subscribe(
        self,
        *,
        url: str,
        events: frozenset[str] = EVENTS,
        service_id: str = "",
        headers: dict[str, str] | None = None,
        description: str = "",
        secret: str = "",
    ) -> Subscription:
        """A new subscription; its secret is made unless given."""
        made = Subscription(
            id=pd_id("subscription", url, len(self.subscriptions)),
            url=url,
            secret=secret or uuid4().hex + uuid4().hex,
            events=events,
            service_id=service_id,
            headers=headers or {},
            description=description,
        )
        self.subscriptions.append(made)
        return made

    def ping(self, subscription: Subscription) -> None:
        """Sends the test event."""
        data = {"message": "Hello from your friend Pagey!", "type": "ping"}
        self._post(subscription, "pagey.ping", "pagey", {"agent": None, "client": None, "data": data})

    def tell(self, happened: str, incident: Incident, entry: Entry, note: Note | None) -> None:
        """Something happened to an incident: every subscription that wants it is told."""
        shown = self._shown()
        about: Json = {
            "agent": shown.agent(entry.by, incident.service),
            "client": {"name": "PagerDuty"} if entry.by else None,
            "data": _note(shown, incident, note) if note else _incident(shown, incident),
        }
        for one in self.subscriptions:
            if happened in one.events and one.service_id in ("", incident.service.id):
                self._post(one, happened, incident.id, about)

    def _post(self, subscription: Subscription, happened: str, about: str, event: Json) -> None:
        if subscription.disabled:
            return
        whole: Json = {
            "id": pd_id("event", uuid4().hex) + uuid4().hex[:12].upper(),
            "event_type": happened,
            "resource_type": happened.partition(".")[0],
            "occurred_at": self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **event,
        }
        wait_s = DISORDER_GATHERS_S if "disorder" in self.faults else 0.0
        waiting = _Delivery(
            subscription=subscription,
            about=about,
            webhook_id=str(uuid4()),
            body=orjson.dumps({"event": whole}),
            not_before_s=time.monotonic() + wait_s,
        )
        with self._lock:
            self._waiting.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="pagerduty-webhooks", daemon=True)
                self._thread.start()
            self._lock.notify()

    def stop(self) -> None:
        """Drops what waits; the thread ends."""
        with self._lock:
            self._waiting.clear()
            self._lock.notify()

    def settled(self, timeout_s: float = 5.0) -> bool:
        """Waits until nothing waits any more; False when that took too long."""
        ends_s = time.monotonic() + timeout_s
        while time.monotonic() < ends_s:
            with self._lock:
                if not self._waiting:
                    return True
            time.sleep(0.01)
        return False

    # -- the thread ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while True:
                with self._lock:
                    if not self._waiting:
                        self._thread = None
                        return
                    due = self._next()
                    if due is None:
                        self._lock.wait(0.02)
                        continue
                self._deliver(session, due)

    def _next(self) -> _Delivery | None:
        """What goes out now: the oldest, of each subscription and incident the first; under `disorder` the newest."""
        now_s = time.monotonic()
        heads: dict[tuple[str, str], _Delivery] = {}
        for one in self._waiting:
            head = (one.subscription.id, one.about)
            if "disorder" in self.faults or head not in heads:
                heads[head] = one
        return next((one for one in heads.values() if one.not_before_s <= now_s), None)

    def _deliver(self, session: requests.Session, due: _Delivery) -> None:
        status = 0
        for _ in range(2 if "twice" in self.faults else 1):
            status = self._try(session, due)
        subscription, done = due.subscription, 200 <= status < 300
        refused = 300 <= status < 500 and status != 429
        with self._lock:
            if done:
                subscription.refusals = 0
            elif refused:
                subscription.refusals += 1
                subscription.disabled = subscription.refusals >= DISABLED_AFTER
            else:
                due.tries += 1
                due.not_before_s = time.monotonic() + self._retry_s
            if (done or refused) and due in self._waiting:
                self._waiting.remove(due)
            if subscription.disabled:
                self._waiting = [one for one in self._waiting if one.subscription is not subscription]

    def _try(self, session: requests.Session, due: _Delivery) -> int:
        digest = hmac.new(due.subscription.secret.encode(), due.body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "PagerDuty-Webhook/V3.0",
            "X-PagerDuty-Signature": f"v1={digest}",
            "X-Webhook-Id": due.webhook_id,
            "X-Webhook-Subscription": due.subscription.id,
            **due.subscription.headers,
        }
        try:
            status = session.post(
                due.subscription.url, data=due.body, headers=headers, timeout=ANSWER_WITHIN_S, allow_redirects=False
            ).status_code
        except requests.RequestException:
            status = 0
        event = orjson.loads(due.body)["event"]["event_type"]
        tried: Json = {
            "subscription": due.subscription.id,
            "webhook_id": due.webhook_id,
            "event": event,
            "status": status,
        }
        self.delivered.append(tried)
        return status


def _incident(shown: Resources, one: Incident) -> Json:
    """The incident as webhooks carry it: other names than the REST API's."""
    rest = shown.incident(one)
    reason = shown.merge_reason(one) if one.merged_into else None
    names = ("id", "self", "html_url", "status", "title", "service", "teams", "urgency", "created_at")
    return {name: rest[name] for name in names} | {
        "type": "incident",
        "number": one.number,
        "incident_key": rest.get("incident_key"),
        "assignees": [shown.user(email) for email in one.assignees] if one.open else [],
        "escalation_policy": rest["escalation_policy"],
        "priority": shown.priority(one.priority) if one.priority else None,
        "conference_bridge": None,
        "resolve_reason": reason,
        "reopened_at": wire(one.updated_at) if any(line.kind == "reopen" for line in one.timeline) else None,
    }


def _note(shown: Resources, incident: Incident, note: Note) -> Json:
    return {
        "incident": shown.reference(incident.id),
        "id": note.id,
        "content": note.content,
        "trimmed": False,
        "type": "incident_note",
    }
