"""A storm of webhooks from several senders at once, and the auditor who counts what became of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
import requests

from tests.e2e.stack import Stack, wait_until

SENDERS = 4


def alertmanager(alerts: Sequence[dict[str, object]], *, status: str = "firing") -> bytes:
    """The body of an Alertmanager notification."""
    return orjson.dumps(
        {"version": "4", "groupKey": "{}", "status": status, "receiver": "tocsin", "groupLabels": {},
         "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager.example", "alerts": alerts}
    )  # fmt: skip


def alert(
    service: str, name: str = "HighErrorRate", *, starts_at: datetime, ended_at: datetime | None = None, **labels: str
) -> dict[str, object]:
    """One alert of such a notification."""
    return {
        "status": "resolved" if ended_at else "firing",
        "labels": {"alertname": name, "severity": "critical", "service": service, **labels},
        "annotations": {"summary": f"{name} at {service}"},
        "startsAt": starts_at.isoformat(),
        "endsAt": ended_at.isoformat() if ended_at else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
    }


def two_alerts(service: str, turn: int, *, starts_at: datetime) -> bytes:
    """A webhook of two alerts, each of another pod; every third turn repeats an earlier one."""
    pods = (turn - turn % 3, turn)
    return alertmanager([alert(service, starts_at=starts_at, pod=f"{service}-{pod}-{i}") for i, pod in enumerate(pods)])


@dataclass
class Storm:
    """Webhooks on their way, posted by SENDERS threads; each turn hits every service once."""

    stack: Stack
    services: Sequence[str]
    turns: int
    starts_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    statuses: Counter[int] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _senders: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(SENDERS))
    _sending: list[Future[None]] = field(default_factory=list)

    def __enter__(self) -> Storm:
        """Begin to post."""
        webhooks = self._webhooks()
        self._sending = [self._senders.submit(self._post_some, webhooks) for _ in range(SENDERS)]
        return self

    def __exit__(self, *_error: object) -> None:
        """All webhooks are posted."""
        self._senders.shutdown()
        for sending in self._sending:
            sending.result()

    @property
    def posted(self) -> int:
        return sum(self.statuses.values())

    def await_share(self, share: float) -> None:
        """Wait until this share of the webhooks is posted."""
        wanted = share * self.turns * len(self.services)
        wait_until(lambda: self.posted >= wanted, 120, f"{wanted:.0f} webhooks are posted")

    def _webhooks(self) -> Iterator[bytes]:
        for turn in range(self.turns):
            for service in self.services:
                yield two_alerts(service, turn, starts_at=self.starts_at)

    def _post_some(self, webhooks: Iterator[bytes]) -> None:
        session = requests.Session()
        while True:
            with self._lock:
                body = next(webhooks, None)
            if body is None:
                return
            try:
                status = self.stack.posting(session, "am", body).status_code
            except requests.RequestException as error:
                self.failed.append(str(error))
                continue
            with self._lock:
                self.statuses[status] += 1


WAITING = (
    "SELECT destination, state, wanted->>'status' AS wanted, wanted_version, sent_version, attempts, failures,"
    " ambiguous_since, last_reason, last_detail, next_attempt_at - now() AS due FROM records"
    " WHERE next_attempt_at IS NOT NULL ORDER BY created_at LIMIT 20"
)


def settle(stack: Stack, tag: str, *, incidents: int, timeout_s: float = 90) -> float:
    """Wait until everything is decided and every record of these incidents stands; answers the seconds."""

    def done() -> bool:
        kept = stack.sql("SELECT count(*) AS n FROM messages WHERE hook = 'am'")[0]["n"]
        return kept >= len(stack.accepted) and len(incidents_of(stack, tag)) >= incidents and stack.is_idle()

    try:
        return wait_until(done, timeout_s, f"{incidents} incidents of {tag} are decided and delivered")
    except AssertionError:
        print(f"\nstill waiting: {stack.figures()}")
        for row in stack.sql(WAITING):
            print(row)
        raise


def one_alert(stack: Stack, service: str) -> float:
    """Post one alert of this service; answers the seconds until its ServiceNow ticket is open."""
    answer = stack.post("am", alertmanager([alert(service, starts_at=datetime.now(UTC))]))
    assert answer.status_code == 202
    return wait_until(lambda: stack.ticket_of(service), 60, f"a ticket about {service} is open")


def incidents_of(stack: Stack, tag: str) -> list[dict[str, object]]:
    """Incidents with a member whose service carries the tag."""
    return stack.sql(
        "SELECT i.* FROM incidents i WHERE EXISTS (SELECT FROM alerts a WHERE a.incident_id = i.id"
        " AND a.state->'alert'->>'subject' LIKE :tag)",
        tag=f"service:%-{tag}-%",
    )


def audit(stack: Stack) -> None:
    """Nothing lost, nothing doubled, nothing foreign: receipts against messages, records against desks."""
    kept = [str(row["id"]) for row in stack.sql("SELECT id FROM messages WHERE hook = 'am'")]
    assert sorted(kept) == sorted(stack.accepted), "every receipt is one message, and there is no other message"
    assert stack.unaccounted() == []
    records = stack.sql("SELECT destination, state, wanted->>'key' AS key, last_detail FROM records")
    assert [row for row in records if row["state"] != "settled"] == []
    for destination in stack.desks:
        ours = sorted(row["key"] for row in records if row["destination"] == destination)
        assert sorted(stack.keys(destination)) == ours, f"{destination} shows each of our records once and no other"
