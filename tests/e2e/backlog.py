"""Two thousand stored messages, the same for every run, and workers that decide them until nothing is due."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from uuid import UUID

import orjson

from tests.e2e.storm import alert, alertmanager
from tocsin import pipeline
from tocsin.bootstrap import App
from tocsin.config.settings import Settings
from tocsin.store import Database, inbox, sweeps
from tocsin.store.arrivals import Arrival, Writer
from tocsin.store.database import rows

COUNT = 2000
SPAN = timedelta(minutes=90)
NAMES = ("HighErrorRate", "HighLatency", "Saturation", "QueueBacklog", "CrashLoop")
CHAINS, LINKS = 8, 4

MAPPINGS = """
    teams:
      platform: {title: Platform, owns: ["service:*"], destinations: {out: {}}}
      other: {title: Other, owns: ["host:*"], destinations: {out: {}}}
    hooks:
      am: {source: alertmanager, environment: production, unverified: true}
      gh: {source: github, environment: production, unverified: true}
      ol: {source: openlineage, environment: production, unverified: true}
    connectors:
      out: {kind: console}
      log: {kind: console}
    policies:
      catch_all: platform
      defaults: {page: [out, log], ticket: [out]}
      routes:
        - {name: pages, want: page, when: {severity: critical}}
        - {name: tickets, want: ticket}
    services:
"""


def write_mappings(directory: Path) -> None:
    """Chains of services that depend on one another, so that some alerts share a cause and some do not. The last of
    each rests on a dataset, and what this rests on is told by runs alone, in the midst of it."""
    chained = (
        f'      c{chain}-s{link}: {{depends_on: ["service:c{chain}-s{link + 1}"]}}\n'
        if link + 1 < LINKS
        else f'      c{chain}-s{link}: {{depends_on: ["dataset:c{chain}-out"]}}\n'
        for chain in range(CHAINS)
        for link in range(LINKS)
    )
    datasets = "".join(f"      c{chain}-out: {{}}\n" for chain in range(CHAINS))
    directory.mkdir()
    (directory / "all.yaml").write_text(dedent(MAPPINGS + "".join(chained) + "    datasets:\n" + datasets))


def settings(url: str, mappings: Path) -> Settings:
    """What every worker is told."""
    key = base64.b64encode(bytes(32)).decode()
    return Settings(database_url=url, redis_url="unix:///nowhere", data_key=key, mappings_dir=mappings)


@dataclass
class Sender:
    """Monitors of all services: each turn something begins, goes on, ends, comes back, or is deployed."""

    chance: random.Random
    now: datetime
    firing: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    ended: list[tuple[str, str, str]] = field(default_factory=list)

    def turn(self) -> tuple[str, bytes]:
        """The hook and body of the next message."""
        self.now += self.chance.choice((timedelta(0), SPAN / COUNT, 2 * SPAN / COUNT))
        roll = self.chance.random()
        if roll < 0.05:
            return "gh", self._deployed()
        if roll < 0.10:
            return "ol", self._ran()
        if roll < 0.35 and self.firing:
            return "am", alertmanager([self._ended() for _ in range(min(len(self.firing), self.chance.randint(1, 2)))])
        return "am", alertmanager([self._fires() for _ in range(self.chance.randint(1, 3))])

    def _fires(self) -> dict[str, object]:
        old = self.chance.random()
        if old < 0.3 and self.firing:
            key = self.chance.choice(sorted(self.firing))
        elif old < 0.4 and self.ended:
            key = self.chance.choice(self.ended)
        else:
            service = f"c{self.chance.randrange(CHAINS)}-s{self.chance.randrange(LINKS)}"
            if self.chance.random() < 0.1:
                service = f"unlisted-{self.chance.randrange(5)}"
            key = (service, self.chance.choice(NAMES), f"pod-{self.chance.randrange(3)}")
        starts_at = self.firing.setdefault(key, self.now - timedelta(seconds=self.chance.randrange(120)))
        return self._alert(key, starts_at)

    def _ended(self) -> dict[str, object]:
        key = self.chance.choice(sorted(self.firing))
        starts_at = self.firing.pop(key)
        self.ended.append(key)
        return self._alert(key, starts_at, ended_at=max(starts_at, self.now - timedelta(seconds=5)))

    def _alert(
        self, key: tuple[str, str, str], starts_at: datetime, ended_at: datetime | None = None
    ) -> dict[str, object]:
        service, name, pod = key
        severity = "critical" if name == "CrashLoop" else "warning"
        return alert(service, name, starts_at=starts_at, ended_at=ended_at, pod=f"{service}-{pod}", severity=severity)

    def _deployed(self) -> bytes:
        service = f"c{self.chance.randrange(CHAINS)}-s{self.chance.randrange(LINKS)}"
        at, number = self.now.strftime("%Y-%m-%dT%H:%M:%SZ"), self.chance.randrange(10**9)
        person = {"login": "kim"}
        return orjson.dumps(
            {"action": "created", "sender": person,
             "deployment_status": {"id": number, "state": "success", "created_at": at, "updated_at": at,
                                   "creator": person, "environment": "production"},
             "deployment": {"id": number, "sha": f"{number:040x}", "ref": "main", "environment": "production",
                            "created_at": at, "updated_at": at, "creator": person, "payload": {}},
             "repository": {"name": service, "full_name": f"shop/{service}"}}
        )  # fmt: skip

    def _ran(self) -> bytes:
        chain, number = self.chance.randrange(CHAINS), self.chance.randrange(10**9)
        return orjson.dumps(
            {"eventType": self.chance.choice(("START", "COMPLETE", "FAIL")), "eventTime": self.now.isoformat(),
             "run": {"runId": f"run-{number}"}, "job": {"namespace": "jobs", "name": f"c{chain}-load"},
             "inputs": [{"namespace": "tables", "name": f"c{chain}-in"}],
             "outputs": [{"namespace": "tables", "name": f"c{chain}-out"}]}
        )  # fmt: skip


def messages(seed: int) -> Iterator[Arrival]:
    """The messages, in receipt order; several arrive in the same moment."""
    chance = random.Random(seed)
    sender = Sender(chance, datetime.now(UTC) - SPAN - timedelta(minutes=30))
    app_seal = App(settings("postgresql+psycopg://nobody@/nothing", Path()), pool_size=1).seal
    for _ in range(COUNT):
        hook, body = sender.turn()
        milliseconds = int(sender.now.timestamp() * 1000)
        number = (milliseconds << 80) | (7 << 76) | (chance.getrandbits(12) << 64) | (2 << 62) | chance.getrandbits(62)
        yield Arrival(
            id=UUID(int=number),
            received_at=sender.now,
            hook=hook,
            source={"am": "alertmanager", "gh": "github", "ol": "openlineage"}[hook],
            environment="production",
            headers={"x-github-event": "deployment_status"} if hook == "gh" else {},
            query={},
            body=app_seal.seal(body),
        )


def store(url: str, mappings: Path, arrivals: Sequence[Arrival]) -> None:
    """Put the messages into a fresh database's inbox, under these mappings."""
    app = App(settings(url, mappings), pool_size=1)
    app.apply(mappings, actor="test")
    app.database.close()
    writer = Writer(url)
    for arrival in arrivals:
        writer.write(arrival)
    writer.close()


def work(url: str, mappings: Path, seed: int, batch: int) -> int:
    """One worker: understand, decide and attribute in a haphazard order, in batches of its own size, until nothing is
    due; answers how often it did something."""
    inbox.CLAIM_SIZES = (batch, 14, 1)
    pipeline.SIGNALS_AT_ONCE = 7 * batch
    chance = random.Random(seed)
    app = App(settings(url, mappings), pool_size=2)
    worked = 0
    while True:
        step = chance.randrange(3)
        moved = (
            pipeline.understand(app) if step == 0
            else pipeline.decide(app, "production") if step == 1
            else len(pipeline.attribute(app))
        )  # fmt: skip
        worked += bool(moved)
        if not moved:
            if _is_over(app.database):
                break
            time.sleep(chance.uniform(0, 0.02))
    app.database.close()
    return worked


def _is_over(database: Database) -> bool:
    """Nothing is due but the rounds of minutes: a score that is put off for seconds is waited for."""
    with database.transaction() as connection:
        soon = rows(connection, "SELECT FROM incidents WHERE attribute_due_at < clock_timestamp() + interval '30 s'")
    return not soon and not sweeps.due(database).work
